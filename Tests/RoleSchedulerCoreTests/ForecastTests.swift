import Farm
import RoleSchedulerCore
import TestSupport
import Testing

/// What was sent tells what will come back, before it comes.
@Suite struct ForecastTests {
    private static let rule = PredictRule(
        from: "outbound.sent", earliest: .seconds(60), latest: .seconds(600), share: 0.06)

    /// Nothing is due within the first five minutes, so that nothing is learnt.
    private static let late = PredictRule(
        from: "outbound.sent", earliest: .seconds(300), latest: .seconds(600), share: 0.06)

    private static func policy(_ rule: PredictRule? = rule) -> Policy {
        var policy = Roles.seedFarm
        for index in policy.roles.indices where policy.roles[index].role == Roles.in {
            policy.roles[index].demand.predict = rule
        }
        return policy
    }

    private static func signals(sent: Double, bounces: Double) -> [String: Double] {
        [
            "outbound.backlog": 1e6, "outbound.sent": sent, "bounces.arrival": bounces,
            "unsubscribes.arrival": 0,
        ]
    }

    private func line(_ plan: Plan) throws -> RoleExplanation {
        try #require(plan.explanation.first { $0.role == Roles.in })
    }

    /// 200/s × 6 % = 12/s at full flow; after 250 s, 250/300 of it will come within the shortest lag.
    @Test func growsBeforeTheFirstBounce() throws {
        var farm = FarmSimulation(
            policy: ForecastTests.policy(ForecastTests.late), smurfs: 12)
        farm.run(seconds: 250, ForecastTests.signals(sent: 200, bounces: 0))
        let formula = try #require(try line(farm.tick()).raw.formula)
        let predicted = try #require(formula.predicted)
        #expect(abs(predicted - 12 * 250 / 300) < 0.3)
        #expect(formula.arrival == 0)
        #expect(try line(farm.tick()).bound == .prediction)
        #expect(farm.serving(Roles.in) >= 3)
    }

    @Test func withoutItTheRoleWaitsForBounces() {
        var farm = FarmSimulation(policy: ForecastTests.policy(nil), smurfs: 12)
        farm.run(seconds: 290, ForecastTests.signals(sent: 200, bounces: 0))
        #expect(farm.serving(Roles.in) == 1)
    }

    /// A share that was assumed gives way to what is measured, also to nothing at all.
    @Test(arguments: [0.0, 0.02, 0.2])
    func learnsTheShare(_ share: Double) throws {
        var farm = FarmSimulation(policy: ForecastTests.policy(), smurfs: 12)
        farm.run(seconds: 60, ForecastTests.signals(sent: 200, bounces: 0))
        for second in 0..<1200 {
            let flow = min(Double(second) / 540, 1)
            farm.run(
                seconds: 1, ForecastTests.signals(sent: 200, bounces: 200 * share * flow))
        }
        let formula = try #require(try line(farm.tick()).raw.formula)
        #expect(abs((formula.predicted ?? formula.arrival) - 200 * share) < 0.5)
    }

    /// The wave ebbs off: what was sent long ago is forgotten, and the role shrinks.
    @Test func endsWithTheWave() {
        var farm = FarmSimulation(
            policy: ForecastTests.policy(ForecastTests.late), smurfs: 12)
        farm.run(seconds: 290, ForecastTests.signals(sent: 200, bounces: 0))
        #expect(farm.serving(Roles.in) > 1)
        farm.run(seconds: 1200, ForecastTests.signals(sent: 0, bounces: 0))
        #expect(farm.serving(Roles.in) == 1)
    }

    /// Missing is not zero: what was sent last goes on, and the role keeps what it has.
    @Test func silenceOfTheSenderShrinksNothing() throws {
        var farm = FarmSimulation(policy: ForecastTests.policy(), smurfs: 12)
        farm.run(seconds: 700, ForecastTests.signals(sent: 200, bounces: 12))
        let held = farm.serving(Roles.in)
        var rest = ForecastTests.signals(sent: 0, bounces: 0)
        rest["outbound.sent"] = nil
        farm.run(seconds: 900, rest)
        #expect(farm.serving(Roles.in) == held)
        #expect(try line(farm.tick()).raw.missing == ["outbound.sent"])
    }

    /// Never negative, never infinite, never a trap, and no more than all that was sent, whatever the lags and
    /// however time passes.
    @Test func boundedForAnyInput() {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("forecast"))
        for _ in 0..<200 {
            let earliest = Double.random(in: 0...600, using: &random)
            let rule = PredictRule(
                from: "s", earliest: .seconds(earliest),
                latest: .seconds(earliest + Double.random(in: 0.001...4000, using: &random)),
                share: Double.random(in: 0...1, using: &random))
            var farm = FarmSimulation(policy: ForecastTests.policy(rule), smurfs: 5)
            for _ in 0..<150 {
                if Bool.random(using: &random) {
                    farm.demand.note("s", Double.random(in: 0...500, using: &random), at: farm.now)
                }
                farm.demand.note(
                    "bounces.arrival", Double.random(in: 0...900, using: &random), at: farm.now)
                let plan = farm.tick(.milliseconds(Int.random(in: 0...60_000, using: &random)))
                for line in plan.explanation {
                    let predicted = line.raw.formula?.predicted ?? 0
                    #expect(predicted.isFinite && predicted >= 0 && predicted <= 500 + 1e-6)
                }
            }
        }
    }
}
