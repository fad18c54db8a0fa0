public import Farm

/// What the operator wants of the farm, as read from the policy file: a complete, checked value with
/// every default filled in. It is not a state; nothing in it changes while the farm runs.
public struct Policy: Hashable, Sendable {
    /// The delegated zone, lower case, without the final dot.
    public var zone: String
    /// Domain of the envelope senders, without the final dot; by default `bounce.` + zone.
    public var bounceDomain: String
    public var movement: Movement
    public var guards: Guards
    /// Share of the setpoint, 0…1, that demand must pass before the setpoint follows it.
    public var tolerance: Double
    /// TTL of the machines' own names, in seconds.
    public var hostTTL: UInt32
    /// Sorted by name.
    public var roles: [RolePolicy]
    /// Machines the policy knows by id, sorted by id; others may join without being listed.
    public var members: [MemberPolicy]
    /// What is said of machines by their labels, in the order of the file.
    public var labelled: [LabelPolicy] = []
    public var onSignalLoss: SignalLoss
    /// Where numbers are read that nobody brings, sorted by name.
    public var signals: [SignalSource] = []
    /// In the order of the file: the first that is on holds.
    public var phases: [Phase] = []
    /// Whether a machine may be answered for several roles when there are fewer machines than roles.
    public var colocates = false
    /// Takes the machines that no role wants; a phase says it.
    public var idle: Role?
    /// Labels directly under the zone that the zone file has records for; no machine may have one for
    /// its id. Not in the policy file: whoever reads both files fills it in.
    public var staticLabels: Set<String> = []

    public init(
        zone: String, bounceDomain: String? = nil, roles: [RolePolicy],
        members: [MemberPolicy] = [], movement: Movement = Movement(), guards: Guards = Guards(),
        tolerance: Double = 0.1, hostTTL: UInt32 = 3600, onSignalLoss: SignalLoss = SignalLoss()
    ) {
        self.zone = zone
        self.bounceDomain = bounceDomain ?? "bounce." + zone
        self.roles = roles.sorted { $0.role < $1.role }
        self.members = members.sorted { $0.id < $1.id }
        self.movement = movement
        self.guards = guards
        self.tolerance = tolerance
        self.hostTTL = hostTTL
        self.onSignalLoss = onSignalLoss
    }

    /// The role's rules; nil when the policy has no such role.
    public subscript(role: Role) -> RolePolicy? { roles.first { $0.role == role } }

    /// How long answers of a role may be kept, in seconds, for those who ask at every report; nil when there is no such role.
    public func ttl(of role: Role) -> UInt32? {
        // By index: a rule is large, and whoever copies it pays for each of its parts.
        for index in roles.indices where roles[index].role == role { return roles[index].ttl }
        return nil
    }

    /// What the policy says of one machine; a machine it does not list may hold any role.
    public func member(_ id: SmurfID) -> MemberPolicy {
        members.first { $0.id == id } ?? MemberPolicy(id: id)
    }

    /// What else goes by the name that a machine called `id` would get; nil when it is free.
    public func holder(of id: SmurfID) -> String? {
        if let rule = roles.first(where: { $0.role.name == id.name }) {
            return "the name of role '\(rule.role)'"
        }
        if let rule = roles.first(where: { $0.names.contains { $0.owner == id.name } }) {
            return "a name of role '\(rule.role)'"
        }
        if senderOwners.contains(id.name) { return "the bounce domain" }
        return staticLabels.contains(id.name) ? "a name in the zone file" : nil
    }

    /// Roles by importance: priority 1 first, names break ties.
    public var rolesByPriority: [RolePolicy] {
        roles.sorted { ($0.priority, $0.role) < ($1.priority, $1.role) }
    }
}

/// How fast the farm may change.
public struct Movement: Hashable, Sendable {
    /// Machines that may be warming or draining at once.
    public var maxInflight: Int
    /// Least time between two moves.
    public var gap: Duration
    /// Least time a machine serves a role before demand may take it away.
    public var minDwell: Duration
    /// Demand must be above the setpoint for most of this time before the setpoint grows.
    public var upWindow: Duration
    /// Demand must stay below the setpoint for this long before the setpoint shrinks.
    public var downWindow: Duration

    public init(
        maxInflight: Int = 1, gap: Duration = .seconds(20), minDwell: Duration = .seconds(120),
        upWindow: Duration = .seconds(20), downWindow: Duration = .seconds(180)
    ) {
        self.maxInflight = maxInflight
        self.gap = gap
        self.minDwell = minDwell
        self.upWindow = upWindow
        self.downWindow = downWindow
    }
}

/// When the scheduler stops trusting what it sees.
public struct Guards: Hashable, Sendable {
    /// Share of the farm, 0…1: more than this lost within `freezeWindow` stops voluntary moves.
    public var freezeWhenLost: Double
    public var freezeWindow: Duration
    /// Share of a role's members, 0…1: fewer healthy ones than this and all of them are answered.
    public var panicBelow: Double
    /// A signal older than this counts as missing.
    public var signalStale: Duration
    /// A silent machine is down after a third of this, and loses its role after all of it.
    public var deadAfter: Duration
    /// A member that has done nothing for so long while most of its peers worked is a black hole; zero: nobody is.
    public var blackHoleAfter = Duration.seconds(300)

    public init(
        freezeWhenLost: Double = 0.5, freezeWindow: Duration = .seconds(300),
        panicBelow: Double = 0.4, signalStale: Duration = .seconds(60),
        deadAfter: Duration = .seconds(60)
    ) {
        self.freezeWhenLost = freezeWhenLost
        self.freezeWindow = freezeWindow
        self.panicBelow = panicBelow
        self.signalStale = signalStale
        self.deadAfter = deadAfter
    }

    /// How long a machine may be silent before it counts as down.
    public var downAfter: Duration { deadAfter / 3 }
}

/// What to do while a signal is missing. Missing is never zero.
public struct SignalLoss: Hashable, Sendable {
    public enum Mode: String, Hashable, Sendable, CaseIterable {
        /// The setpoint stays where it is.
        case hold
        /// The setpoint stays, and never falls below the role's fallback count.
        case fallback
    }

    public var mode: Mode
    /// The fallback counts only after a signal was missing for so long.
    public var after: Duration
    /// Least members per role while its signal is missing: a floor, never a ceiling.
    public var fallback: [Role: Int]

    public init(
        mode: Mode = .hold, after: Duration = .zero, fallback: [Role: Int] = [:]
    ) {
        self.mode = mode
        self.after = after
        self.fallback = fallback
    }
}
