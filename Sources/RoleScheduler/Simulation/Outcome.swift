/// What became of one simulated run: the figures by which policies are compared, the course of the run
/// minute by minute, and every move with its reason. Times are seconds from the start of the mailing.
public struct Outcome: Hashable, Sendable, Codable {
    /// What steered the farm: the policy's file or the static split.
    public var name: String
    /// When the last row was sent; nil when rows were left at the horizon.
    public var completion: Int?
    /// Rows left at the end.
    public var unsent = 0.0
    /// The longest that a bounce waited to be taken, in seconds.
    public var worstBounceAge = 0
    /// Most bounces that waited at once.
    public var worstBounceBacklog = 0.0
    /// Waits of unsubscribe clicks, in seconds.
    public var clickWaitMedian = 0
    public var clickWaitP99 = 0
    public var clickWaitWorst = 0
    /// Machines that began to move out of or into a role since the start of the mailing.
    public var moves = 0
    /// Roles that took a machine within 10 minutes after giving one up, or the other way about.
    public var flaps = 0
    /// Roles in the order of the stacked picture.
    public var roles: [String] = []
    public var minutes: [Minute] = []
    public var log: [Move] = []
    /// All machines, by number from 1.
    public var machines: [String] = []
    /// What the agents of machines said when the mailing began; those that said nothing are left out.
    public var labels: [String: [String]] = [:]
    /// Members with a label, by label and role: the mean over the run.
    public var labelled: [String: [String: Double]] = [:]
    /// Each time that a machine was a black hole, in the order of time.
    public var holes: [Hole] = []

    public init(name: String) { self.name = name }

    /// The course of the farm at the end of one minute.
    public struct Minute: Hashable, Sendable, Codable {
        public var second: Int
        /// Members that serve or drain, by role.
        public var members: [String: Int]
        public var targets: [String: Int]
        public var down: Int
        /// Machines that take work and do none of it.
        public var holes: Int
        public var outboundBacklog: Double
        public var bounceBacklog: Double
        /// The oldest bounce, in seconds.
        public var bounceAge: Int
        /// Of the clicks taken in this minute, in seconds.
        public var clickWaitP99: Int
        /// Per second, mean over the minute.
        public var sent: Double
        public var bounces: Double
        public var clicks: Double
    }

    /// One machine changed its state.
    public struct Move: Hashable, Sendable, Codable {
        public var second: Int
        public var smurf: String
        public var from: String
        public var to: String
        public var why: String
        /// It begins to move because the planner chose to: not by ageing, and not by dying.
        public var isChosen: Bool
        /// It leaves for what somebody else than its agent holds against it.
        public var isDoubted: Bool
        /// The role that it comes into or leaves.
        public var role: String
    }

    /// A machine takes work and does none of it.
    public struct Hole: Hashable, Sendable, Codable {
        public var smurf: String
        public var from: Int
        /// When it worked again; nil: not before the end.
        public var to: Int?
        /// When it was first taken for what it is; nil: never.
        public var found: Int?
    }

    /// Whether everything was sent while no bounce waited longer than 5 min and 99 % of the clicks at most
    /// 10 s.
    public var keepsLimits: Bool {
        completion != nil && worstBounceAge <= 300 && clickWaitP99 <= 10
    }

    /// The last second of the series.
    public var length: Int { minutes.last?.second ?? 0 }
}
