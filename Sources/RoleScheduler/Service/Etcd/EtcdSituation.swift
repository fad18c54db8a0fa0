import EtcdProtocol
import Farm
import Foundation

/// What one control node knows of the farm's keys in etcd and of its own lease: a value that lists and events change.
/// It leads while the leader's key hangs on its lease and the lease was renewed less than its time ago, by this
/// machine's clock.
struct EtcdSituation: Sendable {
    private let keys: EtcdKeys
    private let node: String
    private(set) var record: SavedRecord?
    private(set) var leader: Leader?
    /// At which what is known of the leader came to be.
    private var leaderRevision: Int64 = 0
    private var nodes: [String: NodeStatus] = [:]
    /// Whether a list has been seen since the last fault.
    private(set) var isListed = false
    private(set) var session: Session?
    /// Whether this node is not to lead.
    var abstains = false
    /// What etcd complains of; empty for nothing.
    var alarm = ""
    var trouble = "etcd has not answered yet"

    struct Leader: Hashable, Sendable {
        var status: NodeStatus
        /// The revision at which its key was made.
        var term: Int64
        var lease: Int64
    }

    /// This node's own lease.
    struct Session: Hashable, Sendable {
        var lease: Int64
        /// Until then it holds for certain.
        var until: ContinuousClock.Instant
    }

    init(keys: EtcdKeys, node: String) {
        self.keys = keys
        self.node = node
    }

    // MARK: What is heard

    /// Takes everything anew: what is not in the list is gone. A restored backup may be older than what was known.
    mutating func take(_ list: Etcdserverpb_RangeResponse) {
        (record, nodes) = (nil, [:])
        // A key that was made after the list was drawn up is not in it.
        let isNewer =
            leader.map { $0.lease == session?.lease && $0.term > list.header.revision } ?? false
        if !isNewer { (leader, leaderRevision) = (nil, 0) }
        for pair in list.kvs { put(pair) }
        leaderRevision = max(leaderRevision, list.header.revision)
        isListed = true
        trouble = ""
    }

    mutating func take(_ events: [Etcdserverpb_Event]) {
        for event in events {
            switch event.type {
            case .put: put(event.kv)
            case .delete: delete(event.kv)
            case .UNRECOGNIZED: break
            }
        }
    }

    private mutating func put(_ pair: Etcdserverpb_KeyValue) {
        if pair.key == keys.record {
            guard pair.modRevision > record?.revision ?? 0 else { return }
            record = SavedRecord(coded: pair.value, revision: pair.modRevision)
        } else if pair.key == keys.leader {
            guard pair.modRevision > leaderRevision else { return }
            note(
                Leader(
                    status: EtcdSituation.status(pair.value) ?? NodeStatus(node: "?", agents: ""),
                    term: pair.createRevision, lease: pair.lease), at: pair.modRevision)
        } else if let name = keys.node(of: pair.key) {
            nodes[name] = EtcdSituation.status(pair.value)
        }
    }

    private mutating func delete(_ pair: Etcdserverpb_KeyValue) {
        if pair.key == keys.leader {
            guard pair.modRevision > leaderRevision else { return }
            (leader, leaderRevision) = (nil, pair.modRevision)
        } else if let name = keys.node(of: pair.key) {
            nodes[name] = nil
        }
    }

    private static func status(_ value: Data) -> NodeStatus? {
        try? JSONDecoder().decode(NodeStatus.self, from: value)
    }

    // MARK: What this node does

    /// Somebody leads, as an answer said.
    mutating func note(_ leader: Leader?, at revision: Int64) {
        guard revision >= leaderRevision else { return }
        (self.leader, leaderRevision) = (leader, revision)
    }

    /// This node has written the record.
    mutating func wrote(_ saved: SavedRecord) {
        if saved.revision > record?.revision ?? 0 { record = saved }
    }

    /// The keys may be other than is known.
    mutating func mistrust(_ why: String) {
        isListed = false
        trouble = why
    }

    /// A write was refused because another term has begun.
    mutating func lostLeadership() {
        if leader?.lease == session?.lease { leader = nil }
        isListed = false
    }

    mutating func begin(_ lease: Int64, until: ContinuousClock.Instant) {
        session = Session(lease: lease, until: until)
        if isListed { trouble = "" }
    }

    mutating func renew(_ lease: Int64, until: ContinuousClock.Instant) {
        if session?.lease == lease { session?.until = until }
        if isListed { trouble = "" }
    }

    mutating func endSession() {
        session = nil
    }

    // MARK: What follows from it

    /// This node's term if it leads.
    func term(at now: ContinuousClock.Instant) -> UInt64? {
        guard let leader, let session, leader.lease == session.lease, now < session.until else {
            return nil
        }
        return UInt64(clamping: leader.term)
    }

    /// The lease to lead with; nil when somebody leads or this node is not fit to.
    func candidacy(at now: ContinuousClock.Instant) -> Int64? {
        guard isListed, !abstains, leader == nil, let session, now < session.until else {
            return nil
        }
        return session.lease
    }

    /// Whether this node leads, or may, and is not to.
    var mustLetGo: Bool { abstains && leader != nil && leader?.lease == session?.lease }

    func standing(at now: ContinuousClock.Instant) -> Standing {
        var standing = Standing(node: node, term: term(at: now))
        // One that hangs on this node's own lease and does not lead any more is as good as none.
        let isOwn = leader != nil && leader?.lease == session?.lease
        if let leader, standing.term != nil || !isOwn {
            standing.leader = leader.status
            standing.leaderTerm = UInt64(clamping: leader.term)
        }
        standing.nodes = nodes.keys.sorted().compactMap { nodes[$0] }
        standing.trouble = trouble
        standing.alarm = alarm
        return standing
    }

    /// What a member's complaints come to: "memberID:… alarm:NOSPACE" are alarms, what else there is passes.
    static func alarm(_ errors: [String]) -> String {
        let names = errors.flatMap { $0.split(separator: " ") }.filter { $0.hasPrefix("alarm:") }
            .map { String($0.dropFirst(6)) }
        return Set(names).sorted().map { name in
            switch name {
            case "NOSPACE":
                "etcd is full (alarm NOSPACE): what was answered last stays, nobody changes roles; compact it, "
                    + "'etcdctl defrag' each member, then 'etcdctl alarm disarm'"
            case "CORRUPT":
                "etcd's members do not hold the same any more (alarm CORRUPT): what was answered last stays, nobody "
                    + "changes roles; put the damaged member in its place from the others"
            default: "etcd has raised the alarm \(name)"
            }
        }.joined(separator: "; ")
    }
}
