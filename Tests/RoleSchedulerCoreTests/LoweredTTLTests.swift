import Farm
import RoleSchedulerCore
import Testing

/// Answers may be kept for a shorter time from the moment that a member is to leave, and for the whole time again once
/// nobody is.
@Suite struct LoweredTTLTests {
    @Test func theTimeIsShortWhileAMemberWaitsToLeave() {
        var policy = Roles.seedFarm
        for index in policy.roles.indices { policy.roles[index].ttl = 60 }
        var farm = FarmSimulation(policy: policy, smurfs: 12)
        func ttl(_ name: String) -> UInt32? {
            farm.publish().records.first { $0.owner == name }?.ttl
        }
        farm.run(
            seconds: 300,
            ["outbound.backlog": 0, "bounces.arrival": 0, "unsubscribes.arrival": 9])
        #expect(farm.serving(Roles.web) == 4)
        #expect(ttl("web") == 60)
        var seen: [UInt32?] = []
        for _ in 0..<600 {
            farm.run(
                seconds: 1,
                ["outbound.backlog": 0, "bounces.arrival": 0, "unsubscribes.arrival": 0])
            let time = ttl("web")
            if seen.last != time { seen.append(time) }
            // While it is short, more serve than are wanted, and never otherwise.
            let isLeaving = (farm.state.setpoints[Roles.web] ?? 0) < farm.serving(Roles.web)
            #expect((time == 20) == isLeaving)
        }
        #expect(farm.serving(Roles.web) == 1)
        #expect(seen.first == 60 && seen.contains(20) && seen.last == 60)
        #expect(ttl("smtp-in") == 60)
    }
}
