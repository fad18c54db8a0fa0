import Farm
import RoleSchedulerCore
import TestSupport
import Testing

/// New members come gently: a canary goes first, and a slow start gives it few answers. A role without numbers
/// falls back late, and one without a machine is answered by another role's.
@Suite struct GentleStartTests {
    private let quiet = [
        "outbound.backlog": 0.0, "bounces.arrival": 0, "unsubscribes.arrival": 0,
    ]

    private func farm(
        smurfs: Int = 12, _ change: (inout RolePolicy) -> Void = { _ in }
    ) -> FarmSimulation {
        var policy = Roles.seedFarm
        for index in policy.roles.indices where policy.roles[index].role == Roles.in {
            change(&policy.roles[index])
        }
        return FarmSimulation(policy: policy, smurfs: smurfs)
    }

    private func members(_ farm: FarmSimulation, _ role: Role) -> [SmurfID] {
        farm.state.ids.filter { farm.state.smurfs[$0]?.assigned == role }
    }

    @Test func theFirstOfASeriesGoesAloneUntilItHasServed() throws {
        var farm = farm { $0.canary = .seconds(40) }
        farm.run(seconds: 60, quiet)
        let busy = quiet.merging(["bounces.arrival": 11]) { $1 }
        var whenTwo: Moment?
        var whenThree: Moment?
        for _ in 0..<200 {
            farm.run(seconds: 1, busy)
            let count = members(farm, Roles.in).count
            if count == 2, whenTwo == nil { whenTwo = farm.now }
            if count == 3, whenThree == nil { whenThree = farm.now }
            if count == 2, let first = farm.state.canaries[Roles.in] {
                #expect(members(farm, Roles.in).contains(first))
            }
        }
        let (two, three) = (try #require(whenTwo), try #require(whenThree))
        // Its warm-up of a second, then 40 s in service.
        #expect(three.since(two) >= .seconds(41) && three.since(two) <= .seconds(46))
        #expect(members(farm, Roles.in).count == 4)
        #expect(farm.state.canaries.isEmpty)
    }

    @Test func aCanaryThatFallsIsFollowedByAnother() throws {
        var farm = farm { $0.canary = .seconds(60) }
        farm.run(seconds: 60, quiet)
        let busy = quiet.merging(["bounces.arrival": 11]) { $1 }
        while farm.state.canaries.isEmpty { farm.run(seconds: 1, busy) }
        let first = try #require(farm.state.canaries[Roles.in])
        farm.run(seconds: 5, busy)
        let plan = farm.tick()
        guard
            case .canary(first, let left)? =
                plan.explanation.first(where: { $0.role == Roles.in })?.delay
        else {
            Issue.record("\(String(describing: plan.explanation))")
            return
        }
        #expect(left > .seconds(50) && left <= .seconds(60))
        farm.down = [first]
        farm.run(seconds: 100, busy)
        #expect(farm.state.canaries[Roles.in] != first)
        farm.run(seconds: 300, busy)
        #expect(members(farm, Roles.in).count == 4)
    }

    /// A role below its floor does not wait for a canary.
    @Test func floorsDoNotWaitForACanary() {
        var farm = farm {
            $0.canary = .seconds(600)
            $0.min = 3
        }
        farm.run(seconds: 60, quiet)
        #expect(farm.serving(Roles.in) == 3)
    }

    @Test func aNewMemberIsInMoreAndMoreAnswers() throws {
        var farm = farm { $0.slowStart = .seconds(60) }
        farm.run(seconds: 60, quiet)
        func ramping() -> [SmurfID: Int] {
            farm.publish().records.first { $0.owner == "smtp-in" }?.ramping ?? [:]
        }
        // The only member has nobody to lean on.
        #expect(ramping() == [:])
        let old = Set(members(farm, Roles.in))
        let busy = quiet.merging(["bounces.arrival": 5]) { $1 }
        var seen: [Int] = []
        for _ in 0..<150 {
            farm.run(seconds: 1, busy)
            let now = ramping()
            #expect(old.isDisjoint(with: now.keys))
            if let quarters = now.values.first, seen.last != quarters { seen.append(quarters) }
            if now.isEmpty, seen.last == 3 { seen.append(4) }
        }
        #expect(seen == [1, 2, 3, 4])
    }

    @Test func theFallbackCountsAfterItsTime() {
        var farm = farm()
        farm.policy.onSignalLoss = SignalLoss(
            mode: .fallback, after: .seconds(120), fallback: [Roles.in: 3])
        farm.run(seconds: 60, quiet)
        let rest = ["outbound.backlog": 0.0, "unsubscribes.arrival": 0]
        farm.run(seconds: 60 + 115, rest)
        #expect(farm.serving(Roles.in) == 1)
        farm.run(seconds: 60, rest)
        #expect(farm.serving(Roles.in) == 3)
    }

    @Test func aRoleWithoutAMachineIsAnsweredByAnother() throws {
        var policy = Roles.seedFarm
        policy.colocates = true
        policy.members = try ["s01", "s02"].map {
            MemberPolicy(id: try #require(SmurfID($0)), agent: false)
        }
        var farm = FarmSimulation(policy: policy, smurfs: 2)
        farm.run(seconds: 60, quiet)
        var notes: [String] = []
        let view = membership(
            of: farm.state, policy: policy, health: farm.health, now: farm.now, previous: nil,
            notes: &notes)
        // Two machines for three roles: the least important one is answered by one of them.
        #expect(farm.serving(Roles.out) == 0)
        let out = try #require(view.records.first { $0.owner == "smtp-out" })
        #expect(out.members.count == 1)
        #expect(notes == ["colocated: nobody is free for smtp-out; s01 is answered for it too"])
        // It may send now: it is in SPF.
        #expect(view.senders.count == 1)

        var barred = policy
        for index in barred.members.indices { barred.members[index].not = [Roles.out] }
        let without = membership(
            of: farm.state, policy: barred, health: farm.health, now: farm.now, previous: nil,
            notes: &notes)
        #expect(without.records.first { $0.owner == "smtp-out" }?.members == [])
        for index in policy.members.indices { policy.members[index].agent = true }
        let withAgents = membership(
            of: farm.state, policy: policy, health: farm.health, now: farm.now, previous: nil,
            notes: &notes)
        #expect(withAgents.records.first { $0.owner == "smtp-out" }?.members == [])
    }
}
