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

    /// A hole is drawn, and who leaves for it is named with its label and the reason.
    @Test func showsHolesAndLabels() throws {
        var scenario = Scenario()
        scenario.recipients = 200_000
        scenario.lead = 60
        scenario.horizon = 1800
        scenario.labels = [.init(label: try #require(Label("rack=b")), machines: 1...12)]
        scenario.holes = [.init(at: 60, lasting: 1700, .some(2))]
        let outcome = simulate(scenario, .policy(SeedFarm.policy), name: "")
        let text = Picture(outcome, title: "", zone: "z").svg
        let left = try #require(outcome.log.first { $0.isDoubted })
        #expect(text.contains("black holes</text>"))
        #expect(text.contains("▼ \(left.smurf) [rack=b] smtp-out: a black hole"))
        #expect(!Picture(self.outcome(), title: "", zone: "z").svg.contains("black hole"))
    }

    @Test func nothingToShowIsNoTrap() {
        #expect(Picture(Outcome(name: ""), title: "", zone: "").svg.contains("Nobody moved."))
    }
}
