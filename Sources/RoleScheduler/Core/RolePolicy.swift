public import Farm

/// The rules of one role: its names, how many machines it wants and what they are worth. It says
/// nothing of who holds the role.
public struct RolePolicy: Hashable, Sendable {
    public var role: Role
    /// What the machines run while they hold the role.
    public var service: Service
    /// Sorted by owner, then kind; may be empty (a role without DNS names).
    public var names: [RoleName]
    /// 1 is the most important.
    public var priority: Int
    /// Floor of serving members.
    public var min: Int
    /// Ceiling; nil means as many as there are.
    public var max: Int?
    /// Weight for spare machines while there is backlog; 0 takes none.
    public var soak: Int
    /// Work units per second that one member does; nil when demand does not size the role.
    public var capacity: Double?
    /// How far from `capacity`, as a share of it, the one that members show while there is backlog may be to be planned
    /// with; 0: it is not planned with.
    public var measuredWithin = 0.0
    /// Share of the capacity to plan with, above 0, at most `mostUtilisation`; above 1 only with a latency, which then tells
    /// when too much waits.
    public var utilisation: Double
    public var demand: DemandRule
    /// TTL of the role's records, in seconds.
    public var ttl: UInt32
    /// Whether its members send mail, thus belong into the SPF record.
    public var sends: Bool
    public var empty: WhenEmpty
    public var drain: DrainRule
    /// How long a member must be healthy in the role before it is answered.
    public var warm: Duration
    /// How members are looked at from outside; nil: not at all.
    public var check: CheckRule?
    /// At most so many members in one answer; 0 for all.
    public var answer: Int
    /// A new member is in a quarter of the answers at first, and in all of them after this time.
    public var slowStart = Duration.zero
    /// The first machine of a series that comes into the role must serve for so long before the next may.
    public var canary = Duration.zero
    /// Of the machines that can be counted on, the role wants this share at least, 0…1, whatever its signals say.
    public var share = 0.0
    /// Labels that a machine must have, all of them, to hold the role; sorted.
    public var needs: [Label] = []

    public init(
        role: Role, service: Service? = nil, names: [RoleName] = [], priority: Int = 1,
        min: Int = 0, max: Int? = nil, soak: Int = 0, capacity: Double? = nil,
        utilisation: Double = 0.7, demand: DemandRule = DemandRule(), ttl: UInt32 = 30,
        sends: Bool? = nil, empty: WhenEmpty = .keep, drain: DrainRule = DrainRule(),
        warm: Duration = .seconds(10), check: CheckRule? = nil, answer: Int = 0
    ) {
        let service = service ?? Service(rawValue: role.name) ?? .none
        self.role = role
        self.service = service
        self.names = names.sorted()
        self.priority = priority
        self.min = min
        self.max = max
        self.soak = soak
        self.capacity = capacity
        self.utilisation = utilisation
        self.demand = demand
        self.ttl = ttl
        self.sends = sends ?? (service == .smtpOut)
        self.empty = empty
        self.drain = drain
        self.warm = warm
        self.check = check
        self.answer = answer
    }

    public static let mostUtilisation = 1.2

    /// Least time between leaving DNS and going idle: caches must have forgotten the address.
    public var drainTime: Duration {
        .seconds(Double(ttl) * drain.ttlFactor) + drain.grace
    }

    /// Signal: work per second of one member, as it is measured while there is backlog.
    public var rateSignal: String { "\(role).rate" }

    /// Whether demand says how many members it wants; otherwise it wants its floor.
    public var isSized: Bool { (capacity ?? 0) > 0 && !demand.sizing.isEmpty }

    /// `count` held within the role's floor and ceiling.
    public func clamp(_ count: Int) -> Int {
        Swift.max(Swift.min(count, max ?? Int.max), min)
    }
}

/// What a machine runs for a role.
public enum Service: String, Hashable, Sendable, CaseIterable {
    case smtpOut = "smtp-out"
    case smtpIn = "smtp-in"
    case web
    case none
}

/// What a name answers when its role has no member.
public enum WhenEmpty: String, Hashable, Sendable, CaseIterable {
    /// The last non-empty set.
    case keep
    case servfail
    case nodata
}

