import Farm
import RoleSchedulerCore
import TestSupport
import Testing

/// More of something never gives less of what it is for.
@Suite struct MonotoneTests {
    /// A random farm in the middle of its life, each role with a signal of its own.
    private func farm(_ random: inout SeededGenerator) -> FarmSimulation {
        var farm = InvariantTests.randomFarm(&random)
        farm.policy.phases = []
        for index in farm.policy.roles.indices {
            farm.policy.roles[index].demand.arrival = "arrival\(index)"
        }
        for _ in 0..<Int.random(in: 5...40, using: &random) {
            InvariantTests.disturb(&farm, &random)
            for index in farm.policy.roles.indices {
                farm.demand.note(
                    "arrival\(index)", Double.random(in: 0...60, using: &random), at: farm.now)
            }
            farm.tick(.seconds(2))
        }
        return farm
    }

    private func targets(_ farm: FarmSimulation) -> [Role: Int] {
        let plan = plan(
            policy: farm.policy, state: farm.state, demand: farm.demand, health: farm.health,
            now: farm.now)
        return Dictionary(uniqueKeysWithValues: plan.explanation.map { ($0.role, $0.target) })
    }

    @Test func moreDemandNeverLowersTheTarget() throws {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("more demand"))
        for _ in 0..<300 {
            var farm = farm(&random)
            let before = targets(farm)
            let index = Int.random(in: 0..<farm.policy.roles.count, using: &random)
            let name = "arrival\(index)"
            let seen = try #require(farm.demand[name]?.value)
            farm.demand.note(
                name, seen + Double.random(in: 0...80, using: &random), at: farm.now)
            let role = farm.policy.roles[index].role
            let after = targets(farm)
            #expect(after[role] ?? 0 >= before[role] ?? 0, "\(before) → \(after)")
        }
    }

    @Test func moreMachinesNeverLowerATarget() throws {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("more machines"))
        for _ in 0..<300 {
            var farm = farm(&random)
            let before = targets(farm)
            let new = try #require(SmurfID("zz"))
            farm.state.smurfs[new] = SmurfRecord(addresses: [.v4(1)], since: farm.now)
            farm.state.smurfs[new]?.state = .idle
            farm.health[new] = Health(
                heard: farm.now, ready: true, role: nil, connections: 0, load: 0, work: 0)
            for (role, target) in targets(farm) {
                #expect(target >= before[role] ?? 0, "\(role): \(before[role] ?? 0) → \(target)")
            }
        }
    }

    /// With no time passing nothing new is chosen; after a plan without any action nothing happens at all.
    @Test func aSecondPlanAtTheSameMomentChoosesNothing() {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("same moment"))
        for _ in 0..<100 {
            var farm = farm(&random)
            farm.policy.movement.gap = .seconds(Int.random(in: 1...5, using: &random))
            for _ in 0..<30 {
                InvariantTests.disturb(&farm, &random)
                let first = farm.tick()
                let second = plan(
                    policy: farm.policy, state: farm.state, demand: farm.demand,
                    health: farm.health, now: farm.now)
                let chosen = first.actions.contains { $0.cause.isChosen }
                if chosen {
                    #expect(!second.actions.contains { $0.cause.isChosen }, "\(second.actions)")
                }
                if first.actions.isEmpty { #expect(second.actions.isEmpty, "\(second.actions)") }
            }
        }
    }
}
