import Farm
import Foundation
import RoleSchedulerCore
import TestSupport
import Testing

/// The law's invariants, each by its name, on random farms with failures, noise and operators.
@Suite struct InvariantTests {
    private static let farms =
        ProcessInfo.processInfo.environment["SMURF_SOAK"] == nil ? 500 : 5_000

    @Test func holdOnRandomFarms() {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("invariants"))
        for farm in 0..<InvariantTests.farms {
            var simulation = InvariantTests.randomFarm(&random)
            var published: Membership?
            for tick in 0..<200 {
                InvariantTests.disturb(&simulation, &random)
                let before = simulation.state
                let plan = simulation.tick(
                    .milliseconds(Int.random(in: 200...3000, using: &random)))
                let check = InvariantCheck(simulation: simulation, before: before, plan: plan)
                for broken in check.broken() + check.waits() {
                    Issue.record("farm \(farm), tick \(tick): \(broken)")
                    return
                }
                let view = simulation.publish()
                for broken in InvariantCheck.views(published, view, simulation) {
                    Issue.record("farm \(farm), tick \(tick): \(broken)")
                    return
                }
                published = view
            }
        }
    }

    /// I12: with nothing changing, the farm comes to rest.
    @Test func comesToRest() {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("rest"))
        for _ in 0..<12 {
            var farm = InvariantTests.randomFarm(&random)
            for _ in 0..<20 { InvariantTests.disturb(&farm, &random) }
            farm.down = []
            for id in farm.ids { farm.state.smurfs[id]?.override = nil }
            let broken = farm.unready.union(farm.doubts.keys)
            let signals = Dictionary(
                uniqueKeysWithValues: ["a", "b", "c", "d"].map {
                    ($0, Double.random(in: 0...30, using: &random))
                })
            farm.run(seconds: 2_500, signals)
            for _ in 0..<60 {
                for (name, value) in signals { farm.demand.note(name, value, at: farm.now) }
                let plan = farm.tick()
                #expect(plan.actions.isEmpty, "\(plan.actions) with \(farm.policy)")
            }
            for (id, record) in farm.state.smurfs {
                guard let role = record.role else { continue }
                #expect(
                    !broken.contains(id), "I13: \(id), which is never ready, is \(record.state)")
                #expect(
                    MemberRules(farm.policy).rule(of: id, record.labels).allows(role),
                    "I4: \(id) still is \(record.state)")
            }
        }
    }

    /// I1: the order in which dictionaries were filled changes nothing; no time passing, no new action.
    @Test func equalInputGivesEqualOutput() {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("determinism"))
        for _ in 0..<50 {
            var farm = InvariantTests.randomFarm(&random)
            for _ in 0..<30 {
                InvariantTests.disturb(&farm, &random)
                farm.now = farm.now.advanced(by: .seconds(1))
                farm.report()
                var shuffled = FarmState()
                shuffled = farm.state
                shuffled.smurfs = [:]
                for id in farm.ids.shuffled(using: &random) {
                    shuffled.smurfs[id] = farm.state.smurfs[id]
                }
                let one = plan(
                    policy: farm.policy, state: farm.state, demand: farm.demand,
                    health: farm.health,
                    now: farm.now)
                let two = plan(
                    policy: farm.policy, state: shuffled, demand: farm.demand, health: farm.health,
                    now: farm.now)
                #expect(one == two)
                farm.state = one.state
            }
        }
    }

    static func randomFarm(_ random: inout SeededGenerator) -> FarmSimulation {
        let roles = (0..<Int.random(in: 1...4, using: &random)).map { index -> RolePolicy in
            let floor = Int.random(in: 0...2, using: &random)
            return RolePolicy(
                role: Roles.role("r\(index)"),
                names: [RoleName(owner: "r\(index)", kind: .address)],
                priority: Int.random(in: 1...3, using: &random), min: floor,
                max: Bool.random(using: &random)
                    ? floor + Int.random(in: 0...5, using: &random) : nil,
                soak: Int.random(in: 0...1, using: &random),
                capacity: Double.random(in: 1...20, using: &random),
                demand: DemandRule(
                    arrival: ["a", "b"][index % 2], backlog: index == 0 ? "c" : nil,
                    eta: .seconds(Int.random(in: 10...600, using: &random))),
                ttl: UInt32.random(in: 1...20, using: &random),
                drain: DrainRule(
                    ttlFactor: Double.random(in: 1...3, using: &random),
                    grace: .seconds(Int.random(in: 0...5, using: &random)),
                    deadline: .seconds(Int.random(in: 0...60, using: &random))),
                warm: .seconds(Int.random(in: 0...5, using: &random)))
        }
        let count = Int.random(in: 1...14, using: &random)
        var policy = Policy(
            zone: "a.example", roles: roles,
            movement: Movement(
                maxInflight: Int.random(in: 1...3, using: &random),
                gap: .seconds(Int.random(in: 0...5, using: &random)),
                minDwell: .seconds(Int.random(in: 0...30, using: &random)),
                upWindow: .seconds(Int.random(in: 0...10, using: &random)),
                downWindow: .seconds(Int.random(in: 0...40, using: &random))))
        for index in policy.roles.indices where Int.random(in: 0..<4, using: &random) == 0 {
            policy.roles[index].canary = .seconds(Int.random(in: 1...40, using: &random))
            policy.roles[index].slowStart = .seconds(Int.random(in: 1...40, using: &random))
        }
        for index in policy.roles.indices where Int.random(in: 0..<4, using: &random) == 0 {
            let earliest = Int.random(in: 0...60, using: &random)
            policy.roles[index].demand.predict = PredictRule(
                from: "b", earliest: .seconds(earliest),
                latest: .seconds(earliest + Int.random(in: 1...120, using: &random)),
                share: Double.random(in: 0...1, using: &random))
        }
        for index in policy.roles.indices where Int.random(in: 0..<3, using: &random) == 0 {
            policy.roles[index].drain.waitsForCores = true
        }
        for index in policy.roles.indices {
            policy.roles[index].needs = labels.filter { _ in
                Int.random(in: 0..<5, using: &random) == 0
            }
            if Int.random(in: 0..<4, using: &random) == 0 {
                policy.roles[index].share = Double.random(in: 0...0.6, using: &random)
            }
        }
        policy.colocates = Bool.random(using: &random)
        policy.onSignalLoss = SignalLoss(
            mode: Bool.random(using: &random) ? .hold : .fallback,
            after: .seconds(Int.random(in: 0...60, using: &random)), fallback: [roles[0].role: 2])
        policy.phases = randomPhases(roles, &random)
        policy.members = (1...count).compactMap { index in
            guard index % 3 == 0, let id = SmurfID("s\(index < 10 ? "0" : "")\(index)") else {
                return nil
            }
            let role = roles[Int.random(in: 0..<roles.count, using: &random)].role
            var member =
                Bool.random(using: &random)
                ? MemberPolicy(id: id, pin: role) : MemberPolicy(id: id, not: [role])
            member.capacity = Double.random(in: 0.5...3, using: &random)
            return member
        }
        var farm = FarmSimulation(policy: policy, smurfs: count)
        for id in farm.ids { farm.state.smurfs[id]?.labels = randomLabels(&random) }
        return farm
    }

    private static let labels = ["egress=25", "rack=b"].compactMap(Label.init)

    private static func randomLabels(_ random: inout SeededGenerator) -> [Label] {
        labels.filter { _ in Int.random(in: 0..<3, using: &random) > 0 }
    }

    private static func randomPhases(
        _ roles: [RolePolicy], _ random: inout SeededGenerator
    ) -> [Phase] {
        (0..<Int.random(in: 0...2, using: &random)).map { index in
            let limit = Double.random(in: 5...60, using: &random)
            let rule = roles[Int.random(in: 0..<roles.count, using: &random)]
            let floor = Int.random(in: 0...3, using: &random)
            return Phase(
                name: "p\(index)",
                latch: Phase.Latch(
                    when: [.init(signal: "a", .above, limit)],
                    until: [.init(signal: "a", .below, limit / 2)],
                    leaving: .seconds(Int.random(in: 0...20, using: &random))),
                changes: [
                    rule.role: RoleChanges(
                        min: floor, max: floor + Int.random(in: 0...3, using: &random))
                ],
                idle: Bool.random(using: &random) ? roles[0].role : nil)
        }
    }

    static func disturb(_ farm: inout FarmSimulation, _ random: inout SeededGenerator) {
        for name in ["a", "b", "c"] where Int.random(in: 0..<5, using: &random) > 0 {
            farm.demand.note(name, Double.random(in: 0...80, using: &random), at: farm.now)
        }
        if Int.random(in: 0..<12, using: &random) == 0,
            let id = farm.ids.randomElement(using: &random)
        {
            if farm.down.contains(id) { farm.down.remove(id) } else { farm.down.insert(id) }
        }
        if Int.random(in: 0..<40, using: &random) == 0 {
            farm.down = Set(farm.ids.filter { _ in Bool.random(using: &random) })
        }
        if Int.random(in: 0..<12, using: &random) == 0,
            let id = farm.ids.randomElement(using: &random)
        {
            if farm.unready.contains(id) {
                farm.unready.remove(id)
            } else {
                farm.unready.insert(id)
            }
        }
        if Int.random(in: 0..<60, using: &random) == 0,
            let id = farm.ids.randomElement(using: &random)
        {
            farm.state.smurfs[id]?.labels = randomLabels(&random)
        }
        if Int.random(in: 0..<12, using: &random) == 0,
            let id = farm.ids.randomElement(using: &random)
        {
            let doubt = Bool.random(using: &random) ? Doubt.blackHole : .check(trouble: "refused")
            farm.doubts[id] = farm.doubts[id] == nil ? doubt : nil
        }
        let core = ["east", "west"][Int.random(in: 0...1, using: &random)]
        if Int.random(in: 0..<6, using: &random) == 0 {
            farm.cores[core] = CoreSight(
                heard: farm.now,
                asOf: farm.now.advanced(by: .seconds(-Int.random(in: 0...5, using: &random))),
                uses: Set(
                    farm.state.smurfs.values.flatMap(\.addresses)
                        .filter { _ in Int.random(in: 0..<4, using: &random) == 0 }))
        }
        if Int.random(in: 0..<60, using: &random) == 0,
            let index = farm.policy.members.indices.randomElement(using: &random),
            let rule = farm.policy.roles.randomElement(using: &random)
        {
            let isPin = Bool.random(using: &random)
            farm.policy.members[index].pin = isPin ? rule.role : nil
            farm.policy.members[index].not = isPin ? [] : [rule.role]
        }
        if Int.random(in: 0..<30, using: &random) == 0,
            let id = farm.ids.randomElement(using: &random)
        {
            farm.state.smurfs[id]?.cordon = Cordon(
                until: farm.now.advanced(by: .seconds(Int.random(in: 1...90, using: &random))),
                reason: "test", by: "operator")
        }
        if Int.random(in: 0..<30, using: &random) == 0,
            let id = farm.ids.randomElement(using: &random),
            let rule = farm.policy.roles.randomElement(using: &random)
        {
            farm.state.smurfs[id]?.override = Override(
                kind: Bool.random(using: &random) ? .hold : .move(rule.role),
                until: farm.now.advanced(by: .seconds(Int.random(in: 1...60, using: &random))),
                reason: "test", by: "operator")
        }
    }
}
