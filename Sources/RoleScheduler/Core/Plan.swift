public import Farm

/// The scheduler's mind: from what is wanted and what is there to the next few moves. Pure: no clock,
/// no random number, no I/O; every loop goes over sorted ids, so that equal input gives equal output.
/// - Parameters:
///   - state: of the last plan.
///   - demand: signals with the moment each was measured.
///   - health: the last report of each machine; machines without an agent need none.
///   - now: read once by the caller; never earlier than at the last plan.
///   - timeOfDay: for phases by the clock; nil = no such phase holds.
///   - cores: what each delivery core said last, by its name.
/// - Returns: the new state, what changed and why.
/// - Complexity: O(n log n) in the number of machines per move made.
public func plan(
    policy: Policy, state: FarmState, demand: Demand, health: [SmurfID: Health], now: Moment,
    timeOfDay: TimeOfDay? = nil, cores: [String: CoreSight] = [:]
) -> Plan {
    var state = state
    let phase = PhaseWatch(policy: policy, demand: demand, now: now, timeOfDay: timeOfDay)
        .step(&state)
    let policy = policy.during(phase)
    var planner = Planner(policy: policy, state: state, health: health, now: now)
    planner.phase = phase
    planner.cores = cores
    planner.live()
    let outcomes = RoleDemand(policy: policy, demand: demand, now: now)
        .stabilise(&planner.state)
    planner.move(outcomes)
    return planner.finish(outcomes)
}

/// What one call of `plan` decided.
public struct Plan: Hashable, Sendable {
    public var state: FarmState
    /// In the order in which they were made; at most one per machine.
    public var actions: [Action]
    /// One per role, sorted by name.
    public var explanation: [RoleExplanation]
    /// Alarms, and why nothing moves.
    public var notes: [String]
    /// The name of the phase that holds; nil for none.
    public var phase: String?

    /// One machine changed its state.
    public struct Action: Hashable, Sendable {
        public var smurf: SmurfID
        public var from: SmurfRecord.State
        public var to: SmurfRecord.State
        public var cause: Cause

        /// The cause in words.
        public var why: String { cause.description }
    }
}

/// The working state of one call of `plan`.
struct Planner: Sendable {
    let policy: Policy
    let health: [SmurfID: Health]
    let now: Moment
    var state: FarmState
    /// The machines in the order in which everything walks them; a plan neither adds nor removes any.
    let ids: [SmurfID]
    var actions: [Plan.Action] = []
    /// The machines of `actions`.
    var changed: Set<SmurfID> = []
    var notes: [String] = []
    /// Whose changes `policy` has in it.
    var phase: Phase?
    var cores: [String: CoreSight] = [:]
    var targets: [Role: Int] = [:]
    /// What keeps single roles from their targets, and what keeps all of them.
    var blocked: [Role: Delay] = [:]
    var stop: Delay?
    private let members: [SmurfID: MemberPolicy]

