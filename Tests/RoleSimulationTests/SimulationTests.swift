import Farm
import RoleSchedulerCore
import TestSupport
import Testing

@testable import RoleSimulation

@Suite struct SimulationTests {
    private func scenario(_ change: (inout Scenario) -> Void = { _ in }) -> Scenario {
        var scenario = Scenario()
        scenario.recipients = 60_000
        scenario.lead = 200
        scenario.horizon = 3 * 3600
        scenario.bounceLag = Lag([.init(from: 60, to: 900, share: 1)])
        scenario.clickLag = Lag([.init(from: 60, to: 900, share: 1)])
        change(&scenario)
        return scenario
    }

    private func split(_ out: Int, _ inbound: Int, _ web: Int) -> RoleSteering {
        .fixed(SeedFarm.policy, [SeedFarm.out: out, SeedFarm.in: inbound, SeedFarm.web: web])
    }

    @Test func oneSeedGivesOneOutcome() {
        let rough = scenario {
            $0.meanTimeBetweenFailures = 3000
            $0.noise = 0.4
            $0.outages = [Scenario.Outage(at: 300, machines: 3, lasting: 200)]
        }
        let one = simulate(rough, .policy(SeedFarm.policy), name: "a")
        #expect(one == simulate(rough, .policy(SeedFarm.policy), name: "a"))
        var other = rough
        other.seed = 2
        #expect(one != simulate(other, .policy(SeedFarm.policy), name: "a"))
    }

    /// 60,000 rows by 8 machines at 25/s, by hand.
    @Test func staticFarmsTakeAsLongAsTheirMachinesNeed() {
        let outcome = simulate(scenario(), split(8, 2, 2), name: "8/2/2")
        #expect(outcome.completion == 299)
        #expect(outcome.unsent == 0)
        #expect(outcome.moves == 0)
        // 1.5 % of 60,000 within 15 min: 1/s is far less than 2 × 2.5/s.
        #expect(outcome.clickWaitP99 == 0)
    }

    @Test func linksAndSitesLimitWhatMachinesSend() {
        let thin = scenario { $0.linkBits = 1e6 }  // 1e6 × 0.93 / 8 / 40,000 = 2.9/s each
        #expect(simulate(thin, split(8, 2, 2), name: "").completion == 2580)
        let slow = scenario { $0.sites = [Scenario.Site(share: 0.5, limit: 10)] }
        #expect(simulate(slow, split(8, 2, 2), name: "").completion == 2999)
    }

    @Test func tooFewMachinesLetWorkWait() {
        let starved = scenario { $0.recipients = 300_000 }
        let outcome = simulate(starved, split(10, 1, 1), name: "10/1/1")
        #expect(outcome.worstBounceAge > 300)
        #expect(outcome.clickWaitP99 > 10)
    }

    @Test func policiesKeepBouncesAndClicksShort() {
        let outcome = simulate(
            scenario { $0.recipients = 300_000 }, .policy(SeedFarm.policy), name: "seed")
        #expect(outcome.completion != nil)
        #expect(outcome.clickWaitP99 <= 10)
        #expect(outcome.worstBounceAge <= 300)
        #expect(outcome.flaps * 3 <= outcome.moves)
        #expect(outcome.log.allSatisfy { !$0.why.isEmpty })
        for minute in outcome.minutes { #expect(minute.members.values.reduce(0, +) <= 12) }
    }

    /// Examples/policies/slow-caches.yml: a move takes more than four minutes, so that a role that waits for bounces is late.
    @Test(arguments: [UInt64(1), 2, 3])
    func whatWasSentTellsWhatComesBack(_ seed: UInt64) {
        func worst(_ predict: PredictRule?) -> Double {
            var policy = SeedFarm.policy
            for index in policy.roles.indices {
                policy.roles[index].ttl = 120
                guard policy.roles[index].role == SeedFarm.in else { continue }
                policy.roles[index].utilisation = 0.9
                policy.roles[index].demand.predict = predict
            }
            let mailing = scenario {
                $0.recipients = 300_000
                $0.bounceLag = .bounces
                $0.noise = 0.2
                $0.seed = seed
            }
            let outcome = simulate(mailing, .policy(policy), name: "")
            #expect(outcome.completion != nil)
            return outcome.worstBounceBacklog
        }
        let without = worst(nil)
        let with = worst(
            PredictRule(
                from: "outbound.sent", earliest: .seconds(120), latest: .seconds(3900), share: 0.06)
        )
        #expect(without > 50 && with < without / 4, "\(with) with, \(without) without")
    }

    @Test func lostMachinesCostTime() {
        let calm = simulate(scenario(), .policy(SeedFarm.policy), name: "")
        let broken = simulate(
            scenario { $0.outages = [.init(at: 60, machines: 5, lasting: 2000)] },
            .policy(SeedFarm.policy), name: "")
        #expect((broken.completion ?? 0) > (calm.completion ?? .max))
    }

    /// Without numbers nothing shrinks: the roles that a mailing made grow are still there.
    @Test func silenceShrinksNothing() {
        let silent = scenario {
            $0.recipients = 300_000
            $0.silences = [.init(from: 1200, to: 7000)]
        }
        let outcome = simulate(silent, .policy(SeedFarm.policy), name: "")
        let inbound = outcome.minutes.filter { (1200...6900).contains($0.second) }
            .map { $0.members[SeedFarm.in.name] ?? 0 }
        #expect(zip(inbound, inbound.dropFirst()).allSatisfy { $0 <= $1 })
    }

    @Test func tenThousandMachinesFit() {
        let large = scenario {
            $0.smurfs = 10_000
            $0.lead = 0
            $0.horizon = 20
        }
        let outcome = simulate(large, .policy(SeedFarm.policy), name: "")
        #expect(outcome.log.filter { $0.to == "idle" }.count >= 9_990)
    }
}

/// The seed's farm with the default rules of movement.
enum SeedFarm {
    static let out = role("smtp-out")
    static let `in` = role("smtp-in")
    static let web = role("web")

    static func role(_ name: String) -> Role {
        guard let role = Role(name) else { fatalError("\(name) is no role") }
        return role
    }

    static let policy = Policy(
        zone: "smurf.example.test",
        roles: [
            RolePolicy(
                role: out, names: [RoleName(owner: "smtp-out", kind: .address)], priority: 2,
                min: 1, soak: 1, capacity: 25,
                demand: DemandRule(backlog: "outbound.backlog", eta: .seconds(3600))),
            RolePolicy(
                role: `in`, names: [RoleName(owner: "smtp-in", kind: .address)], min: 1, max: 6,
                capacity: 4, demand: DemandRule(arrival: "bounces.arrival")),
            RolePolicy(
                role: web, names: [RoleName(owner: "web", kind: .address)], min: 1, max: 4,
                capacity: 2.5, demand: DemandRule(arrival: "unsubscribes.arrival")),
        ])
}
