import Farm
import RoleSchedulerCore
import TestSupport
import Testing

/// What a policy would do with a farm as it stands.
@Suite struct OutlookTests {
    private let signals = [
        "outbound.backlog": 1e6, "bounces.arrival": 9.0, "unsubscribes.arrival": 0,
    ]

    private func outlook(_ farm: FarmSimulation, _ policy: Policy) -> Outlook {
        Outlook(
            policy: policy, state: farm.state, demand: farm.demand, health: farm.health,
            now: farm.now, timeOfDay: nil)
    }

    @Test func theSamePolicyMovesNobody() {
        var farm = FarmSimulation(policy: Roles.seedFarm, smurfs: 12)
        farm.run(seconds: 400, signals)
        let outlook = outlook(farm, farm.policy)
        #expect(outlook.count == 0 && outlook.moves.isEmpty && outlook.isAtRest)
    }

    /// It ends where the farm itself ends.
    @Test func itSeesWhatTheFarmThenDoes() {
        var farm = FarmSimulation(policy: Roles.seedFarm, smurfs: 12)
        farm.run(seconds: 400, signals)
        var policy = farm.policy
        for index in policy.roles.indices where policy.roles[index].role == Roles.in {
            policy.roles[index].max = 2
        }
        let outlook = outlook(farm, policy)
        #expect(outlook.isAtRest && outlook.count > 2)
        #expect(outlook.moves.first?.action.from == .serving(Roles.in))
        farm.policy = policy
        farm.run(seconds: 600, signals)
        for role in [Roles.in, Roles.out, Roles.web] {
            let then = outlook.state.smurfs.values.filter { $0.state == .serving(role) }.count
            #expect(farm.serving(role) == then)
        }
        #expect(farm.serving(Roles.in) == 2)
    }
}
