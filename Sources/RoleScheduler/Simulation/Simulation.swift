public import Farm
public import RoleSchedulerCore

/// Who steers a simulated farm.
public enum RoleSteering: Sendable {
    /// The production `plan` by this policy.
    case policy(Policy)
    /// Nobody: these many machines hold each role from beginning to end, by the rules of the policy.
    case fixed(Policy, [Role: Int])
    /// A timetable that was made beforehand, by the rules of the policy: whoever goes drains, whoever comes warms up, as
    /// many at once as it says.
    case timetable(Policy, [Turn])

    /// From a second of the mailing on, so many machines each; before the mailing begins it may be negative.
    public struct Turn: Hashable, Sendable {
        public var second: Int
        public var members: [Role: Int]

        public init(second: Int, members: [Role: Int]) {
            self.second = second
            self.members = members
        }
    }

    var policy: Policy {
        switch self {
        case .policy(let policy), .fixed(let policy, _): policy
        case .timetable(let policy, _): policy.withoutMoves
        }
    }
}

/// A farm and the internet around it under a simulated clock, in steps of one second: amounts flow, the
/// production `plan` and `membership` decide. Deterministic: one scenario and one steering give one
/// outcome. It models counts and rates, not single connections; what it leaves out is listed in
/// docs/guides/simulate.md.
/// - Parameter name: how the outcome shall be called.
/// - Complexity: O(machines × log machines) per plan.
public func simulate(_ scenario: Scenario, _ steering: RoleSteering, name: String) -> Outcome {
    var simulation = Simulation(scenario, steering, name: name)
    return simulation.run()
}

/// The working state of one call of `simulate`.
struct Simulation {
    let scenario: Scenario
    let policy: Policy
    let isSteered: Bool
    /// Seconds since the farm began; the mailing begins `scenario.lead` later.
    var clock = 0
    var state = FarmState()
    var machines: Machines
    var demand = Demand()
    var lastPlan: Plan?
    var published: Membership?
    var answers: [Role: CachedAnswers] = [:]
    var world: World
    var holeWatch = BlackHoleWatch()
    /// Machines for which no agent reports.
    let agentless: Set<SmurfID>
    /// What machines do of what their role's capacity says; those that are not in it do all of it.
    let strengths: [SmurfID: Double]
    /// Members that are taken for black holes now.
    var suspects: Set<SmurfID> = []
    var record: Recorder
    /// What is left of the timetable, if that is what steers, the next turn first.
    var turns: ArraySlice<RoleSteering.Turn> = []
    var turn: RoleSteering.Turn?

    init(_ scenario: Scenario, _ steering: RoleSteering, name: String) {
        self.scenario = scenario
        policy = steering.policy
        machines = Machines(scenario)
        world = World(scenario)
        agentless = Set(policy.members.filter { !$0.agent }.map(\.id))
        let unlike = policy.members.filter { $0.capacity != 1 }.map { ($0.id, $0.capacity) }
        strengths = Dictionary(unlike, uniquingKeysWith: { first, _ in first })
        record = Recorder(name: name, roles: policy.roles.map(\.role), scenario)
        for (index, (id, labels)) in zip(machines.ids, scenario.firstLabels).enumerated() {
            let address = IPAddress.v4(0x0A00_0000 + UInt32(index) + 1)
            state.smurfs[id] = SmurfRecord(addresses: [address], since: Simulation.moment(0))
            state.smurfs[id]?.labels = labels
        }
        isSteered = if case .fixed = steering { false } else { true }
        if case .fixed(_, let split) = steering { assign(split) }
        if case .timetable(_, let turns) = steering {
            self.turns = turns.sorted { $0.second < $1.second }[...]
        }
    }

    /// Whole seconds from an origin that is not zero, as on a machine that has been up for a while.
    static func moment(_ second: Int) -> Moment { Moment(seconds: Double(second + 1000)) }

    private mutating func assign(_ split: [Role: Int]) {
        var free = machines.ids[...]
        for (role, count) in split.sorted(by: { $0.key < $1.key }) {
            for id in free.prefix(max(count, 0)) { state.smurfs[id]?.state = .serving(role) }
            free = free.dropFirst(max(count, 0))
        }
        for id in free { state.smurfs[id]?.state = .idle }
    }

    mutating func run() -> Outcome {
        while true {
            let second = clock - scenario.lead
            machines.step(second)
            for (id, labels) in machines.newLabels(second) { state.smurfs[id]?.labels = labels }
            machines.report(state, at: Simulation.moment(clock))
            signal(second)
            if clock % scenario.planStep == 0 { decide() }
            flow(second)
            record.end(of: second, self)
            if second % 60 == 59 { world.minuteWaits = Waits() }
            clock += 1
            if second >= scenario.horizon || world.isOver(second) { break }
        }
        return record.outcome(world, at: clock - scenario.lead)
    }

