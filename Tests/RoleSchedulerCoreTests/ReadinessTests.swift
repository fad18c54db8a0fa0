import Farm
import TestSupport
import Testing

@testable import RoleSchedulerCore

/// Machines that are up and of no use: their listeners fail, they never get ready, or the policy takes
/// their role away.
@Suite struct ReadinessTests {
    private let quiet = [
        "outbound.backlog": 0.0, "bounces.arrival": 0, "unsubscribes.arrival": 0,
    ]

    private func settled(smurfs: Int, _ signals: [String: Double]) -> FarmSimulation {
        var farm = FarmSimulation(policy: Roles.seedFarm, smurfs: smurfs)
        farm.run(seconds: 90, signals)
        return farm
    }

    private func members(_ farm: inout FarmSimulation, _ owner: String) -> [SmurfID] {
        farm.publish().records.first { $0.owner == owner }?.members ?? []
    }

    private func server(_ farm: FarmSimulation, _ role: Role) throws -> SmurfID {
        try #require(farm.state.ids.first { farm.state.smurfs[$0]?.state == .serving(role) })
    }

    @Test func aMemberThatIsUpButNotReadyLeavesTheAnswersAndThenItsRole() throws {
        let load = ["outbound.backlog": 1e6, "bounces.arrival": 9, "unsubscribes.arrival": 0]
        var farm = settled(smurfs: 12, load)
        let victim = try server(farm, Roles.in)
        farm.unready = [victim]
        farm.run(seconds: 10, load)
        #expect(members(&farm, "smtp-in").contains(victim), "within the grace of down_after")
        farm.run(seconds: 12, load)
        #expect(!members(&farm, "smtp-in").contains(victim))
        #expect(members(&farm, "smtp-in").count >= 3)
        #expect(farm.state.smurfs[victim]?.state == .serving(Roles.in))
        farm.run(seconds: 40, load)
        let record = try #require(farm.state.smurfs[victim])
        #expect(record.state != .serving(Roles.in))
        #expect(record.falls >= 1)
        farm.run(seconds: 120, load)
        #expect(farm.serving(Roles.in) == 4)
    }

    /// History said of black holes that they were "up but not ready", which their agents had denied.
    @Test func whatOthersHoldAgainstAMemberIsTheReason() throws {
        for doubt in [Doubt.blackHole, .check(trouble: "connection refused")] {
            var farm = settled(smurfs: 4, quiet)
            let victim = try server(farm, Roles.web)
            farm.doubts = [victim: doubt]
            var causes: [Cause] = []
            for _ in 0..<70 {
                for (name, value) in quiet { farm.demand.note(name, value, at: farm.now) }
                causes += farm.tick().actions.filter { $0.smurf == victim }.map(\.cause)
            }
            #expect(causes.first == .doubted(doubt), "\(causes)")
            let view = PlanView(
                policy: farm.policy, state: farm.state, health: farm.health, now: farm.now)
            #expect(view.whyNot(victim, Roles.in) == .draining(Roles.web))
            #expect(farm.state.smurfs[victim]?.reason == doubt.description)
        }
    }

