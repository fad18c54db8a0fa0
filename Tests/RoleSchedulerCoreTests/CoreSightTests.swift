import Farm
import RoleSchedulerCore
import TestSupport
import Testing

/// A name that only our cores ask for: who leaves it is free when they say so, not when caches have forgotten.
@Suite struct CoreSightTests {
    /// TTL 300 s: 615 s to wait by the TTL.
    private static func farm(wait: Bool = true, deadline: Duration = .seconds(400))
        -> FarmSimulation
    {
        var policy = Roles.seedFarm
        for index in policy.roles.indices where policy.roles[index].role == Roles.out {
            policy.roles[index].ttl = 300
            policy.roles[index].drain = DrainRule(deadline: deadline)
            policy.roles[index].drain.waitsForCores = wait
        }
        var farm = FarmSimulation(policy: policy, smurfs: 6)
        farm.run(
            seconds: 120,
            ["outbound.backlog": 1e6, "bounces.arrival": 0, "unsubscribes.arrival": 0])
        return farm
    }

    /// Holds `s06`, and counts the seconds until it is idle.
    private func seconds(
        _ farm: inout FarmSimulation, until most: Int = 1000,
        _ say: (inout FarmSimulation, Int) -> Void
    ) throws -> Int {
        let id = try #require(SmurfID("s06"))
        #expect(farm.state.smurfs[id]?.state == .serving(Roles.out))
        farm.state.smurfs[id]?.override = Override(
            kind: .hold, until: farm.now.advanced(by: .seconds(5000)), reason: "test", by: "test")
        farm.tick()
        for second in 0..<most {
            if farm.state.smurfs[id]?.state == .idle { return second }
            say(&farm, second)
            farm.tick()
        }
        return most
    }

    private func sight(
        _ farm: FarmSimulation, asOf: Int = 0, uses: Set<IPAddress> = []
    ) -> CoreSight {
        CoreSight(heard: farm.now, asOf: farm.now.advanced(by: .seconds(-asOf)), uses: uses)
    }

    @Test func acknowledgedByAllItIsFreeAtOnce() throws {
        var farm = CoreSightTests.farm()
        let waited = try seconds(&farm) { farm, _ in
            farm.cores = ["a": sight(farm), "b": sight(farm)]
        }
        #expect(waited <= 2)
    }

    @Test func oneCoreThatStillUsesItIsWaitedFor() throws {
        var farm = CoreSightTests.farm()
        let own = Set(farm.state.smurfs.values.flatMap(\.addresses))
        let waited = try seconds(&farm) { farm, second in
            farm.cores = ["a": sight(farm), "b": sight(farm, uses: second < 50 ? own : [])]
        }
        #expect((50...53).contains(waited), "\(waited)")
    }

    /// What was asked before the machine left says nothing.
    @Test func anOldLookDoesNotCount() throws {
        var farm = CoreSightTests.farm()
        let waited = try seconds(&farm) { farm, second in
            farm.cores = ["a": sight(farm, asOf: second < 30 ? second + 5 : 0)]
        }
        #expect((30...33).contains(waited), "\(waited)")
    }

    /// A core that is silent for longer than a machine may be is not waited for when another speaks; with none at all
    /// the TTL counts, and the deadline when it is shorter.
    @Test(arguments: [(400, 400), (900, 615)])
    func withoutCoresTimeDecides(_ deadline: Int, _ expected: Int) throws {
        var farm = CoreSightTests.farm(deadline: .seconds(deadline))
        let waited = try seconds(&farm) { _, _ in }
        #expect((expected - 2...expected + 2).contains(waited), "\(waited)")
        var other = CoreSightTests.farm(deadline: .seconds(deadline))
        let own = Set(other.state.smurfs.values.flatMap(\.addresses))
        other.cores = ["dead": sight(other, uses: own)]
        let short = try seconds(&other) { farm, _ in farm.cores["live"] = sight(farm) }
        #expect((18...24).contains(short), "\(short)")
    }

    @Test func otherRolesGoByTheTTL() throws {
        var farm = CoreSightTests.farm(wait: false)
        let waited = try seconds(&farm) { farm, _ in farm.cores = ["a": sight(farm)] }
        #expect((613...617).contains(waited), "\(waited)")
    }
}
