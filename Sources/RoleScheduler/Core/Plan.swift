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
/// - Complexity: O(n log n) in the number of machines, and O(n) per move made.
public func plan(
    policy: Policy, state: FarmState, demand: Demand, health: [SmurfID: Health], now: Moment,
    timeOfDay: TimeOfDay? = nil, cores: [String: CoreSight] = [:]
) -> Plan {
    planned(policy, state, demand, health, now, timeOfDay, cores).0
}

/// The plan, and the machines as they stand at its end.
func planned(
    _ policy: Policy, _ state: FarmState, _ demand: Demand, _ health: [SmurfID: Health],
    _ now: Moment, _ timeOfDay: TimeOfDay?, _ cores: [String: CoreSight]
) -> (Plan, Planner) {
    var state = state
    let phase = PhaseWatch(policy: policy, demand: demand, now: now, timeOfDay: timeOfDay)
        .step(&state)
    let policy = policy.during(phase)
    var planner = Planner(policy: policy, state: state, health: health, now: now)
    planner.phase = phase
    planner.cores = cores
    planner.live()
    planner.settle()
    let outcomes = RoleDemand(
        policy: policy, demand: demand, now: now, known: planner.known, usable: planner.usable,
        strength: planner.strength
    ).stabilise(&planner.state)
    planner.move(outcomes)
    return (planner.finish(outcomes), planner)
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

/// The working state of one call of `plan`. Machines go by their place in `machines`, which nobody but `update` changes.
struct Planner: Sendable {
    private(set) var policy: Policy
    /// The policy's roles, the most important first.
    private(set) var rules: [RolePolicy]
    let now: Moment
    /// Its records are those of `machines` only after `settle`.
    var state: FarmState
    /// Sorted by id, as everything walks them; a plan neither adds nor removes any.
    private(set) var machines: [Machine] = []
    /// Of the roles that the policy has or somebody still holds: a few, which are sooner compared than hashed.
    private(set) var tallies: [(role: Role, tally: RoleTally)] = []
    /// Machines between two roles.
    private(set) var moving = 0
    var actions: [Plan.Action] = []
    var notes: [String] = []
    /// Whose changes `policy` has in it.
    var phase: Phase?
    var cores: [String: CoreSight] = [:]
    var targets: [Role: Int] = [:]
    /// What keeps single roles from their targets, and what keeps all of them.
    var blocked: [Role: Delay] = [:]
    var stop: Delay?
    private let watch: Machine.Watch
    private var floors: [Role: Int]
    private let checked: Set<Role>

    init(policy: Policy, state: FarmState, health: [SmurfID: Health], now: Moment) {
        self.policy = policy
        self.state = state
        self.now = now
        rules = policy.rolesByPriority
        floors = Planner.floors(of: policy)
        checked = Set(policy.roles.filter { $0.check != nil }.map(\.role))
        watch = Machine.Watch(policy.guards, resumed: state.resumed, now: now)
        let members = MemberRules(policy)
        machines.reserveCapacity(state.smurfs.count)
        for index in state.sortedIndices {
            let (id, record) = state.smurfs[index]
            machines.append(
                Machine(
                    id: id, record: record, report: health[id],
                    rule: members.rule(of: id, record.labels), watch))
            count(machines.count - 1, 1)
        }
    }

    private static func floors(of policy: Policy) -> [Role: Int] {
        Dictionary(policy.roles.map { ($0.role, $0.min) }, uniquingKeysWith: { first, _ in first })
    }

    /// The same machines, when `state` is theirs, under a policy that says the same of each of them.
    func under(_ policy: Policy, _ state: FarmState) -> Planner {
        var planner = self
        (planner.policy, planner.rules) = (policy, policy.rolesByPriority)
        (planner.floors, planner.state) = (Planner.floors(of: policy), state)
        return planner
    }

    /// Where the machine stands in `machines`; nil when the farm does not know it.
    func place(of id: SmurfID) -> Int? {
        var range = machines.indices
        while let middle = range.isEmpty ? nil : (range.lowerBound + range.upperBound) / 2 {
            if machines[middle].id == id { return middle }
            range =
                machines[middle].id < id ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return nil
    }

    func record(_ place: Int) -> SmurfRecord { machines[place].record }

    func isFit(_ place: Int) -> Bool { machines[place].isFit }

    /// Counts of `role`.
    func tally(_ role: Role) -> RoleTally {
        tallies.first { $0.role == role }?.tally ?? RoleTally()
    }

    /// Whether the policy has the role.
    func isKnown(_ role: Role) -> Bool { floors[role] != nil }

    /// Whether members of the role are looked at from outside.
    func isChecked(_ role: Role) -> Bool { checked.contains(role) }

    /// Fit members that the role keeps whatever others need.
    func floor(_ role: Role) -> Int { min(floors[role] ?? 0, targets[role] ?? 0) }

    /// Members of `role` that are answered and fit.
    func healthyServing(_ role: Role) -> [SmurfID] {
        machines.indices.lazy
            .filter { machines[$0].isFit && machines[$0].record.state == .serving(role) }
            .map { machines[$0].id }
    }

    /// Of each role with a latency: members that are fit and have been answered for longer than answers are kept.
    var known: [Role: Int] {
        var known: [Role: Int] = [:]
        for rule in policy.roles where rule.demand.latency != nil {
            known[rule.role] = machines.count { machine in
                machine.isFit && machine.record.state == .serving(rule.role)
                    && now.since(machine.record.since) >= .seconds(Int(rule.ttl))
            }
        }
        return known
    }

    /// Machines that the scheduler may count on.
    var usable: Int { machines.indices.count(where: isUsable) }

    /// What the average member of a role does of the role's capacity; of a role without members, what those do that could
    /// hold it. Roles that are not in it: 1.
    var strength: [Role: Double] {
        guard machines.indices.contains(where: { machines[$0].rule.capacity != 1 }) else {
            return [:]
        }
        var strength: [Role: Double] = [:]
        for rule in policy.roles {
            let able = machines.indices.filter { isUsable($0) && mayHold($0, rule.role) }
            let members = able.filter { isAssigned($0, rule.role) }
            let counted = members.isEmpty ? able : members
            guard !counted.isEmpty else { continue }
            strength[rule.role] =
                counted.reduce(0) { $0 + machines[$1].rule.capacity } / Double(counted.count)
        }
        return strength
    }

    /// Changes a machine's record, and what is concluded and counted from it.
    mutating func update(_ place: Int, _ change: (inout SmurfRecord) -> Void) {
        count(place, -1)
        machines[place].update(watch, change)
        count(place, 1)
    }

    private mutating func count(_ place: Int, _ step: Int) {
        let isMoving = machines[place].record.isMoving
        if isMoving { moving += step }
        guard let role = machines[place].record.assigned else { return }
        var number = 0
        while number < tallies.count, tallies[number].role != role { number += 1 }
        if number == tallies.count { tallies.append((role, RoleTally())) }
        tallies[number].tally.count(
            isWarming: isMoving, isFit: machines[place].isFit,
            isForbidden: machines[place].isForbidden(role), step)
    }

    /// Brings changed records into the state.
    mutating func settle() {
        for place in machines.indices where machines[place].isUnsettled {
            state.smurfs[machines[place].id] = machines[place].record
            machines[place].isUnsettled = false
        }
    }

    mutating func change(_ place: Int, to new: SmurfRecord.State, _ cause: Cause) {
        let (id, old, now) = (machines[place].id, machines[place].record.state, now)
        actions.append(Plan.Action(smurf: id, from: old, to: new, cause: cause))
        if case .draining(let role) = old, policy[role]?.sends ?? false {
            state.departedSenders[id] = now
        }
        machines[place].hasMoved = true
        update(place) { record in
            record.state = new
            record.since = now
            record.unreadySince = nil
            record.reason = cause.description
        }
    }

    mutating func finish(_ outcomes: [Role: RoleDemand.Outcome]) -> Plan {
        settle()
        var plan = Plan(state: state, actions: actions, explanation: [], notes: notes)
        plan.phase = phase?.name
        for rule in policy.roles {
            let role = rule.role
            guard let outcome = outcomes[role] else { continue }
            plan.explanation.append(explanation(rule, outcome))
            let serving = healthyServing(role)
            if !serving.isEmpty { plan.state.lastMembers[role] = serving }
        }
        return plan
    }

    private func explanation(
        _ rule: RolePolicy, _ outcome: RoleDemand.Outcome
    ) -> RoleExplanation {
        let target = targets[rule.role] ?? 0
        let tally = tally(rule.role)
        return RoleExplanation(
            role: rule.role, raw: outcome.raw, wanted: outcome.wanted, setpoint: outcome.setpoint,
            target: target, assigned: tally.assigned, serving: tally.healthy,
            bound: bound(rule, outcome, target), delay: delay(rule.role, target))
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

    private func delay(_ role: Role, _ target: Int) -> Delay? {
        let tally = tally(role)
        if tally.assigned == target {
            return tally.warming == 0 ? nil : .warming(tally.warming)
        }
        if let why = blocked[role] ?? stop { return why }
        if tally.assigned < target { return .inflight(moving) }
        return machines.indices.contains { isAssigned($0, role) && isSpare($0, role) }
            ? .inTurn : .noneSpare
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
    public func isFit(_ id: SmurfID) -> Bool {
        planner.place(of: id).map(planner.isFit) ?? false
    }

    /// Members of `role` that serve and are fit, sorted.
    public func serving(_ role: Role) -> [SmurfID] { planner.healthyServing(role) }

    /// Why `id` is not taken for `role` now; nil when it could be.
    public func whyNot(_ id: SmurfID, _ role: Role) -> WhyNot? {
        guard let place = planner.place(of: id) else { return .joining }
        return planner.whyNot(place, role)
    }

    /// Falls after which a machine is quarantined.
    public static var fallsUntilQuarantine: Int { Planner.fallsUntilQuarantine }

    /// What `id`, which drains, waits for; nil when for nothing.
    public func drainWait(_ id: SmurfID) -> String? {
        planner.place(of: id).flatMap(planner.drainWait)
    }

    /// Why `id`, which has `role`, may not leave it; nil when it may.
    public func whyNotSpare(_ id: SmurfID, _ role: Role) -> WhyNot? {
        guard let place = planner.place(of: id) else { return .joining }
        return planner.whyNotSpare(place, role)
    }
}