    /// An operator's word and the policy's stay the reason, whatever else is held against the machine.
    @Test func anOperatorsWordStaysTheReason() throws {
        var farm = settled(smurfs: 4, quiet)
        let victim = try server(farm, Roles.web)
        farm.doubts = [victim: .blackHole]
        farm.run(seconds: 25, quiet)
        #expect(
            PlanView(policy: farm.policy, state: farm.state, health: farm.health, now: farm.now)
                .whyNot(victim, Roles.in) == .doubted(.blackHole))
        farm.state.smurfs[victim]?.override = Override(
            kind: .move(Roles.in), until: farm.now.advanced(by: .seconds(60)), reason: "look at it",
            by: "me")
        #expect(farm.tick().actions.map(\.cause) == [.moved(by: "me", reason: "look at it")])
    }

    /// A machine that cannot be counted on makes its role too big by one: it goes, and nobody who works.
    @Test func whoIsOfNoUseGoesBeforeWhoWorks() throws {
        let load = ["outbound.backlog": 1e6, "bounces.arrival": 0, "unsubscribes.arrival": 0]
        for isSilent in [false, true] {
            var farm = settled(smurfs: 12, load)
            let victim = try #require(
                farm.state.ids.last { farm.state.smurfs[$0]?.state == .serving(Roles.out) })
            if isSilent { farm.down = [victim] } else { farm.doubts = [victim: .blackHole] }
            var left: [Plan.Action] = []
            for _ in 0..<60 {
                for (name, value) in load { farm.demand.note(name, value, at: farm.now) }
                left += farm.tick().actions.filter { $0.from == .serving(Roles.out) }
            }
            #expect(left.map(\.smurf) == [victim], "\(left)")
            #expect(
                left.first?.cause == (isSilent ? .surplus(Roles.out) : .doubted(.blackHole)))
        }
    }

    @Test func aShortFailureIsForgiven() throws {
        var farm = settled(smurfs: 4, quiet)
        let victim = try server(farm, Roles.web)
        for _ in 0..<10 {
            farm.unready = [victim]
            farm.run(seconds: 15, quiet)
            farm.unready = []
            farm.run(seconds: 2, quiet)
        }
        #expect(farm.state.smurfs[victim]?.state == .serving(Roles.web))
        #expect(farm.state.smurfs[victim]?.falls == 0)
    }

    @Test func silenceInBetweenDoesNotMakeAMemberReady() throws {
        var farm = settled(smurfs: 4, quiet)
        let victim = try server(farm, Roles.web)
        farm.unready = [victim]
        for _ in 0..<5 {
            farm.down = []
            farm.run(seconds: 5, quiet)
            farm.down = [victim]
            farm.run(seconds: 15, quiet)
        }
        #expect(farm.state.smurfs[victim]?.state != .serving(Roles.web))
    }

    @Test func aMachineThatNeverGetsReadyGivesTheBudgetBackAndEndsInQuarantine() throws {
        var farm = FarmSimulation(policy: Roles.seedFarm, smurfs: 5)
        let broken = farm.ids[0]
        farm.unready = [broken]
        farm.run(seconds: 200, quiet)
        for role in [Roles.out, Roles.in, Roles.web] { #expect(farm.serving(role) == 1) }
        #expect(farm.state.smurfs[broken]?.falls ?? 0 >= 1)
        #expect(farm.state.smurfs[broken]?.reason.contains("not ready") ?? false)

        var alone = FarmSimulation(policy: Roles.seedFarm, smurfs: 1)
        alone.unready = [broken]
        alone.run(seconds: 600, quiet)
        #expect(alone.state.smurfs[broken]?.state == .quarantined)
    }

    @Test func aMemberThatAReloadedPolicyForbidsIsDrained() throws {
        var farm = settled(smurfs: 6, quiet)
        let (web, sender) = (try server(farm, Roles.web), try server(farm, Roles.out))
        farm.policy.members = [
            MemberPolicy(id: web, not: [Roles.web]), MemberPolicy(id: sender, pin: Roles.in),
        ]
        for _ in 0..<120 {
            farm.run(seconds: 1, quiet)
            #expect(farm.serving(Roles.web) >= 1, "the floor is kept while it changes hands")
            #expect(farm.serving(Roles.out) >= 1)
        }
        #expect(farm.state.smurfs[web]?.role != Roles.web)
        #expect(farm.state.smurfs[sender]?.role != Roles.out)
    }

    @Test func twoMembersSwapRolesWhenThePolicyWantsIt() throws {
        var farm = settled(smurfs: 3, quiet)
        let (web, mail) = (try server(farm, Roles.web), try server(farm, Roles.in))
        farm.policy.members = [
            MemberPolicy(id: web, pin: Roles.in), MemberPolicy(id: mail, pin: Roles.web),
        ].sorted { $0.id < $1.id }
        farm.run(seconds: 200, quiet)
        #expect(farm.state.smurfs[web]?.state == .serving(Roles.in))
        #expect(farm.state.smurfs[mail]?.state == .serving(Roles.web))
    }

    @Test func aRoleGrowsOnOneOfTwoSignalsAndDoesNotShrinkOnIt() throws {
        var policy = Roles.seedFarm
        let index = try #require(policy.roles.firstIndex { $0.role == Roles.in })
        policy.roles[index].demand.backlog = "bounces.backlog"
        var farm = FarmSimulation(policy: policy, smurfs: 12)
        let busy = ["outbound.backlog": 0, "bounces.arrival": 9, "unsubscribes.arrival": 0.0]
        farm.run(seconds: 200, busy)
        #expect(farm.serving(Roles.in) == 4)
        farm.run(seconds: 300, quiet)
        #expect(farm.serving(Roles.in) == 4, "the backlog is unknown, not zero")
        farm.run(seconds: 300, quiet.merging(["bounces.backlog": 0]) { $1 })
        #expect(farm.serving(Roles.in) == 1)
    }
}
