import Farm
import Foundation
import Logging
import RoleSchedulerCore

/// How the record in the store is to be followed by the next one.
struct RecordWriting: Sendable {
    /// In which this node leads; nil while it follows.
    var term: UInt64?
    /// Of the record that was read or written last.
    var revision: Int64 = 0
    /// That the history has.
    var entries: UInt64 = 0
    /// The last serial that was tried to be written: it is never used for anything else, whatever became of that.
    var lastSerial: UInt32?
    /// The number of the farm's policy in the record, or of its release; 0 for none.
    var policy: UInt64 = 0
    /// Whether the store was found to have another record than the one written last: what is known is to be written anew.
    var isDue = false

    mutating func follow(_ record: FarmRecord, revision: Int64) {
        self.revision = revision
        entries = max(entries, record.entries)
        policy = record.policy?.number ?? 0
    }
}

/// What a control node does for the sake of the others: it takes over where the last leader was, writes under its own
/// term only, and while another leads, publishes what that one has published.
extension RoleSchedulerService {
    /// Who leads among the farm's control nodes; this one when it is alone.
    public var standing: Standing { store.standing }

    /// Whether this node plans, and reports and orders are for it.
    public var leads: Bool { writing.term != nil && store.standing.term == writing.term }

    /// Begins a term: from the record as it is now, and without a move. Machines are awaited as after a restart.
    func takeOver(_ term: UInt64) async throws -> FarmView? {
        let saved = try await store.load()
        let now = moment()
        health = [:]
        if let found = saved ?? (current == nil ? inherited : nil) {
            let record = try FarmRecord(
                coded: found.coded, now: now, unixTime: Date().timeIntervalSince1970)
            if let current, record.view?.isOlder(than: current) ?? true {
                // A store does not go back by itself.
                logger.warning(
                    "the record in the store is older than what this node has seen, as after a restored backup; going on from what was seen"
                )
            } else {
                (state, current) = (record.state, record.view)
                adopt(record.policy)
                health = RoleSchedulerService.silent(in: &state, current, policy, at: now)
            }
            if saved != nil { writing.follow(record, revision: found.revision) }
        }
        if saved == nil { writing.revision = 0 }
        if !state.smurfs.isEmpty { state.resumed = now }
        guard followed.trouble.isEmpty else { throw OverrideError(followed.trouble) }
        state = RoleSchedulerService.enrolled(state, policy, at: now)
        writing.term = term
        if store.standing.isShared { logger.notice("this node leads, term \(term)") }
        return current == published ? nil : current
    }

    /// Notes which machines serve and were not answered when the record was written: they were down, and are not awaited
    /// like the others but have to be heard, or to pass their check.
    /// - Returns: what is to be known of their health until then.
    static func silent(
        in state: inout FarmState, _ view: FarmView?, _ policy: Policy, at now: Moment
    ) -> [SmurfID: Health] {
        guard let view = view?.membership else { return [:] }
        let before = now.advanced(by: .zero - policy.guards.downAfter - .seconds(1))
        var silent: [SmurfID: Health] = [:]
        for id in state.ids {
            guard case .serving(let role)? = state.smurfs[id]?.state, let rule = policy[role],
                policy.member(id).agent || rule.check != nil
            else { continue }
            let owners = Set(rule.names.map(\.owner))
            let answered = view.records.filter { owners.contains($0.owner) }.flatMap(\.members)
            guard !answered.isEmpty, !answered.contains(id) else { continue }
            state.smurfs[id]?.unreadySince = before
            silent[id] = Health(
                heard: before, ready: false, role: role, connections: 0, load: 0, work: 0)
        }
        return silent
    }

    /// How long to wait for the next plan when nothing rings: so long that plans take a 200th of the time, but never longer than half a second, or than `interval` if that is more. What happens rings; only time passes without.
    /// - Parameter planning: what a plan takes.
    nonisolated func pause(_ interval: Duration, after planning: Duration) -> Duration {
        max(interval, min(planning * 200, .milliseconds(500)))
    }

