import Farm
import RoleSchedulerCore
import TestSupport
import Testing

/// A latency over its limit asks for one member more than those that can have helped.
@Suite struct LatencyTests {
    private static let signal = "unsubscribes.p95"

    /// Everybody sends; whoever is to serve `web` drains for a minute first.
    private func farm() -> FarmSimulation {
        var policy = Roles.seedFarm
        for index in policy.roles.indices {
            policy.roles[index].drain.grace = .seconds(60)
            guard policy.roles[index].role == Roles.web else { continue }
            policy.roles[index].demand.latency = .init(
                signal: LatencyTests.signal, limit: .seconds(1))
        }
        var farm = FarmSimulation(policy: policy, smurfs: 12)
        farm.run(seconds: 120, ["outbound.backlog": 1e6, "unsubscribes.arrival": 1])
        return farm
    }

    /// It did once: a role that was slow got all the machines it could have, one every up window, before the first of
    /// them served.
    @Test func whoIsOnTheWayIsNotOrderedTwice() {
        var farm = farm()
        #expect(farm.serving(Roles.web) == 1)
        let slow = ["outbound.backlog": 1e6, "unsubscribes.arrival": 1, LatencyTests.signal: 5]
        for _ in 0..<60 {
            farm.run(seconds: 1, slow)
            #expect(farm.state.setpoints[Roles.web] ?? 0 <= 2)
        }
        // It helps as soon as it is known, and then no more is asked for.
        let quick = ["outbound.backlog": 1e6, "unsubscribes.arrival": 1, LatencyTests.signal: 0.1]
        farm.run(seconds: 20, quick)
        #expect(farm.state.setpoints[Roles.web] ?? 0 <= 2)
    }

    @Test func whatDoesNotHelpIsAddedTo() {
        var farm = farm()
        let slow = ["outbound.backlog": 1e6, "unsubscribes.arrival": 1, LatencyTests.signal: 5]
        farm.run(seconds: 300, slow)
        #expect(farm.state.setpoints[Roles.web] ?? 0 > 2)
    }
}
