public import Farm
public import Foundation

/// Where a farm's record and its history are kept, and who may write them: in SQLite for a control node that is alone,
/// in etcd for several. Of all that have a store open, one leads at a time, for a term; a write of an older term fails,
/// however late it comes. What is in a record the store does not know.
public protocol FarmStore: Sendable {
    /// Keeps in touch with whoever else has the store open, and tries to lead, until the task is cancelled; then lets go of
    /// the leadership.
    /// - Parameter changed: called when `standing` or `newest` may have changed, from any thread.
    func run(_ changed: @escaping @Sendable () -> Void) async

    /// Who leads, as far as is known here at this moment. Costs nothing.
    var standing: Standing { get }

    /// The last record that was seen here, perhaps not the last that was written. Costs nothing.
    var newest: SavedRecord? { get }

    /// The last record that was written, for certain; nil when none ever was.
    func load() async throws(FarmStoreFault) -> SavedRecord?

    /// Replaces the record and adds to the history: both or neither.
    /// - Parameters:
    ///   - number: how many entries the history had before.
    ///   - revision: of the record that this one follows; 0 for none.
    ///   - term: of the writer.
    /// - Returns: the record's revision.
    func save(
        _ coded: Data, adding entries: [HistoryEntry], from number: UInt64, after revision: Int64,
        term: UInt64
    ) async throws(FarmStoreFault) -> Int64

    /// The newest entries first; all of them for `limit` 0.
    func history(limit: Int) async throws(FarmStoreFault) -> [HistoryEntry]

    /// Lets the others know which serial this node answers with.
    func tell(serial: UInt32)

    /// Does not try to lead, and lets go of the leadership, for as long as `abstains` was said last.
    func abstain(_ abstains: Bool)
}

/// A record as a store has it.
public struct SavedRecord: Hashable, Sendable {
    public var coded: Data
    /// Another for every write, greater within one life of the store.
    public var revision: Int64

    public init(coded: Data, revision: Int64) {
        self.coded = coded
        self.revision = revision
    }
}

/// Who leads, and who else is there, as one control node sees it.
public struct Standing: Hashable, Sendable {
    /// This node; empty when it is alone and needs no name.
    public var node: String
    /// This node's term while it leads.
    public var term: UInt64?
    /// Whoever leads; nil when nobody does, or none is known.
    public var leader: NodeStatus?
    /// The leader's term; 0 when there is none.
    public var leaderTerm: UInt64
    /// Every node that is there, sorted by name.
    public var nodes: [NodeStatus]
    /// Why the store cannot be reached; empty when it can.
    public var trouble: String
    /// What the store itself complains of, such as that it is full, with what to do; empty for nothing.
    public var alarm = ""

    public init(node: String, term: UInt64? = nil) {
        self.node = node
        self.term = term
        leader = nil
        leaderTerm = term ?? 0
        nodes = []
        trouble = ""
    }

    /// Whether there are, or may be, other control nodes.
    public var isShared: Bool { !node.isEmpty }
}

/// What a control node says of itself to the others.
public struct NodeStatus: Hashable, Sendable, Codable {
    public var node: String
    /// Where it listens for agents: address and port.
    public var agents: String
    /// Of the zone as it answers; nil when it does not answer yet.
    public var serial: UInt32?

    public init(node: String, agents: String, serial: UInt32? = nil) {
        self.node = node
        self.agents = agents
        self.serial = serial
    }
}

/// One change in the farm's history.
public struct HistoryEntry: Hashable, Sendable, Codable {
    public var unixMilliseconds: Int64
    /// nil: it is about the whole farm, such as another policy.
    public var smurf: SmurfID?
    /// States as `SmurfRecord.State` prints them, or what an operator did.
    public var from: String
    public var to: String
    /// "scheduler", or the operator.
    public var who: String
    public var why: String
    /// Of the membership before the change.
    public var version: UInt64
    /// The control node that did it; empty for one that is alone.
    public var node = ""
    /// In which it led.
    public var term: UInt64 = 0
}

/// Why a store did not do what it was asked for.
public enum FarmStoreFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// It cannot be read or written, or holds something else; nothing was changed.
    case unusable(String)
    /// No answer came: what was to be written may have been written or not.
    case unreachable(String)
    /// Another term has begun; nothing was changed.
    case superseded
    /// Another record than expected is there, of this revision; nothing was changed.
    case unexpected(revision: Int64)

    public var description: String {
        switch self {
        case .unusable(let text), .unreachable(let text): text
        case .superseded: "another control node leads now"
        case .unexpected: "the record in the store is another than the one written last"
        }
    }
}