    /// Takes up what the leader has written.
    /// - Returns: what is to be published.
    func follow() throws -> FarmView? {
        if writing.term != nil {
            (writing.term, lastPlan, notes, health) = (nil, nil, [], [:])
            logger.notice("this node does not lead any more")
        }
        if let saved = store.newest, saved.revision != writing.revision {
            let record = try FarmRecord(
                coded: saved.coded, now: moment(), unixTime: Date().timeIntervalSince1970)
            writing.follow(record, revision: saved.revision)
            // After a restored backup the leader goes on from what it has seen; until then, what is newer stays.
            if let current, record.view?.isOlder(than: current) ?? true { return nil }
            (state, current) = (record.state, record.view)
            adopt(record.policy)
        }
        return current == published ? nil : current
    }

    /// Membership and keys with the serial that goes with them: a new one when something is new, or when some node answers with a newer
    /// one already, so that all come to the same.
    func numbered(_ membership: Membership, _ keys: SealedKeys?) -> FarmView {
        let standing = store.standing
        guard standing.isShared else { return FarmView(membership: membership) }
        let answered = (standing.nodes.map(\.serial) + [served(), current?.serial])
            .compactMap { $0 }
        let newest = answered.reduce(answered.first ?? 0, Serial.newest)
        if let current, current.membership == membership, current.keys == keys,
            current.serial == newest
        {
            return current
        }
        let last = Serial.newest(newest, writing.lastSerial ?? newest)
        let now = UInt32(truncatingIfNeeded: Int64(Date().timeIntervalSince1970))
        return FarmView(
            membership: membership, serial: Serial.next(after: last, unixTime: now), keys: keys)
    }

    /// Writes the record and adds to the history.
    /// - Parameter policy: another one for the farm; nil: the one that it has.
    /// - Throws: when it is not certain that it was written; the state in memory must stay as it was.
    func save(
        _ state: FarmState, _ view: FarmView?, _ entries: [HistoryEntry], _ now: Moment,
        policy: FarmPolicy? = nil
    ) async throws {
        guard let term = writing.term else { throw FarmStoreFault.superseded }
        var record = FarmRecord()
        (record.state, record.view) = (state, view)
        let farm = policy ?? followed.record
        let number = farm?.number ?? 0
        record.policy = farm
        record.entries = writing.entries + UInt64(entries.count)
        record.node = store.standing.node
        record.write = UInt64.random(in: 1...(1 << 52))
        let coded = try record.coded(now: now, unixTime: Date().timeIntervalSince1970)
        let lastSerial = writing.lastSerial
        if let serial = view?.serial { writing.lastSerial = serial }
        do throws(FarmStoreFault) {
            writing.revision = try await store.save(
                coded, adding: entries, from: writing.entries, after: writing.revision, term: term)
            writing.entries = record.entries
            writing.policy = number
            writing.isDue = false
        } catch {
            // It was not written, for certain: its serial is free.
            if case .unusable = error { writing.lastSerial = lastSerial }
            // This node's own write whose answer was lost, or a restored backup: within a term memory is right.
            if case .unexpected(let revision) = error {
                (writing.revision, writing.isDue) = (revision, true)
            }
            throw error
        }
    }

    /// Waits for the turn to carry out an operator's order; `endTurn` has to follow unless it throws.
    func beginOrder() async throws {
        await beginTurn()
        guard let refusal else {
            // There is something to plan as soon as it is carried out.
            bell.yield()
            return
        }
        endTurn()
        throw OverrideError(refusal)
    }

    /// Why no order is taken here now; nil when it is.
    public var refusal: String? {
        guard !leads else { return nil }
        let leader = store.standing.leader.map { "'\($0.node)' leads: say it there" }
        return "this control node does not lead; \(leader ?? "no node does now: try again soon")"
    }

    /// What an operator should know of the standing.
    var standingNotes: [String] {
        let standing = store.standing
        guard standing.isShared else { return [] }
        let alarms = standing.alarm.isEmpty ? [] : [standing.alarm]
        return alarms + policyNotes + notes(of: standing)
    }

    private func notes(of standing: Standing) -> [String] {
        if !standing.trouble.isEmpty {
            return [
                "etcd cannot be reached (\(standing.trouble)): what was answered last stays, nobody changes roles"
            ]
        }
        if standing.term != nil { return [] }
        guard let leader = standing.leader else {
            return ["no control node leads: nobody changes roles"]
        }
        return ["'\(standing.node)' follows, '\(leader.node)' plans"]
    }
}
