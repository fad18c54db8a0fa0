public import Farm

/// How a role came to have the members it has, as data: from the numbers to what is wanted, through windows
/// and shares to the target, and what keeps the role from it. It is not text: who shows it words it.
public struct RoleExplanation: Hashable, Sendable {
    public var role: Role
    public var raw: RawDemand
    /// Demand after tolerance, floor and ceiling, before windows.
    public var wanted: Int
    /// After windows.
    public var setpoint: Int
    /// What the role gets of the machines there are.
    public var target: Int
    /// Members that serve or warm up and may stay.
    public var assigned: Int
    /// Healthy members in DNS.
    public var serving: Int
    /// Why the target is this number.
    public var bound: Bound
    /// Why the role does not have its target; nil when it does.
    public var delay: Delay?
}

/// The formula of a role's demand with its numbers.
public struct RawDemand: Hashable, Sendable {
    /// nil when demand does not size the role, and when none of its numbers is known.
    public var formula: Formula?
    /// Sizing signals that are missing or old, in the policy's order.
    public var missing: [String]
    /// Machines, not rounded: the formula's result, else the floor or 0.
    public var members: Double

    /// (arrival + backlog / seconds) / (capacity × utilisation)
    public struct Formula: Hashable, Sendable {
        /// Work per second.
        public var arrival: Double
        /// Work per second that will soon arrive by what was sent; takes the place of `arrival`. nil when it is less.
        public var predicted: Double?
        public var backlog: Double
        /// In which the backlog is to be gone.
        public var seconds: Double
        /// Work per second of one machine.
        public var capacity: Double
        /// What one machine was seen to do; nil when the policy does not let it count. `capacity` is as near to it as the
        /// policy lets it be.
        public var measured: Double?
        public var utilisation: Double
    }
}

/// The one thing that makes a target the number it is.
public enum Bound: Hashable, Sendable {
    /// The formula, rounded up.
    case demand
    /// The same, of arrivals that were not seen yet but follow from what was sent.
    case prediction
    case minimum
    case maximum
    /// Demand is so near to what the role has that it counts as that.
    case tolerance
    /// Arrivals are at what the members can take.
    case saturation
    /// A latency is over its limit.
    case latency(signal: String)
    /// Numbers are missing: the role keeps what it has.
    case signalLoss
    /// Numbers are missing, and the policy's fallback is more than the role had.
    case fallback
    /// Demand is up, but has been for only this share of the up window; more than half is needed.
    case upWindow(share: Double)
    /// Demand is down, and must stay so for this long.
    case downWindow(left: Duration)
    /// The policy wants this share of the farm in the role, whatever its signals say.
    case shareOfFarm(Double)
    /// Roles that come first leave no more machines, or none that may hold the role.
    case share
    /// The floor, the ceiling or the idle role of this phase.
    case phase(String)
    /// Spare machines go where there is backlog.
    case soak
}

/// What keeps a role from its target.
public enum Delay: Hashable, Sendable {
    /// Too many machines were lost at once.
    case frozen(down: Int, of: Int)
    /// After a restart: machines that have not reported yet.
    case starting(awaited: Int)
    /// As many machines are between two roles as may be.
    case inflight(Int)
    /// Until the next move may begin.
    case gap(left: Duration)
    /// New members come up.
    case warming(Int)
    /// The first machine of a series must prove itself before the next comes.
    case canary(SmurfID, left: Duration)
    /// A machine on its way out of another role will be free soon.
    case drain
    /// Nobody can be given: see why not machine by machine.
    case noMachine
    /// It has more than its target, and nobody may leave yet.
    case noneSpare
    /// It has more than its target, and gives its machines up one after the other.
    case inTurn
}

/// Why a machine is not taken for a role.
public enum WhyNot: Hashable, Sendable {
    /// It has the role already.
    case member
    case joining
    case quarantined
    /// Silent, or not ready for what it serves.
    case unfit
    /// Up, and taken for not ready because somebody else than its agent says so.
    case doubted(Doubt)
    /// Not heard since a restart.
    case awaited
    /// Operators' words.
    case held
    case cordoned
    case moved(Role)
    /// The policy's.
    case pinned(Role)
    case forbidden
    /// The role needs a label that it does not have.
    case lacks(Label)
    /// On its way into or out of another role.
    case warming(Role)
    case draining(Role)
    /// It began to move in this very plan.
    case moving
    /// It has not served its role for the least time.
    case dwell(Role, left: Duration)
    /// Its role has no more than its target.
    case needed(Role)
    /// Its role would have fewer healthy members than its floor.
    case floor(Role)
}
