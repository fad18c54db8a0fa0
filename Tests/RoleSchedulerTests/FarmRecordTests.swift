import Farm
import Foundation
import TestSupport
import Testing

@testable import RoleScheduler
@testable import RoleSchedulerCore

/// The one coded form of what survives: whatever the state holds comes back, timers never shorter than they were, and
/// no octets make it trap.
@Suite struct FarmRecordTests {
    private let saved = Moment(seconds: 5_000)
    private let read = Moment(seconds: 70)

    private func sample(_ generator: inout SeededGenerator) throws -> FarmRecord {
        var record = FarmRecord()
        let roles = try ["web", "smtp-out", "smtp-in"].map { try #require(Role($0)) }
        for number in 0..<Int.random(in: 0...9, using: &generator) {
            let id = try #require(SmurfID("s\(number)"))
            var machine = SmurfRecord(
                addresses: [
                    .v4(.random(in: 0...(.max), using: &generator)),
                    .v6(high: .random(in: 0...(.max), using: &generator), low: 1),
                ], since: Moment(seconds: .random(in: 0...5_000, using: &generator)))
            let role = roles.randomElement(using: &generator) ?? roles[0]
            let states: [SmurfRecord.State] = [
                .joining, .idle, .warming(role), .serving(role), .draining(role), .quarantined,
            ]
            machine.state = states.randomElement(using: &generator) ?? .idle
            machine.falls = .random(in: 0...9, using: &generator)
            machine.reason = "ü \"\\ \u{1}\n\(number)"
            if Bool.random(using: &generator) {
                machine.override = Override(
                    kind: Bool.random(using: &generator) ? .hold : .move(role),
                    until: saved.advanced(by: .seconds(600)), reason: "new disk", by: "ann")
            }
            record.state.smurfs[id] = machine
            record.state.lastMembers[role, default: []].append(id)
            record.state.departedSenders[id] = Moment(seconds: 4_900)
        }
        record.state.setpoints[roles[0]] = 3
        record.state.wanted[roles[1]] = [.init(at: Moment(seconds: 4_000), count: 2)]
        record.state.soaking = [roles[2]]
        record.state.lastMove = Moment(seconds: 4_999)
        record.view = FarmView(
            membership: Membership(
                version: 7, hosts: [.init(id: try #require(SmurfID("s1")), addresses: [.v4(1)])],
                records: [
                    .init(owner: "web", kind: .address, members: [], ttl: 30),
                    .init(owner: "@", kind: .mailExchange(preference: 10), members: [], ttl: 30),
                    .init(owner: "x", kind: .service(priority: 1, port: 2), members: [], ttl: 1),
                    .init(owner: "y", kind: .https(priority: 1), members: [], ttl: 1, limit: 4),
                ], senders: [.v4(9)], senderOwners: ["@"]), serial: 4_000_000_000)
        if Bool.random(using: &generator) {
            record.policy = FarmPolicy(
                number: 3, text: "version: 1\n# ü \u{1}\n", digest: "abc", by: "ann",
                reason: "\"why\"", unixTime: 1_700_000_000, node: "n2")
        }
        (record.entries, record.node, record.write) = (12, "n1", 1 << 52)
        return record
    }

    /// What the record should be when it is read `elapsed` later as `read`.
    private func expected(_ record: FarmRecord, elapsed: Double) -> FarmRecord {
        func moved(_ moment: Moment) -> Moment {
            let distance = moment.since(saved)
            guard distance > .zero else { return read.advanced(by: distance) }
            return read.advanced(by: max(distance - .seconds(elapsed), .zero))
        }
        var record = record
        for id in record.state.ids {
            guard var machine = record.state.smurfs[id] else { continue }
            machine.since = moved(machine.since)
            if let until = machine.override?.until { machine.override?.until = moved(until) }
            record.state.smurfs[id] = machine
        }
        record.state.wanted = record.state.wanted.mapValues {
            $0.map { .init(at: moved($0.at), count: $0.count) }
        }
        record.state.lastMove = record.state.lastMove.map(moved)
        record.state.departedSenders = record.state.departedSenders.mapValues(moved)
        record.state.resumed = record.state.smurfs.isEmpty ? nil : read
        return record
    }

    @Test(arguments: [0, 60, 100_000] as [Double])
    func everythingComesBackAndTimersAreNeverShorter(_ elapsed: Double) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            let record = try sample(&generator)
            let coded = try record.coded(now: saved, unixTime: 1_800_000_000)
            let back = try FarmRecord(
                coded: coded, now: read, unixTime: 1_800_000_000 + elapsed)
            #expect(back == expected(record, elapsed: elapsed), "seed \(seed)")
        }
    }

    /// A clock that was set back between two processes makes nothing longer than it was.
    @Test func aClockThatWentBackCountsAsNoTime() throws {
        var generator = SeededGenerator(seed: 5)
        let record = try sample(&generator)
        let coded = try record.coded(now: saved, unixTime: 1_800_000_000)
        #expect(
            try FarmRecord(coded: coded, now: read, unixTime: 1_700_000_000)
                == expected(record, elapsed: 0))
    }

    @Test func healthIsNotTakenUp() throws {
        var record = FarmRecord()
        let id = try #require(SmurfID("s1"))
        record.state.smurfs[id] = SmurfRecord(addresses: [.v4(1)], since: saved)
        record.state.smurfs[id]?.downSince = saved
        record.state.smurfs[id]?.unreadySince = saved
        let back = try FarmRecord(
            coded: record.coded(now: saved, unixTime: 0), now: read, unixTime: 0)
        #expect(back.state.smurfs[id]?.downSince == nil)
        #expect(back.state.smurfs[id]?.unreadySince == nil)
        #expect(back.state.resumed == read)
    }

    /// What an older version of the program did not write has its usual value.
    @Test func whatIsMissingHasItsUsualValue() throws {
        let text = """
            {"form": 1, "unixTime": 5, "entries": 0, "node": "", "write": 1,
             "state": {"smurfs": {"s1": {"addresses": ["127.0.0.1"], "state": "serving web"}}}}
            """
        let record = try FarmRecord(coded: Data(text.utf8), now: read, unixTime: 6)
        let id = try #require(SmurfID("s1"))
        let machine = try #require(record.state.smurfs[id])
        #expect(machine.state == .serving(try #require(Role("web"))))
        #expect(machine.falls == 0 && machine.since == read && machine.override == nil)
        #expect(record.state.setpoints.isEmpty && record.view == nil)
    }

    @Test func damagedRecordsAreRefused() throws {
        var generator = SeededGenerator(seed: 11)
        var record = try sample(&generator)
        record.policy = nil
        let good = try record.coded(now: saved, unixTime: 1e9)
        let newer = String(decoding: good, as: UTF8.self).replacing(
            "\"form\":1", with: "\"form\":3")
        #expect(throws: FarmStoreFault.self) {
            try FarmRecord(coded: Data(newer.utf8), now: read, unixTime: 1e9)
        }
        for text in ["", "null", "[]", "{}", "{\"form\":1,\"unixTime\":1e999}", "7"] {
            #expect(throws: FarmStoreFault.self, "\(text)") {
                try FarmRecord(coded: Data(text.utf8), now: read, unixTime: 1e9)
            }
        }
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        generator = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            var octets = Array(good)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<octets.count, using: &generator)
                octets[place] = .random(in: 0...255, using: &generator)
            }
            // Either is fine; only a trap is not.
            _ = try? FarmRecord(
                coded: Data(octets), now: read,
                unixTime: .random(in: -1e300...1e300, using: &generator))
        }
    }
}
