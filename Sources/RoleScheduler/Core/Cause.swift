public import Farm

/// Why a machine changed its state.
public enum Cause: Hashable, Sendable {
    // Time and health.
    case healthy
    case ready
    case drained
    case drainDeadline(connections: Int)
    case dead
    /// Up, and not ready for the role it serves for too long.
    case unready
    /// Up, and not ready because somebody else than its agent says so, for too long or while its role can do without it.
    case doubted(Doubt)
    /// With what is held against it, if it is not its own word.
    case neverReady(Role, within: Duration, Doubt?)
    case fellOften(Int)
    // The policy and operators.
    case roleGone
    case forbidden(Role)
    case held(reason: String)
    case moved(by: String, reason: String)
    // The scheduler's own will.
    case floor(Role)
    case demand(Role)
    /// Taken from a role with more than its share, for one below its floor or in need.
    case takenForFloor(Role, from: Role)
    case takenForDemand(Role, from: Role)
    case surplus(Role)
    /// Sent so that another, who may hold what this one may not, can be taken from the role.
    case replacement(in: Role, for: Role, isFloor: Bool)

    /// Whether the scheduler chose it for the sake of demand or floors.
    public var isChosen: Bool {
        switch self {
        case .floor, .demand, .takenForFloor, .takenForDemand, .surplus, .replacement: true
        default: false
        }
    }
}

extension Cause: CustomStringConvertible {
    /// As history and board say it.
    public var description: String {
        switch self {
        case .healthy: "healthy"
        case .ready: "ready"
        case .drained: "drained"
        case .drainDeadline(let connections): "drain deadline, \(connections) connections left"
        case .dead: "dead"
        case .unready: "dead: up but not ready"
        case .doubted(let doubt): doubt.description
        case .neverReady(let role, let limit, let doubt):
            "not ready for \(role) within \(Int(limit.inSeconds)) s"
                + (doubt.map { ": \($0)" } ?? "")
        case .fellOften(let times): "fell from service \(times) times"
        case .roleGone: "role is gone"
        case .forbidden(let role): "forbidden: the policy bars it from \(role)"
        case .held(let reason): "held: \(reason)"
        case .moved(let by, let reason): "moved by \(by): \(reason)"
        case .floor(let role): "floor of \(role)"
        case .demand(let role): "demand of \(role)"
        case .takenForFloor(let role, let from):
            "floor of \(role), \(from) has more than its share"
        case .takenForDemand(let role, let from):
            "demand of \(role), \(from) has more than its share"
        case .surplus(let role): "\(role) has more than it needs"
        case .replacement(let role, let needy, let isFloor):
            "\(isFloor ? "floor" : "demand") of \(needy), whose next machine leaves \(role) for it"
        }
    }
}
