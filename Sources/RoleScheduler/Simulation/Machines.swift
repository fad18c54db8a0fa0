import Farm
import RoleSchedulerCore

/// The simulated machines: up or down, and what they report. They obey their orders at once; whether
/// they get work is not decided here.
struct Machines {
    /// Sorted.
    let ids: [SmurfID]
    private(set) var health: [SmurfID: Health] = [:]
    /// Of the second that has just passed.
    var connections: [SmurfID: Int] = [:]
    private let scenario: Scenario
    private var random: SeededRandom
    /// When each machine that is down comes back.
    private var backAt: [SmurfID: Int] = [:]
    private var replay: Replay?

    init(_ scenario: Scenario) {
        self.scenario = scenario
        random = SeededRandom(seed: scenario.seed)
        replay = scenario.trace.map { Replay($0) }
        let count = min(max(scenario.smurfs, 1), 10_000)
        ids = (1...count).compactMap { number in
            let digits = String(number)
            return SmurfID("s" + String(repeating: "0", count: 5 - digits.count) + digits)
        }
    }

    func isUp(_ id: SmurfID) -> Bool { backAt[id] == nil }

    var down: Int { backAt.count }

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
        guard let mean = scenario.meanTimeBetweenFailures, mean > 0, second >= 0 else { return }
        for id in ids {
            let (dice, length) = (random.fraction(), random.fraction())
            if dice < 1 / mean, isUp(id) {
                backAt[id] = second + max(Int(scenario.repair * (0.5 + length)), 1)
            }
        }
    }

    mutating func report(_ state: FarmState, at now: Moment) {
        for id in ids where isUp(id) {
            health[id] = Health(
                heard: now, ready: true, role: state.smurfs[id]?.role,
                connections: connections[id] ?? 0, load: 0, work: 0)
        }
    }
}
