import Farm
import RoleSchedulerCore
import TestSupport
import Testing

/// What a plan says of itself: for each way in which a target can be bound or late, the reason.
@Suite struct ExplanationTests {
    private let quiet = [
        "outbound.backlog": 0.0, "bounces.arrival": 0, "unsubscribes.arrival": 0,
    ]

    private func farm(
        smurfs: Int = 12, _ change: (inout Policy) -> Void = { _ in }
    ) -> FarmSimulation {
        var policy = Roles.seedFarm
        change(&policy)
        return FarmSimulation(policy: policy, smurfs: smurfs)
    }

    /// Lives through `seconds` of `signals`, and explains `role` after the last.
    private func explain(
        _ role: Role, _ farm: inout FarmSimulation, seconds: Int, _ signals: [String: Double]
    ) throws -> RoleExplanation {
        farm.run(seconds: seconds - 1, signals)
        for (name, value) in signals { farm.demand.note(name, value, at: farm.now) }
        let plan = farm.tick()
        return try #require(plan.explanation.first { $0.role == role })
    }

    /// Bounces per second that four machines at 70 % of 4/s take, and what bounds the target then.
    @Test(arguments: [
        (0.0, Bound.minimum, 1), (5.5, .demand, 2), (9.0, .demand, 4), (11.6, .demand, 5),
        (90.0, .maximum, 6),
    ])
    func numbersAndLimitsBind(_ arrival: Double, _ bound: Bound, _ target: Int) throws {
        var farm = farm()
        let signals = quiet.merging(["bounces.arrival": arrival]) { $1 }
        let line = try explain(Roles.in, &farm, seconds: 300, signals)
        #expect(line.bound == bound)
        #expect(line.target == target && line.setpoint == target && line.wanted == target)
        #expect(line.serving == target && line.assigned == target && line.delay == nil)
        #expect(line.raw.formula?.arrival == arrival)
    }

    @Test func toleranceSaturationAndLatencyBind() throws {
        var near = farm()
        _ = try explain(
            Roles.in, &near, seconds: 200, quiet.merging(["bounces.arrival": 5.5]) { $1 })
        // 2.07 machines are 2 within the tolerance of 10 %.
        let line = try explain(
            Roles.in, &near, seconds: 100, quiet.merging(["bounces.arrival": 5.8]) { $1 })
        #expect(line.bound == .tolerance && line.target == 2)

        var full = farm {
            for index in $0.roles.indices { $0.roles[index].utilisation = 0.95 }
        }
        full.run(seconds: 60, quiet)
        let limit = try (0..<30).map { _ in
            try explain(Roles.in, &full, seconds: 1, quiet.merging(["bounces.arrival": 4]) { $1 })
        }
        #expect(limit.contains { $0.bound == .saturation && $0.target == 2 })

        var slow = farm {
            for index in $0.roles.indices where $0.roles[index].role == Roles.web {
                $0.roles[index].demand.latency = .init(signal: "p95", limit: .seconds(1))
            }
        }
        let late = try explain(
            Roles.web, &slow, seconds: 60,
            quiet.merging(["p95": 3, "unsubscribes.arrival": 0]) { $1 })
        #expect(late.bound == .latency(signal: "p95") || late.bound == .maximum)
        #expect(late.target > 1)
    }

    @Test func windowsBind() throws {
        var farm = farm()
        let busy = quiet.merging(["bounces.arrival": 9]) { $1 }
        farm.run(seconds: 100, quiet)
        let up = try explain(Roles.in, &farm, seconds: 2, busy)
        guard case .upWindow(let share) = up.bound else {
            Issue.record("bound by \(up.bound)")
            return
        }
        #expect(share > 0 && share < 0.5 && up.wanted == 4 && up.setpoint == 1)
        farm.run(seconds: 300, busy)
        let down = try explain(Roles.in, &farm, seconds: 10, quiet)
        guard case .downWindow(let left) = down.bound else {
            Issue.record("bound by \(down.bound)")
            return
        }
        #expect(left > .seconds(15) && left < .seconds(25) && down.target == 4)
    }

