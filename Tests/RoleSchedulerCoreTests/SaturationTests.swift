import Farm
import RoleSchedulerCore
import TestSupport
import Testing

/// Arrivals are counted behind the members that take them, so the number stops at what they can do.
@Suite struct SaturationTests {
    private func policy(utilisation: Double) -> Policy {
        var policy = Roles.seedFarm
        for index in policy.roles.indices where policy.roles[index].role == Roles.in {
            policy.roles[index].utilisation = utilisation
        }
        return policy
    }

    /// With 95 % planned for and a tolerance of 10 %, members at their limit look like enough of them.
    @Test(arguments: [0.7, 0.9, 0.95, 0.98])
    func membersAtTheirLimitGetHelp(_ utilisation: Double) {
        var farm = FarmSimulation(policy: policy(utilisation: utilisation), smurfs: 12)
        let waiting = 10.0
        for _ in 0..<600 {
            let taken = min(waiting, 4 * Double(farm.serving(Roles.in)))
            farm.run(
                seconds: 1,
                [
                    "outbound.backlog": 1e6, "bounces.arrival": taken, "unsubscribes.arrival": 0,
                ])
        }
        #expect(farm.serving(Roles.in) * 4 >= 10)
    }

    @Test(arguments: [0.95, 1.0])
    func steadyArrivalsNearTheLimitDoNotFlap(_ utilisation: Double) {
        var farm = FarmSimulation(policy: policy(utilisation: utilisation), smurfs: 12)
        let signals = ["outbound.backlog": 1e6, "bounces.arrival": 7.7, "unsubscribes.arrival": 0]
        farm.run(seconds: 600, signals)
        let held = farm.serving(Roles.in)
        for _ in 0..<600 {
            farm.run(seconds: 1, signals)
            #expect(farm.serving(Roles.in) == held)
        }
    }
}
