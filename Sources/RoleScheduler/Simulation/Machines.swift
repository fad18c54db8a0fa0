import Farm
import RoleSchedulerCore

/// The simulated machines: up or down, and what they report. They obey their orders at once; whether
/// they get work is not decided here.
struct Machines {
    /// By their numbers, from 1.
    let ids: [SmurfID]
    private(set) var health: [SmurfID: Health] = [:]
    /// Of the second that has just passed.
    var connections: [SmurfID: Int] = [:]
    private let scenario: Scenario
    private var random: SeededRandom
    /// When each machine that is down comes back.
    private var backAt: [SmurfID: Int] = [:]
    /// When each machine that takes work and does none begins to work again.
    private var wellAt: [SmurfID: Int] = [:]
    /// What each has done.
    private var work: [SmurfID: Double] = [:]
    private var replay: Replay?

    init(_ scenario: Scenario) {
        self.scenario = scenario
        random = SeededRandom(seed: scenario.seed)
        replay = scenario.trace.map { Replay($0) }
        ids = scenario.ids
    }

    func isUp(_ id: SmurfID) -> Bool { backAt[id] == nil }

    var down: Int { backAt.count }

    /// Whether it takes work and does none of it.
    func isHole(_ id: SmurfID) -> Bool { wellAt[id] != nil }

    /// Those that take work and do none of it, sorted.
    var holes: [SmurfID] { wellAt.keys.sorted() }

    mutating func note(_ amount: Double, by id: SmurfID) { work[id, default: 0] += amount }

    /// Over the whole run.
    func workDone(_ id: SmurfID) -> UInt64 { UInt64(work[id] ?? 0) }

    /// Lets machines fail and come back. As many random numbers are drawn whatever happens, so that every
    /// policy meets the same failures.
    mutating func step(_ second: Int) {
        if second >= 0 { replay?.step(second) }
        for machine in replay?.down.sorted() ?? [] where machine <= ids.count {
            backAt[ids[machine - 1]] = second + 1
        }
        if !backAt.isEmpty { backAt = backAt.filter { $0.value > second } }
        for outage in scenario.outages where outage.at == second {
            for id in ids.shuffled(using: &random).prefix(outage.machines) {
                backAt[id] = second + outage.lasting
            }
        }
        stepHoles(second)
        guard let mean = scenario.meanTimeBetweenFailures, mean > 0, second >= 0 else { return }
        for id in ids {
            let (dice, length) = (random.fraction(), random.fraction())
            if dice < 1 / mean, isUp(id) {
                backAt[id] = second + max(Int(scenario.repair * (0.5 + length)), 1)
            }
        }
    }

    private mutating func stepHoles(_ second: Int) {
        for machine in replay?.holes.sorted() ?? [] where machine <= ids.count {
            wellAt[ids[machine - 1]] = second + 1
        }
        if !wellAt.isEmpty { wellAt = wellAt.filter { $0.value > second } }
        for hole in scenario.holes where hole.at == second {
            let found =
                switch hole.machines {
                case .some(let count): Array(ids.shuffled(using: &random).prefix(count))
                case .one(let id): ids.filter { $0 == id }
                }
            for id in found { wellAt[id] = second + hole.lasting }
        }
    }

    /// Labels that changed in this second, by a trace.
    func newLabels(_ second: Int) -> [(id: SmurfID, labels: [Label])] {
        guard second > 0, let changes = replay?.newLabels else { return [] }
        return changes.filter { $0.machine <= ids.count }.map { (ids[$0.machine - 1], $0.labels) }
    }

    mutating func report(_ state: FarmState, at now: Moment) {
        for id in ids where isUp(id) {
            health[id] = Health(
                heard: now, ready: true, role: state.smurfs[id]?.role,
                connections: connections[id] ?? 0, load: 0, work: workDone(id))
        }
    }
}