/// One name that follows the role.
public struct RoleName: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Relative to the zone: "smtp-out", "@" for the apex.
    public var owner: String
    public var kind: Membership.RoleRecords.Kind

    public init(owner: String, kind: Membership.RoleRecords.Kind) {
        self.owner = owner
        self.kind = kind
    }

    public static func < (left: RoleName, right: RoleName) -> Bool {
        (left.owner, left.rank) < (right.owner, right.rank)
    }

    private var rank: Int {
        switch kind {
        case .address: -1
        case .mailExchange(let preference): Int(preference)
        case .service(let priority, let port): 1 << 20 | Int(priority) << 16 | Int(port)
        case .https(let priority): 1 << 40 | Int(priority)
        }
    }

    /// As a policy file has it, "smtp-out A".
    public var description: String {
        switch kind {
        case .address: "\(owner) A"
        case .mailExchange(let preference): "\(owner) MX \(preference)"
        case .service(let priority, let port): "\(owner) SRV \(priority) \(port)"
        case .https(let priority): "\(owner) HTTPS \(priority)"
        }
    }
}

/// Which signals size the role. Names are those of `Demand`.
public struct DemandRule: Hashable, Sendable {
    /// Work units per second that come in.
    public var arrival: String?
    /// Work units that wait.
    public var backlog: String?
    /// Time in which to work the backlog off.
    public var eta: Duration
    /// Signal with the seconds left until the backlog must be gone; beats `eta` while it is known.
    public var deadline: String?
    /// Signal with a 95th percentile latency in seconds, and its limit.
    public var latency: Latency?
    /// What else will arrive, by what was sent.
    public var predict: PredictRule?

    public struct Latency: Hashable, Sendable {
        public var signal: String
        public var limit: Duration

        public init(signal: String, limit: Duration) {
            self.signal = signal
            self.limit = limit
        }
    }

    public init(
        arrival: String? = nil, backlog: String? = nil, eta: Duration = .seconds(300),
        deadline: String? = nil, latency: Latency? = nil
    ) {
        self.arrival = arrival
        self.backlog = backlog
        self.eta = eta
        self.deadline = deadline
        self.latency = latency
    }

    /// Signals that must be fresh for the setpoint to move.
    public var sizing: [String] { [arrival, backlog, predict?.from].compactMap { $0 } }

    /// Every signal that it speaks of.
    public var named: [String] { sizing + [deadline, latency?.signal].compactMap { $0 } }
}

/// How a member leaves its role.
public struct DrainRule: Hashable, Sendable {
    /// The TTL is waited out this many times; at least 1.
    public var ttlFactor: Double
    /// Added to the TTL wait.
    public var grace: Duration
    /// Open connections are waited for at most this long, counted from the start of the drain.
    public var deadline: Duration
    /// Instead of the TTL, the word of every delivery core that it has finished with the machine is waited for: for
    /// names that nobody else asks for. The deadline ends that too.
    public var waitsForCores = false

    public init(
        ttlFactor: Double = 2, grace: Duration = .seconds(15), deadline: Duration = .seconds(300)
    ) {
        self.ttlFactor = ttlFactor
        self.grace = grace
        self.deadline = deadline
    }
}

/// What the policy says of one machine.
public struct MemberPolicy: Hashable, Sendable {
    public var id: SmurfID
    /// Known beforehand; a machine that joins tells its own.
    public var addresses: [IPAddress]
    /// Roles it must not hold.
    public var not: Set<Role>
    /// The only role it may hold; demand never takes it away.
    public var pin: Role?
    /// Whether an agent reports for it; without one it counts as healthy, unless its role has a check.
    public var agent: Bool
    /// How much of the work it should get beside others (SRV, `answer`), 1…100.
    public var weight = 1
    /// How much it does of what its role's `capacity` says, 0.1…100.
    public var capacity = 1.0
    /// Beside those that its agent tells; sorted.
    public var labels: [Label] = []
    /// Roles that it may not hold because it lacks a label, and the first that it lacks. Not of the file: see
    /// `MemberRules`.
    var lacking: [Role: Label] = [:]

    public init(
        id: SmurfID, addresses: [IPAddress] = [], not: Set<Role> = [], pin: Role? = nil,
        agent: Bool = true
    ) {
        self.id = id
        self.addresses = addresses
        self.not = not
        self.pin = pin
        self.agent = agent
    }

    /// Whether it may hold `role`.
    public func allows(_ role: Role) -> Bool {
        guard lacking.isEmpty || lacking[role] == nil else { return false }
        if let pin { return pin == role }
        return !not.contains(role)
    }
}