    @Test func sharesSoakAndLostSignalsBind() throws {
        var few = farm(smurfs: 5)
        let all = ["outbound.backlog": 1e6, "bounces.arrival": 20, "unsubscribes.arrival": 9]
        let share = try explain(Roles.in, &few, seconds: 300, all)
        #expect(share.bound == .share && share.target < share.setpoint)

        var soaking = farm()
        let backlog = quiet.merging(["outbound.backlog": 1000]) { $1 }
        let soak = try explain(Roles.out, &soaking, seconds: 60, backlog)
        #expect(soak.bound == .soak && soak.target == 10 && soak.setpoint == 1)

        var blind = farm { $0.onSignalLoss = SignalLoss(mode: .fallback, fallback: [Roles.web: 3]) }
        blind.run(seconds: 100, quiet)
        let lost = try explain(Roles.in, &blind, seconds: 100, [:])
        #expect(lost.bound == .signalLoss && lost.raw.missing == ["bounces.arrival"])
        let fallback = try explain(Roles.web, &blind, seconds: 1, [:])
        #expect(fallback.target == 3 && fallback.raw.missing == ["unsubscribes.arrival"])
    }

    @Test func whatDelaysARoleIsSaid() throws {
        var farm = farm(smurfs: 6)
        let busy = ["outbound.backlog": 1e6, "bounces.arrival": 0, "unsubscribes.arrival": 0]
        farm.run(seconds: 60, busy)
        var seen = Set<String>()
        let pulled = busy.merging(["bounces.arrival": 9]) { $1 }
        for _ in 0..<120 {
            let line = try explain(Roles.in, &farm, seconds: 1, pulled)
            switch line.delay {
            case .gap(let left)?:
                #expect(left > .zero && left <= farm.policy.movement.gap)
                seen.insert("gap")
            case .inflight(let moving)?:
                #expect(moving == 1)
                seen.insert("inflight")
            case .warming(let count)?:
                #expect(count == 1)
                seen.insert("warming")
            case nil: seen.insert("done")
            case let other?: seen.insert("\(other)")
            }
        }
        #expect(seen.isSuperset(of: ["gap", "inflight", "warming", "done"]), "\(seen)")
        farm.down = Set(farm.ids.prefix(4))
        for id in farm.down { farm.health[id] = nil }
        let frozen = farm.tick().explanation.first { $0.delay == .frozen(down: 4, of: 6) }
        #expect(frozen != nil)
    }

    @Test func eachMachineThatIsPassedOverHasItsReason() throws {
        var farm = farm(smurfs: 8) {
            $0.members = [
                MemberPolicy(id: SmurfID("s07") ?? $0.members[0].id, pin: Roles.web),
                MemberPolicy(id: SmurfID("s08") ?? $0.members[0].id, not: [Roles.in]),
            ]
        }
        farm.run(seconds: 100, quiet)
        let ids = farm.ids
        let end = farm.now.advanced(by: .seconds(900))
        func word(_ kind: Override.Kind) -> Override {
            Override(kind: kind, until: end, reason: "test", by: "me")
        }
        let idle = ids.filter { farm.state.smurfs[$0]?.state == .idle }
            .filter { !["s07", "s08"].contains($0.name) }
        try #require(idle.count >= 3)
        farm.state.smurfs[idle[0]]?.cordon = Cordon(until: end, reason: "test", by: "me")
        farm.state.smurfs[idle[1]]?.override = word(.hold)
        farm.down = [idle[2]]
        let busy = quiet.merging(["bounces.arrival": 20]) { $1 }
        farm.run(seconds: 200, busy)
        for (name, value) in busy { farm.demand.note(name, value, at: farm.now) }
        let plan = farm.tick()
        let line = try #require(plan.explanation.first { $0.role == Roles.in })
        #expect(line.delay == .noMachine && line.bound == .share || line.target == line.assigned)
        let view = PlanView(
            policy: farm.policy, state: plan.state, health: farm.health, now: farm.now,
            targets: Dictionary(uniqueKeysWithValues: plan.explanation.map { ($0.role, $0.target) })
        )
        #expect(view.whyNot(idle[0], Roles.in) == .cordoned)
        #expect(view.whyNot(idle[1], Roles.in) == .held)
        #expect(view.whyNot(idle[2], Roles.in) == .unfit)
        #expect(view.whyNot(ids[6], Roles.in) == .pinned(Roles.web))
        #expect(view.whyNot(ids[7], Roles.in) == .forbidden)
        let sender = try #require(
            ids.first { farm.state.smurfs[$0]?.state == .serving(Roles.out) })
        if sender != ids[7] { #expect(view.whyNot(sender, Roles.in) == .needed(Roles.out)) }
        let member = try #require(ids.first { farm.state.smurfs[$0]?.state == .serving(Roles.in) })
        #expect(view.whyNot(member, Roles.in) == .member)
    }
}
