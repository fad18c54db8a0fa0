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

    /// Machines that are black holes now, with their place among the results.
    private var holes: [SmurfID: Int] = [:]
    /// Members with a label, by role, summed up over the minutes.
    private var labelled: [String: [String: Double]] = [:]

    init(name: String, roles: [Role], _ scenario: Scenario) {
        result = Outcome(name: name)
        result.roles = roles.map(\.name)
        lead = scenario.lead
        let ids = scenario.ids
        result.machines = ids.map(\.name)
        for (id, labels) in zip(ids, scenario.firstLabels) where !labels.isEmpty {
            result.labels[id.name] = labels.map(\.text)
        }
    }

    mutating func note(_ actions: [Plan.Action], at second: Int) {
        for action in actions {
            let (isChosen, role) = choice(action)
            result.log.append(
                Outcome.Move(
                    second: second, smurf: action.smurf.name, from: action.from.description,
                    to: action.to.description, why: action.why, isChosen: isChosen,
                    isDoubted: isDoubted(action.cause), role: role?.name ?? ""))
            guard isChosen, second >= 0, let role else { continue }
            result.moves += 1
            count(action, role, second)
        }
    }

    /// Whether the planner chose to begin this move, and the role it is about.
    private func choice(_ action: Plan.Action) -> (Bool, Role?) {
        switch (action.from, action.to) {
        case (.serving, .draining(let role)): (action.cause.isChosen, role)
        case (.idle, .warming(let role)): (true, role)
        case (_, .serving(let role)), (_, .warming(let role)), (_, .draining(let role)):
            (false, role)
        case (.draining(let role), _), (.warming(let role), _), (.serving(let role), _):
            (false, role)
        default: (false, nil)
        }
    }

    private func isDoubted(_ cause: Cause) -> Bool {
        if case .doubted = cause { true } else { false }
    }

    /// Who became a black hole in this second, was found to be one, or is none any more.
    private mutating func noteHoles(_ second: Int, _ run: Simulation) {
        for (id, index) in holes where !run.machines.isHole(id) {
            result.holes[index].to = second
            holes[id] = nil
        }
        for id in run.machines.holes {
            if holes[id] == nil {
                holes[id] = result.holes.count
                result.holes.append(Outcome.Hole(smurf: id.name, from: second))
            }
            guard let index = holes[id], run.suspects.contains(id) else { continue }
            result.holes[index].found = result.holes[index].found ?? second
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
        noteHoles(second, run)
        bounces += run.world.arrivedBounces
        clicks += run.world.arrivedClicks
        guard second % 60 == 59 || second == 0 else { return }
        let span = second == 0 ? 1.0 : 60.0
        let sent = run.world.sent.last ?? 0
        var members: [String: Int] = [:]
        for record in run.state.smurfs.values {
            guard let role = record.answeredLately else { continue }
            members[role.name, default: 0] += 1
            for label in record.labels {
                labelled[label.text, default: [:]][role.name, default: 0] += 1
            }
        }
        let targets = run.lastPlan?.explanation.map { ($0.role.name, $0.target) } ?? []
        result.minutes.append(
            Outcome.Minute(
                second: second == 0 ? 0 : second + 1, members: members,
                targets: Dictionary(uniqueKeysWithValues: targets), down: run.machines.down,
                holes: holes.count,
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
        let minutes = Double(max(result.minutes.count, 1))
        result.labelled = labelled.mapValues { $0.mapValues { $0 / minutes } }
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

extension SmurfRecord {
    /// The role for which work comes to it, because it is answered or was until lately.
    fileprivate var answeredLately: Role? {
        switch state {
        case .serving(let role), .draining(let role): role
        default: nil
        }
    }
}
