import Farm
import RoleSchedulerCore
import TestSupport
import Testing

@testable import RoleSimulation

/// Machines that take work and do none of it, and machines with labels or entries of their own, in the simulated farm.
@Suite struct HoleTests {
    private static func scenario(_ change: (inout Scenario) -> Void = { _ in }) -> Scenario {
        var scenario = Scenario()
        scenario.recipients = 300_000
        scenario.lead = 200
        scenario.horizon = 2 * 3600
        scenario.bounceLag = Lag([.init(from: 60, to: 900, share: 1)])
        scenario.clickLag = Lag([.init(from: 60, to: 900, share: 1)])
        change(&scenario)
        return scenario
    }

    private func moves(_ outcome: Outcome) -> [Outcome.Move] { outcome.log.filter(\.isDoubted) }

    private func id(_ name: String) throws -> SmurfID { try #require(SmurfID(name)) }

    /// Two of twelve send nothing from the second minute on: they lose the role once the guard's five minutes and the time
    /// in which somebody counts as down are over, and the reason is the true one.
    @Test(arguments: [UInt64(1), 2, 3])
    func holesLoseTheirRole(_ seed: UInt64) {
        let scenario = HoleTests.scenario {
            $0.seed = seed
            $0.holes = [.init(at: 120, lasting: 7200, .some(2))]
        }
        let outcome = simulate(scenario, .policy(SeedFarm.policy), name: "")
        // Whoever is alone in its role has no peers to be held against.
        let senders = Set(
            outcome.log.filter { $0.second < 120 && $0.to == "serving smtp-out" }.map(\.smurf))
        let holes = outcome.holes.filter { senders.contains($0.smurf) }
        let found = moves(outcome)
        #expect(!holes.isEmpty && outcome.holes.count == 2, "seed \(seed)")
        let names = Set(found.map(\.smurf))
        #expect(names.isSuperset(of: holes.map(\.smurf)), "seed \(seed)")
        #expect(names.isSubset(of: outcome.holes.map(\.smurf)), "seed \(seed)")
        for move in found {
            #expect(move.from.hasPrefix("serving"), "\(move)")
            #expect(move.second >= 120 + 300 && !move.isChosen, "\(move)")
            #expect(move.why == "a black hole: it does nothing while most of its peers work")
        }
        for hole in holes {
            #expect(hole.from == 120 && hole.to == nil)
            #expect((420...600).contains(hole.found ?? 0), "\(hole)")
        }
        #expect(outcome.minutes.contains { $0.holes == 2 })
        #expect(outcome.completion != nil)
    }

    /// By its name, and only for a while: it works again and is none any more.
    @Test func oneByNameGetsWell() throws {
        let scenario = HoleTests.scenario {
            $0.holes = [.init(at: 120, lasting: 600, .one(SmurfID("s00007") ?? $0.ids[0]))]
        }
        let outcome = simulate(scenario, .policy(SeedFarm.policy), name: "")
        #expect(outcome.holes.map(\.smurf) == ["s00007"])
        #expect(outcome.holes.first?.to == 720)
        #expect(outcome.minutes.last?.holes == 0)
        #expect(Set(moves(outcome).map(\.smurf)) == ["s00007"])
    }

    /// The guard switched off, they keep the role to the end, and the mailing takes longer than without them.
    @Test func withoutTheGuardTheyStay() {
        var policy = SeedFarm.policy
        policy.guards.blackHoleAfter = .zero
        let holes = HoleTests.scenario { $0.holes = [.init(at: 120, lasting: 7200, .some(3))] }
        let unseen = simulate(holes, .policy(policy), name: "")
        #expect(moves(unseen).isEmpty && unseen.holes.allSatisfy { $0.found == nil })
        let well = simulate(HoleTests.scenario(), .policy(policy), name: "")
        #expect(unseen.completion ?? .max > well.completion ?? 0)
        #expect(well.holes.isEmpty)
    }

    /// Nobody who works is taken for a hole.
    @Test(arguments: [UInt64(1), 2])
    func nobodyElseIsSuspected(_ seed: UInt64) {
        let scenario = HoleTests.scenario {
            $0.seed = seed
            $0.noise = 0.4
            $0.outages = [.init(at: 300, machines: 3, lasting: 200)]
        }
        #expect(moves(simulate(scenario, .policy(SeedFarm.policy), name: "")).isEmpty)
    }

    /// It did happen: five minutes after the last row was sent, whoever had been looked at last had done nothing for five
    /// minutes, and the others had for four and a half.
    @Test func theEndOfAMailingMakesNoHoles() {
        var policy = SeedFarm.policy
        policy.phases = [Phase(name: "quiet", idle: SeedFarm.out)]
        for lead in [200, 207, 215, 226, 233] {
            let outcome = simulate(
                HoleTests.scenario { $0.lead = lead }, .policy(policy), name: "")
            #expect(outcome.completion != nil)
            #expect(moves(outcome).isEmpty, "lead \(lead): \(moves(outcome))")
        }
    }

    /// `match: {label: rack=b}` bars half of the farm from a role, and pins one machine.
    @Test func labelsCount() throws {
        let rack = try #require(Label("rack=b"))
        let spare = try #require(Label("disk=slow"))
        var policy = SeedFarm.policy
        policy.labelled = [
            LabelPolicy(label: rack, not: [SeedFarm.in]),
            LabelPolicy(label: spare, pin: SeedFarm.web),
        ]
        let scenario = HoleTests.scenario {
            $0.labels = [
                .init(label: rack, machines: 1...6), .init(label: spare, machines: 12...12),
            ]
        }
        let outcome = simulate(scenario, .policy(policy), name: "")
        let barred = Set((1...6).map { "s0000\($0)" })
        let taken = outcome.log.filter { $0.role == "smtp-in" && $0.to.hasPrefix("warming") }
        #expect(!taken.isEmpty && taken.allSatisfy { !barred.contains($0.smurf) })
        let pinned = outcome.log.filter { $0.smurf == "s00012" && $0.to.hasPrefix("warming") }
        #expect(!pinned.isEmpty && pinned.allSatisfy { $0.role == "web" })
        #expect(outcome.labelled["rack=b"]?["smtp-in"] == nil)
        #expect(outcome.labelled["rack=b"]?["smtp-out"] ?? 0 > 2)
        #expect(outcome.labels["s00003"] == ["rack=b"] && outcome.labels["s00007"] == nil)
        let free = simulate(HoleTests.scenario(), .policy(policy), name: "")
        #expect(free.log.contains { $0.role == "smtp-in" && barred.contains($0.smurf) })
    }

    /// Nobody reports that a machine without an agent is down; a check sees it.
    @Test func checksSeeWhoHasNoAgent() throws {
        var policy = SeedFarm.policy
        policy.members = (1...12).compactMap { SmurfID("p\($0 + 10)") }.map {
            MemberPolicy(id: $0, agent: false)
        }
        let scenario = HoleTests.scenario {
            $0.names = policy.members.map(\.id)
            $0.outages = [.init(at: 300, machines: 3, lasting: 7000)]
        }
        let blind = simulate(scenario, .policy(policy), name: "")
        #expect(moves(blind).isEmpty)
        for index in policy.roles.indices {
            policy.roles[index].check = CheckRule(.tcp, port: 25)
        }
        let seeing = simulate(scenario, .policy(policy), name: "")
        #expect(!moves(seeing).isEmpty)
        #expect(moves(seeing).allSatisfy { $0.why == "its check fails: no answer in time" })
    }

    /// Machines that the policy lists go by their own entries, under their own names.
    @Test func listedMachinesGoByTheirEntries() throws {
        var policy = SeedFarm.policy
        policy.members = [
            MemberPolicy(id: try id("east"), pin: SeedFarm.web),
            MemberPolicy(id: try id("west"), not: [SeedFarm.out, SeedFarm.in]),
        ]
        let scenario = HoleTests.scenario { $0.names = policy.members.map(\.id) }
        let outcome = simulate(scenario, .policy(policy), name: "")
        #expect(outcome.machines.prefix(3) == ["east", "west", "s00001"])
        #expect(outcome.machines.count == 12 && Set(outcome.machines).count == 12)
        let roles = outcome.log.filter { ["east", "west"].contains($0.smurf) && !$0.role.isEmpty }
        #expect(!roles.isEmpty && roles.allSatisfy { $0.role == "web" })
    }
}
