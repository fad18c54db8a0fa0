import Farm
import Foundation
import TestSupport
import Testing

@testable import RoleSimulation

@Suite struct TraceTests {
    private func line(_ json: String) throws -> Trace.Line {
        try JSONDecoder().decode(Trace.Line.self, from: Data(json.utf8))
    }

    @Test func linesHoldUntilTheNext() throws {
        var replay = Replay(
            Trace([
                try line(#"{"at":20,"up":3}"#), try line(#"{"at":5,"down":3}"#),
                try line(#"{"at":10,"signal":"bounces.arrival","value":2.5}"#),
            ]))
        replay.step(9)
        #expect(replay.down == [3] && replay.bounces == 0)
        replay.step(15)
        #expect(replay.bounces == 2.5 && replay.clicks == 0)
        replay.step(20)
        #expect(replay.down.isEmpty && replay.bounces == 2.5)
    }

    @Test(arguments: [
        #"{"at":-1,"down":1}"#, #"{"at":1}"#, #"{"at":1,"down":0}"#, #"{"at":1,"down":1,"up":1}"#,
        #"{"at":1,"signal":"x"}"#, #"{"at":1,"signal":"x","value":-2}"#, #"{"at":1e300,"up":1}"#,
        #"{"at":1,"signal":"x","value":1,"down":2}"#, #"{"at":1,"hole":1,"well":1}"#,
        #"{"at":1,"hole":0}"#, #"{"at":1,"machine":2}"#, #"{"at":1,"labels":["rack=b"]}"#,
        #"{"at":1,"machine":2,"labels":["rack"]}"#, #"{"at":1,"down":2,"labels":["rack=b"]}"#,
    ])
    func absurdLinesAreRefused(_ json: String) throws {
        #expect(try line(json).fault != nil)
    }

    /// What a run leaves brings the same bounces and clicks to the next one.
    @Test func aRunCanBeLivedThroughAgain() {
        var scenario = Scenario()
        scenario.recipients = 60_000
        scenario.lead = 60
        scenario.bounceLag = Lag([.init(from: 60, to: 900, share: 1)])
        scenario.clickLag = Lag([.init(from: 60, to: 900, share: 1)])
        let first = simulate(scenario, .policy(SeedFarm.policy), name: "")
        scenario.trace = Trace(of: first)
        scenario.bounceShare = 0
        scenario.clickShare = 0
        let again = simulate(scenario, .policy(SeedFarm.policy), name: "")
        func sum(_ outcome: Outcome) -> Double {
            outcome.minutes.reduce(0) { $0 + $1.bounces * 60 }
        }
        #expect(abs(sum(first) - 3600) < 40)
        #expect(abs(sum(again) - sum(first)) < 40)
        #expect(again.completion != nil)
    }

    /// Black holes and labels are in the trace of a run, and another run has the same.
    @Test func holesAndLabelsAreLivedThroughAgain() throws {
        let rack = try #require(Label("rack=b"))
        var scenario = Scenario()
        scenario.recipients = 60_000
        scenario.lead = 60
        scenario.horizon = 1200
        scenario.labels = [.init(label: rack, machines: 1...2)]
        scenario.holes = [.init(at: 70, lasting: 500, .some(2))]
        let first = simulate(scenario, .policy(SeedFarm.policy), name: "")
        #expect(first.holes.count == 2 && first.labels.count == 2)
        scenario.trace = Trace(of: first)
        (scenario.labels, scenario.holes) = ([], [])
        let again = simulate(scenario, .policy(SeedFarm.policy), name: "")
        #expect(again.labels == first.labels)
        func stretches(_ outcome: Outcome) -> Set<String> {
            Set(outcome.holes.map { "\($0.smurf) \($0.from) \($0.to ?? -1)" })
        }
        #expect(stretches(again) == stretches(first))
    }

    @Test func labelsOfTheTraceChange() throws {
        var scenario = Scenario()
        scenario.recipients = 60_000
        scenario.lead = 60
        scenario.trace = Trace([
            try line(#"{"at":0,"machine":2,"labels":["rack=b","disk=slow"]}"#),
            try line(#"{"at":300,"machine":2,"labels":[]}"#),
            try line(#"{"at":0,"machine":3,"labels":["rack=b"]}"#),
        ])
        let outcome = simulate(scenario, .policy(SeedFarm.policy), name: "")
        #expect(outcome.labels == ["s00002": ["disk=slow", "rack=b"], "s00003": ["rack=b"]])
        let (both, one) = (outcome.labelled["rack=b"] ?? [:], outcome.labelled["disk=slow"] ?? [:])
        #expect(one.values.reduce(0, +) > 0)
        #expect(both.values.reduce(0, +) > one.values.reduce(0, +) + 0.5)
    }

    @Test func machinesOfTheTraceFail() throws {
        var scenario = Scenario()
        scenario.recipients = 60_000
        scenario.lead = 60
        let calm = simulate(scenario, .policy(SeedFarm.policy), name: "")
        scenario.trace = Trace([
            try line(#"{"at":60,"down":5}"#), try line(#"{"at":60,"down":6}"#),
            try line(#"{"at":60,"down":7}"#),
        ])
        let broken = simulate(scenario, .policy(SeedFarm.policy), name: "")
        #expect(broken.completion ?? 0 > calm.completion ?? .max)
        #expect(broken.minutes.contains { $0.down == 3 })
    }
}
