import Farm
import RoleSchedulerCore
import TestSupport
import Testing

/// Phases: entered and left by numbers with hysteresis, by the clock, and the first that is on holds.
@Suite struct PhaseTests {
    private static let early = Phase(
        name: "early",
        latch: Phase.Latch(
            when: [.init(signal: "outbound.backlog", .above, 50_000)],
            until: [.init(signal: "outbound.backlog", .below, 20_000)]),
        changes: [Roles.in: RoleChanges(max: 2)])
    private static let bulge = Phase(
        name: "bulge",
        latch: Phase.Latch(
            when: [.init(signal: "bounces.arrival", .above, 2)],
            until: [.init(signal: "bounces.arrival", .below, 0.5)], leaving: .seconds(30)))
    private static let quiet = Phase(
        name: "quiet", changes: [Roles.out: RoleChanges(max: 2)], idle: Roles.web)

    private func farm(_ phases: [Phase]) -> FarmSimulation {
        var policy = Roles.seedFarm
        policy.phases = phases
        return FarmSimulation(policy: policy, smurfs: 12)
    }

    private func step(
        _ farm: inout FarmSimulation, backlog: Double?, bounces: Double?, seconds: Int = 1
    ) -> Plan {
        for _ in 1..<max(seconds, 1) { _ = step(&farm, backlog: backlog, bounces: bounces) }
        if let backlog { farm.demand.note("outbound.backlog", backlog, at: farm.now) }
        if let bounces { farm.demand.note("bounces.arrival", bounces, at: farm.now) }
        farm.demand.note("unsubscribes.arrival", 0, at: farm.now)
        return farm.tick()
    }

    @Test func theyLatchInOrder() {
        var farm = farm([PhaseTests.early, PhaseTests.bulge, PhaseTests.quiet])
        #expect(step(&farm, backlog: 0, bounces: 0).phase == "quiet")
        #expect(step(&farm, backlog: 60_000, bounces: 0).phase == "early")
        // Between the two limits it stays, whatever comes after it.
        #expect(step(&farm, backlog: 30_000, bounces: 9).phase == "early")
        #expect(step(&farm, backlog: 10_000, bounces: 9).phase == "bulge")
        #expect(step(&farm, backlog: 30_000, bounces: 1).phase == "bulge")
        #expect(step(&farm, backlog: 30_000, bounces: 0.1, seconds: 29).phase == "bulge")
        // One number on the wrong side, and the time begins anew.
        #expect(step(&farm, backlog: 30_000, bounces: 0.6).phase == "bulge")
        #expect(step(&farm, backlog: 30_000, bounces: 0.1, seconds: 30).phase == "bulge")
        #expect(step(&farm, backlog: 30_000, bounces: 0.1, seconds: 2).phase == "quiet")
    }

    /// Missing is not zero: without its number a phase is neither entered nor left.
    @Test func aMissingNumberKeepsThePhase() {
        var farm = farm([PhaseTests.early, PhaseTests.quiet])
        _ = step(&farm, backlog: 60_000, bounces: 0)
        #expect(step(&farm, backlog: nil, bounces: 0, seconds: 600).phase == "early")
        #expect(step(&farm, backlog: 10_000, bounces: 0).phase == "quiet")
    }

    @Test func itsLimitsHoldAndAreNamed() throws {
        var farm = farm([PhaseTests.early, PhaseTests.quiet])
        var plan = step(&farm, backlog: 60_000, bounces: 20, seconds: 300)
        var line = try #require(plan.explanation.first { $0.role == Roles.in })
        #expect(line.target == 2 && line.bound == .phase("early"))
        #expect(farm.serving(Roles.in) == 2)

        plan = step(&farm, backlog: 10_000, bounces: 0, seconds: 400)
        line = try #require(plan.explanation.first { $0.role == Roles.out })
        #expect(line.target == 2 && line.bound == .phase("quiet"))
        // What is left goes to the role that takes idle machines, up to its ceiling.
        line = try #require(plan.explanation.first { $0.role == Roles.web })
        #expect(line.target == 4 && farm.serving(Roles.web) == 4)
    }

    @Test func theClockTurnsThemOnAndOff() {
        let night = Phase(
            name: "night",
            hours: DailyHours(from: TimeOfDay(minute: 22 * 60), to: TimeOfDay(minute: 6 * 60)))
        let farm = farm([night])
        func phase(_ time: TimeOfDay?) -> String? {
            plan(
                policy: farm.policy, state: farm.state, demand: farm.demand, health: [:],
                now: farm.now, timeOfDay: time
            ).phase
        }
        for (minute, isNight) in [
            (22 * 60 - 1, false), (22 * 60, true), (1439, true), (0, true), (6 * 60 - 1, true),
            (6 * 60, false), (12 * 60, false),
        ] {
            #expect(phase(TimeOfDay(minute: minute)) == (isNight ? "night" : nil), "\(minute)")
        }
        #expect(phase(nil) == nil)
        #expect(TimeOfDay(minute: 65).description == "01:05")
    }

    /// Conditions on different signals may both hold: what ends a phase keeps it from beginning.
    @Test func itDoesNotFlapWhenBothSidesHold() {
        let odd = Phase(
            name: "odd",
            latch: Phase.Latch(
                when: [.init(signal: "outbound.backlog", .above, 10)],
                until: [.init(signal: "bounces.arrival", .below, 1)]))
        var farm = farm([odd])
        for _ in 0..<20 { #expect(step(&farm, backlog: 20, bounces: 0).phase == nil) }
        #expect(step(&farm, backlog: 20, bounces: 3).phase == "odd")
        for _ in 0..<20 { #expect(step(&farm, backlog: 20, bounces: 2).phase == "odd") }
    }

    /// A phase that left the policy is forgotten.
    @Test func aPhaseThatIsGoneIsForgotten() {
        var farm = farm([PhaseTests.early])
        _ = step(&farm, backlog: 60_000, bounces: 0)
        #expect(farm.state.latched == ["early"])
        farm.policy.phases = []
        #expect(step(&farm, backlog: 60_000, bounces: 0).phase == nil)
        #expect(farm.state.latched.isEmpty)
    }
}