    init(policy: Policy, state: FarmState, health: [SmurfID: Health], now: Moment) {
        self.policy = policy
        self.state = state
        self.health = health
        self.now = now
        ids = state.ids
        members = Dictionary(
            policy.members.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// What the policy says of the machine, without a walk through all it lists.
    func member(_ id: SmurfID) -> MemberPolicy { members[id] ?? MemberPolicy(id: id) }

    /// Whether the machine is heard of, or needs not be.
    func isUp(_ id: SmurfID) -> Bool {
        guard member(id).agent else { return true }
        guard let report = health[id] else { return isAwaited(id) }
        return now.since(report.heard) <= policy.guards.downAfter
    }

    /// Whether it was there before a restart and has not yet had the time to say that it still is.
    func isAwaited(_ id: SmurfID) -> Bool {
        guard member(id).agent, health[id] == nil, let resumed = state.resumed,
            let record = record(id), record.state != .joining, record.state != .quarantined
        else { return false }
        return now.since(resumed) <= policy.guards.deadAfter
    }

    /// Whether it is up and, when it serves, ready or unready only for as long as it might be silent.
    func isFit(_ id: SmurfID) -> Bool {
        isFit(id, unreadySince: record(id)?.unreadySince)
    }

    /// - Parameter unreadySince: of its record, for who has that at hand.
    func isFit(_ id: SmurfID, unreadySince: Moment?) -> Bool {
        guard isUp(id) else { return false }
        guard let since = unreadySince else { return true }
        return now.since(since) <= policy.guards.downAfter
    }

    func record(_ id: SmurfID) -> SmurfRecord? { state.smurfs[id] }

    /// Members of `role`, serving or warming, fit or not; those that must leave it do not count.
    func assigned(_ role: Role) -> [SmurfID] {
        ids.filter { record($0)?.assigned == role && !isForbidden($0, role) }
    }

    /// Members of `role` that are answered and fit.
    func healthyServing(_ role: Role) -> [SmurfID] {
        ids.filter { id in
            guard let record = record(id), record.state == .serving(role) else { return false }
            return isFit(id, unreadySince: record.unreadySince)
        }
    }

    /// Whether the policy bars `id` from `role` and no operator put it there.
    func isForbidden(_ id: SmurfID, _ role: Role) -> Bool {
        record(id)?.override == nil && !member(id).allows(role)
    }

    mutating func change(_ id: SmurfID, to new: SmurfRecord.State, _ cause: Cause) {
        guard var record = state.smurfs[id] else { return }
        actions.append(Plan.Action(smurf: id, from: record.state, to: new, cause: cause))
        changed.insert(id)
        if case .draining(let role) = record.state, policy[role]?.sends ?? false {
            state.departedSenders[id] = now
        }
        record.state = new
        record.since = now
        record.unreadySince = nil
        record.reason = cause.description
        state.smurfs[id] = record
    }

    func finish(_ outcomes: [Role: RoleDemand.Outcome]) -> Plan {
        var plan = Plan(state: state, actions: actions, explanation: [], notes: notes)
        plan.phase = phase?.name
        for rule in policy.roles {
            let role = rule.role
            guard let outcome = outcomes[role] else { continue }
            let serving = healthyServing(role)
            plan.explanation.append(explanation(rule, outcome, serving: serving.count))
            if !serving.isEmpty { plan.state.lastMembers[role] = serving }
        }
        return plan
    }

    private func explanation(
        _ rule: RolePolicy, _ outcome: RoleDemand.Outcome, serving: Int
    ) -> RoleExplanation {
        let target = targets[rule.role] ?? 0
        let assigned = assigned(rule.role)
        return RoleExplanation(
            role: rule.role, raw: outcome.raw, wanted: outcome.wanted, setpoint: outcome.setpoint,
            target: target, assigned: assigned.count, serving: serving,
            bound: bound(rule, outcome, target), delay: delay(rule.role, assigned, target, serving))
    }

    private func bound(_ rule: RolePolicy, _ outcome: RoleDemand.Outcome, _ target: Int) -> Bound {
        // The setpoint follows a floor or ceiling that a phase moved only by its windows.
        let goal = rule.clamp(outcome.setpoint)
        if target < goal { return .share }
        let changes = phase?.changes[rule.role]
        let bound: Bound =
            if target == outcome.setpoint { outcome.bound } else if target == rule.max {
                .maximum
            } else { target == goal ? .minimum : .soak }
        guard let phase else { return bound }
        switch bound {
        case .minimum where changes?.min != nil: return .phase(phase.name)
        case .maximum where changes?.max != nil: return .phase(phase.name)
        case .soak where phase.idle == rule.role && (rule.soak == 0 || !outcome.isSoaking):
            return .phase(phase.name)
        default: return bound
        }
    }

    private func delay(
        _ role: Role, _ assigned: [SmurfID], _ target: Int, _ serving: Int
    ) -> Delay? {
        if assigned.count == target {
            let coming = assigned.filter { record($0)?.state == .warming(role) }
            return coming.isEmpty ? nil : .warming(coming.count)
        }
        if let why = blocked[role] ?? stop { return why }
        if assigned.count < target {
            return .inflight(state.smurfs.values.filter(\.isMoving).count)
        }
        return assigned.contains { isSpare($0, role) } ? .inTurn : .noneSpare
    }
}

/// Questions about a state that others than the planner ask.
public struct PlanView: Sendable {
    let planner: Planner

    /// - Parameter targets: of the last plan, where `whyNot` is asked.
    public init(
        policy: Policy, state: FarmState, health: [SmurfID: Health], now: Moment,
        targets: [Role: Int] = [:], cores: [String: CoreSight] = [:]
    ) {
        var planner = Planner(policy: policy, state: state, health: health, now: now)
        planner.targets = targets
        planner.cores = cores
        self.planner = planner
    }

    /// Whether the machine is heard of, or needs not be, and is ready for what it serves.
    public func isFit(_ id: SmurfID) -> Bool { planner.isFit(id) }

    /// Members of `role` that serve and are fit, sorted.
    public func serving(_ role: Role) -> [SmurfID] { planner.healthyServing(role) }

    /// Why `id` is not taken for `role` now; nil when it could be.
    public func whyNot(_ id: SmurfID, _ role: Role) -> WhyNot? { planner.whyNot(id, role) }

    /// Falls after which a machine is quarantined.
    public static var fallsUntilQuarantine: Int { Planner.fallsUntilQuarantine }

    /// What `id`, which drains, waits for; nil when for nothing.
    public func drainWait(_ id: SmurfID) -> String? { planner.drainWait(id) }

    /// Why `id`, which has `role`, may not leave it; nil when it may.
    public func whyNotSpare(_ id: SmurfID, _ role: Role) -> WhyNot? {
        planner.whyNotSpare(id, role)
    }
}
