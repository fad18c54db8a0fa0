import Farm
import Foundation
import RoleSchedulerCore
import TestSupport
import Testing

@testable import RoleSimulation

@Suite struct PictureTests {
    private func outcome(name: String = "seed") -> Outcome {
        var scenario = Scenario()
        scenario.recipients = 60_000
        scenario.lead = 60
        scenario.horizon = 1800
        return simulate(scenario, .policy(SeedFarm.policy), name: name)
    }

    /// Every tag is closed, every text escaped, every number a number.
    @Test func isWellFormed() {
        let text = Picture(outcome(name: "<a> & \"b\""), title: "1 < 2", zone: "z", goal: 600).svg
        #expect(!text.contains("<a>"))
        #expect(text.contains("steered by &lt;a&gt; &amp; &quot;b&quot;"))
        #expect(text.hasSuffix("</svg>\n"))
        for tag in ["rect", "polyline", "polygon"] {
            let all = text.components(separatedBy: "<\(tag) ").count
            let closed = text.split(separator: "\n").filter {
                $0.hasPrefix("<\(tag) ") && $0.hasSuffix("/>")
            }.count
            #expect(all - 1 == closed)
        }
        #expect(!text.contains("nan") && !text.contains("inf"))
    }

    @Test func showsEveryMoveWithItsReason() {
        let outcome = outcome()
        let chosen = outcome.log.filter { $0.isChosen && $0.second >= 0 }
        let text = Picture(outcome, title: "", zone: "z").svg
        #expect(!chosen.isEmpty)
        for move in chosen.prefix(44) {
            #expect(text.contains("\(move.smurf) \(move.role): \(move.why)"))
        }
    }

    @Test func nothingToShowIsNoTrap() {
        #expect(Picture(Outcome(name: ""), title: "", zone: "").svg.contains("Nobody moved."))
    }
}

@Suite struct ClairvoyantTests {
    /// Without bounces and clicks all but the floors send: 60,000 rows by 10 machines at 25/s.
    @Test func sendsWithAllButTheFloors() {
        var scenario = Scenario()
        scenario.recipients = 60_000
        scenario.bounceShare = 0
        scenario.clickShare = 0
        #expect(clairvoyantCompletion(scenario, SeedFarm.policy) == 239)
    }

    /// Every policy and every split that keeps the limits is beaten.
    @Test func nothingThatKeepsTheLimitsIsFaster() {
        var scenario = Scenario()
        scenario.recipients = 300_000
        let bound = clairvoyantCompletion(scenario, SeedFarm.policy)
        let steered = simulate(scenario, .policy(SeedFarm.policy), name: "")
        #expect(bound < steered.completion ?? 0)
        for (inbound, web) in [(2, 1), (3, 1), (2, 2)] {
            let split = [SeedFarm.out: 12 - inbound - web, SeedFarm.in: inbound, SeedFarm.web: web]
            let fixed = simulate(scenario, .fixed(SeedFarm.policy, split), name: "")
            let isKept = fixed.worstBounceAge <= 300 && fixed.clickWaitP99 <= 10
            if isKept { #expect(bound <= fixed.completion ?? 0) }
        }
    }
}
