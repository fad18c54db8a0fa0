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

    private func plan(_ farm: inout FarmSimulation, _ step: Duration, _ signals: [String: Double]) {
        for (name, value) in signals { farm.demand.note(name, value, at: farm.now) }
        farm.tick(step)
    }
}
