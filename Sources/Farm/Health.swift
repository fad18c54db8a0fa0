/// What one smurf said of itself when it last reported, in the scheduler's words and on the
/// scheduler's clock. It is a statement about a machine, not about a role's records.
public struct Health: Hashable, Sendable {
    /// When the report arrived, on the reader's clock (a sender's clock is never trusted).
    public var heard: Moment
    /// Listeners of the role it was ordered to hold are up and passed their self-test.
    public var ready: Bool
    /// The role it says it holds; nil when idle.
    public var role: Role?
    /// Open connections and transactions of that role.
    public var connections: Int
    /// Load average over one minute; informative.
    public var load: Double
    /// Work units done over this run of the agent (messages sent, bounces taken, requests served).
    public var work: UInt64
    /// Why it counts as not ready although it may have said that it is; nil: nobody but itself says anything.
    public private(set) var doubt: Doubt?

    public init(
        heard: Moment, ready: Bool, role: Role?, connections: Int, load: Double, work: UInt64
    ) {
        self.heard = heard
        self.ready = ready
        self.role = role
        self.connections = connections
        self.load = load
        self.work = work
    }

    /// Lets it count as not ready, and says why.
    public mutating func doubt(_ doubt: Doubt) {
        ready = false
        self.doubt = doubt
    }
}
