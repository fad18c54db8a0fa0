import Farm
import RoleSchedulerCore

/// Writes down what a simulated run does, minute by minute and move by move.
struct Recorder {
    private var result: Outcome
    private let lead: Int
    private var sentBefore = 0.0
    private var bounces = 0.0
    private var clicks = 0.0
    /// When each role last gave a machine up, and took one, of the planner's own will.
    private var gave: [Role: Int] = [:]
    private var took: [Role: Int] = [:]
    /// A role that turns round within so many seconds flaps.
    static let flapWindow = 600

    init(name: String, roles: [Role], lead: Int) {
        result = Outcome(name: name)
        result.roles = roles.map(\.name)
        self.lead = lead
    }

    mutating func note(_ actions: [Plan.Action], at second: Int) {
        for action in actions {
            let (isChosen, role) = choice(action)
            result.log.append(
                Outcome.Move(
                    second: second, smurf: action.smurf.name, from: action.from.description,
                    to: action.to.description, why: action.why, isChosen: isChosen,
                    role: role?.name ?? ""))
            guard isChosen, second >= 0, let role else { continue }
            result.moves += 1
            count(action, role, second)
        }
    }

    /// Whether the planner chose to begin this move, and the role it is about.
    private func choice(_ action: Plan.Action) -> (Bool, Role?) {
        switch (action.from, action.to) {
        case (.serving, .draining(let role)): (!action.why.hasPrefix("dead"), role)
        case (.idle, .warming(let role)): (true, role)
        case (_, .serving(let role)), (_, .warming(let role)), (_, .draining(let role)):
            (false, role)
        case (.draining(let role), _), (.warming(let role), _), (.serving(let role), _):
            (false, role)
        default: (false, nil)
        }
    }

    private mutating func count(_ action: Plan.Action, _ role: Role, _ second: Int) {
        let isGiving = if case .draining = action.to { true } else { false }
        let other = isGiving ? took[role] : gave[role]
        if let other, second - other < Recorder.flapWindow { result.flaps += 1 }
        if isGiving { gave[role] = second } else { took[role] = second }
    }

    /// Called at the end of each second.
    mutating func end(of second: Int, _ run: Simulation) {
        guard second >= 0 else { return }
        bounces += run.world.arrivedBounces
        clicks += run.world.arrivedClicks
        guard second % 60 == 59 || second == 0 else { return }
        let span = second == 0 ? 1.0 : 60.0
        let sent = run.world.sent.last ?? 0
        var members: [String: Int] = [:]
        for record in run.state.smurfs.values {
            switch record.state {
            case .serving(let role), .draining(let role): members[role.name, default: 0] += 1
            default: break
            }
        }
        let targets = run.lastPlan?.explanation.map { ($0.role.name, $0.target) } ?? []
        result.minutes.append(
            Outcome.Minute(
                second: second == 0 ? 0 : second + 1, members: members,
                targets: Dictionary(uniqueKeysWithValues: targets), down: run.machines.down,
                outboundBacklog: run.world.backlog, bounceBacklog: run.world.bounces.total,
                bounceAge: run.world.bounces.age(at: second),
                clickWaitP99: minuteP99(run), sent: (sent - sentBefore) / span,
                bounces: bounces / span, clicks: clicks / span))
        (sentBefore, bounces, clicks) = (sent, 0, 0)
    }

    /// Of the clicks taken since the last minute; while none is taken, the oldest that waits.
    private func minuteP99(_ run: Simulation) -> Int {
        let waits = run.world.minuteWaits
        let oldest = run.world.clicks.age(at: run.clock - lead)
        return waits.total > 0 ? waits.percentile(0.99) : oldest
    }

    mutating func outcome(_ world: World, at second: Int) -> Outcome {
        var world = world
        world.settle(at: second)
        result.completion = world.completion
        result.unsent = world.backlog
        result.worstBounceAge = world.bounceWaits.longest
        result.worstBounceBacklog = world.worstBounceBacklog
        result.clickWaitMedian = world.clickWaits.percentile(0.5)
        result.clickWaitP99 = world.clickWaits.percentile(0.99)
        result.clickWaitWorst = world.clickWaits.longest
        return result
    }
}