    /// The numbers that the delivery core and the agents would send now.
    private mutating func signal(_ second: Int) {
        let isSilent = scenario.silences.contains { $0.from <= second && second < $0.to }
        let numbers = world.numbers(second)
        guard !isSilent else { return }
        for (name, value) in numbers {
            demand.note(name, value, at: Simulation.moment(clock))
        }
        for rule in policy.roles where rule.measuredWithin > 0 {
            demand.note(rule.rateSignal, shownRate(rule), at: Simulation.moment(clock))
        }
    }

    private mutating func decide() {
        let now = Simulation.moment(clock)
        if isSteered { suspectHoles(now) }
        let health = judgedHealth(now)
        var isCalm = published != nil && machines.down == 0 && suspects.isEmpty
        if isSteered {
            isCalm = !obeyTimetable(now) && isCalm
            let plan = plan(
                policy: policy, state: state, demand: demand, health: health, now: now,
                timeOfDay: TimeOfDay(
                    minute: scenario.start.minute + (clock - scenario.lead + 86_400) / 60),
                cores: ["core": sight(now)])
            record.note(plan.actions, at: clock - scenario.lead)
            isCalm = isCalm && plan.actions.isEmpty && lastPlan?.actions.isEmpty ?? false
            state = plan.state
            lastPlan = plan
        } else {
            for rule in policy.roles {
                let held = state.ids.filter { state.smurfs[$0]?.state == .serving(rule.role) }
                state.lastMembers[rule.role] = held
            }
        }
        // With everybody up and nobody moving, the membership of the last second holds.
        guard !isCalm || clock % 30 == 0 else { return }
        var notes: [String] = []
        published = membership(
            of: state, policy: policy, health: health, now: now, previous: published,
            notes: &notes)
    }

    /// The core asks anew while a machine drains, and is done with it a second after it left the name.
    private func sight(_ now: Moment) -> CoreSight {
        CoreSight(heard: now, asOf: Simulation.moment(clock - 1), uses: [])
    }

    /// Sends, takes bounces and clicks for one second.
    private mutating func flow(_ second: Int) {
        world.arrive(second)
        machines.connections = [:]
        for rule in policy.roles {
            let owner = rule.names.first?.owner
            let answer = published?.records.first { $0.owner == owner }?.members ?? []
            answers[rule.role, default: CachedAnswers()].note(
                answer, at: clock,
                memory: max(Int(rule.ttl), scenario.overdue))
            switch rule.service {
            case .smtpOut: send(rule, second)
            case .smtpIn: world.take(.bounces, served(rule, world.load(.bounces)), second)
            case .web: world.take(.clicks, served(rule, world.load(.clicks)), second)
            case .none: break
            }
        }
    }

    /// Sends what the members can: the cores feed whoever they know.
    private mutating func send(_ rule: RolePolicy, _ second: Int) {
        let capacities = sendingCapacities(rule)
        let all = capacities.reduce(0) { $0 + $1.amount }
        let before = world.sent.last ?? 0
        world.send(all, second)
        guard second >= 0, all > 0 else { return }
        let used = ((world.sent.last ?? 0) - before) / all
        for (id, amount) in capacities { machines.note(amount * used, by: id) }
    }

    /// Messages that each member can send in this second; a black hole sends none.
    private func sendingCapacities(_ rule: RolePolicy) -> [(id: SmurfID, amount: Double)] {
        guard let cache = answers[rule.role] else { return [] }
        let rate = scenario.rate(of: rule)
        return cache.stays.compactMap { stay in
            guard machines.isUp(stay.machine), isListening(stay.machine, rule.role),
                !machines.isHole(stay.machine), !(rule.drain.waitsForCores && stay.to != nil)
            else { return nil }
            let known = cache.known(stay, window: max(Int(rule.ttl), 1), now: clock)
            return (stay.machine, rate * strength(stay.machine) * known)
        }
    }

    /// How much of `load` the members take in this second. Clients try another address a second later
    /// when one does not answer, so that no load is bound to one machine.
    private mutating func served(_ rule: RolePolicy, _ load: Double) -> Double {
        guard let cache = answers[rule.role] else { return 0 }
        let rate = scenario.rate(of: rule)
        var taken = 0.0
        for stay in cache.stays
        where machines.isUp(stay.machine) && isListening(stay.machine, rule.role) {
            let obeying = cache.traffic(stay, window: max(Int(rule.ttl), 1), now: clock)
            let ignoring = cache.traffic(stay, window: max(scenario.overdue, 1), now: clock)
            let part = obeying + (ignoring - obeying) * scenario.ignoringTTL
            let share = min(part * load, rate * strength(stay.machine))
            machines.connections[stay.machine, default: 0] += Int(share.rounded())
            // Whoever came to a black hole comes to somebody a second later.
            guard !machines.isHole(stay.machine) else { continue }
            machines.note(share, by: stay.machine)
            taken += share
        }
        return min(taken, load)
    }

    /// A machine listens while it serves and while it drains.
    private func isListening(_ id: SmurfID, _ role: Role) -> Bool {
        switch state.smurfs[id]?.state {
        case .serving(let held)?, .draining(let held)?: held == role
        default: false
        }
    }
}
