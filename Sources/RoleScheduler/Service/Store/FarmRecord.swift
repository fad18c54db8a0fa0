import Farm
import Foundation
import RoleSchedulerCore

/// All of a farm that must survive the process that plans it, in the one coded form (JSON) that every store keeps: where
/// each machine stands, operators' words, what each role had and was to have, and what was published of it. What reports
/// bring anew, such as health, is not taken up from it. Whatever `FarmState` holds is in it, without a word here.
struct FarmRecord: Hashable, Sendable {
    var state = FarmState()
    /// nil: nothing was published yet.
    var view: FarmView?
    /// Applied to the farm, or released again; nil: none ever was, and each control node goes by its own file.
    var policy: FarmPolicy?
    /// Entries that the history has.
    var entries: UInt64 = 0
    /// The control node that wrote it.
    var node = ""
    /// Another for every write, so that a writer knows its own again.
    var write: UInt64 = 0

    private struct Coded: Codable {
        var form = 1
        var unixTime: Double
        var state: FarmState
        var view: FarmView?
        var policy: FarmPolicy?
        var entries: UInt64
        var node: String
        var write: UInt64
    }

    func coded(now: Moment, unixTime: Double) throws(FarmStoreFault) -> Data {
        do {
            return try FarmRecord.encoder(now).encode(
                Coded(
                    // A program that knows nothing of such a policy must not write the record without it.
                    form: policy == nil ? 1 : 2, unixTime: unixTime, state: state, view: view,
                    policy: policy, entries: entries, node: node, write: write))
        } catch {
            throw .unusable("the farm's record cannot be written down: \(error)")
        }
    }

    /// Takes a record up again. Who was there is awaited from now on.
    /// - Throws: when it is damaged, or of a later version of this program.
    init(coded: Data, now: Moment, unixTime: Double) throws(FarmStoreFault) {
        do {
            var frame = MomentFrame(now: now)
            let head = try FarmRecord.decoder(frame).decode(Head.self, from: coded)
            guard (1...2).contains(head.form) else {
                throw FarmStoreFault.unusable(
                    "the farm's record has form \(head.form): a newer version of smurf wrote it")
            }
            // Held within what a duration can say: the number comes from outside.
            let elapsed = min(max(unixTime - head.unixTime, 0), 1e9)
            frame = MomentFrame(now: now, elapsed: .seconds(elapsed))
            let saved = try FarmRecord.decoder(frame).decode(
                Coded.self, from: FarmRecord.completed(coded, now))
            (state, view, policy) = (saved.state, saved.view, saved.policy)
            (entries, node, write) = (saved.entries, saved.node, saved.write)
        } catch let fault as FarmStoreFault {
            throw fault
        } catch {
            throw .unusable("the farm's record is damaged: \(error)")
        }
        for id in state.ids {
            state.smurfs[id]?.downSince = nil
            state.smurfs[id]?.unreadySince = nil
        }
        state.resumed = state.smurfs.isEmpty ? nil : now
    }

    init() {}

    private struct Head: Codable {
        var form: Int
        var unixTime: Double
    }

    /// The record with the usual values of what the program that wrote it did not know yet.
    private static func completed(_ coded: Data, _ now: Moment) throws -> Data {
        let encoder = encoder(now)
        guard var record = try JSONSerialization.jsonObject(with: coded) as? [String: Any],
            let saved = record["state"] as? [String: Any],
            let usual = try JSONSerialization.jsonObject(with: encoder.encode(FarmState()))
                as? [String: Any],
            let machine = try JSONSerialization.jsonObject(
                with: encoder.encode(SmurfRecord(addresses: [], since: now))) as? [String: Any]
        else { throw FarmStoreFault.unusable("the farm's record is damaged: no mapping") }
        var state = usual.merging(saved) { $1 }
        let machines = state["smurfs"] as? [String: Any] ?? [:]
        state["smurfs"] = machines.mapValues { value -> Any in
            guard let known = value as? [String: Any] else { return value }
            return machine.merging(known) { $1 }
        }
        record["state"] = state
        return try JSONSerialization.data(withJSONObject: record)
    }

    private static func encoder(_ now: Moment) -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        if let key = MomentFrame.key { encoder.userInfo[key] = MomentFrame(now: now) }
        return encoder
    }

    private static func decoder(_ frame: MomentFrame) -> JSONDecoder {
        let decoder = JSONDecoder()
        if let key = MomentFrame.key { decoder.userInfo[key] = frame }
        return decoder
    }
}
