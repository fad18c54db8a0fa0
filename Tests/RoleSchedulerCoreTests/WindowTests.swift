import Farm
import TestSupport
import Testing

@testable import RoleSchedulerCore

@Suite struct WindowTests {
    /// Plans are not made at exact seconds: a window must not have to end at the moment of a plan.
    @Test(arguments: [
        Duration.milliseconds(200), .milliseconds(700), .milliseconds(1300), .seconds(1),
    ])
    func demandThatFellAwayShrinksRolesWhateverTheIntervalOfPlans(_ step: Duration) {
        var farm = FarmSimulation(policy: Roles.seedFarm, smurfs: 12)
        let steps = Int(600 / step.inSeconds)
        let busy = ["outbound.backlog": 0.0, "bounces.arrival": 9, "unsubscribes.arrival": 6]
        for _ in 0..<steps { plan(&farm, step, busy) }
        #expect(farm.serving(Roles.in) == 4)
        let quiet = ["outbound.backlog": 0.0, "bounces.arrival": 0, "unsubscribes.arrival": 0]
        for _ in 0..<steps { plan(&farm, step, quiet) }
        for role in [Roles.out, Roles.in, Roles.web] { #expect(farm.serving(role) == 1) }
    }

    /// Found by aSecondPlanAtTheSameMomentChoosesNothing: a number that was looked at twice outvoted the others.
    @Test func aNumberThatIsLookedAtTwiceCountsOnce() {
        var farm = FarmSimulation(policy: Roles.seedFarm, smurfs: 12)
        let quiet = ["outbound.backlog": 0.0, "bounces.arrival": 0, "unsubscribes.arrival": 0]
        farm.run(seconds: 60, quiet)
        farm.demand.note("bounces.arrival", 9, at: farm.now)
        for _ in 0..<50 { farm.tick(.zero) }
        #expect(farm.state.setpoints[Roles.in] == 1)
    }

    /// The history is saved with every move: it must not grow with the number of plans, nor forget a peak.
    @Test func theHistoryStaysShortAndKeepsPeaks() {
        var farm = FarmSimulation(policy: Roles.seedFarm, smurfs: 12)
        farm.policy.movement.downWindow = .seconds(600)
        let quiet = ["outbound.backlog": 0.0, "bounces.arrival": 0, "unsubscribes.arrival": 0]
        let busy = ["outbound.backlog": 0.0, "bounces.arrival": 9, "unsubscribes.arrival": 6]
        for _ in 0..<1_500 { plan(&farm, .milliseconds(100), busy) }
        #expect(farm.serving(Roles.in) == 4)
        // It stays for ten minutes after one number that is soon one among thousands.
        for index in 0..<7_500 {
            plan(&farm, .milliseconds(100), index == 2_001 ? busy : quiet)
            #expect(farm.state.wanted.values.allSatisfy { $0.count <= 110 })
        }
        #expect(farm.serving(Roles.in) == 4)
        for _ in 0..<3_000 { plan(&farm, .milliseconds(100), quiet) }
        #expect(farm.serving(Roles.in) == 1)
    }

    private func plan(_ farm: inout FarmSimulation, _ step: Duration, _ signals: [String: Double]) {
        for (name, value) in signals { farm.demand.note(name, value, at: farm.now) }
        farm.tick(step)
    }
}
