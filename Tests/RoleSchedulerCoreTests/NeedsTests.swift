import Farm
import TestSupport
import Testing

@testable import RoleSchedulerCore

/// Machines that are not alike: labels that a role needs, machines that do more than others, and roles that want a share
/// of the farm.
@Suite struct NeedsTests {
    private func label(_ text: String) throws -> Label { try #require(Label(text)) }

    /// A farm of the seed's in which only machines with a label send, and only those of `able` have it.
    private func farm(_ smurfs: Int, able: Range<Int>) throws -> FarmSimulation {
        var policy = Roles.seedFarm
        policy.change(Roles.out) { $0.needs = [Label("egress=25")].compactMap(\.self) }
        var farm = FarmSimulation(policy: policy, smurfs: smurfs)
        for index in able {
            farm.state.smurfs[farm.ids[index]]?.labels = [try label("egress=25")]
        }
        return farm
    }

    private let quiet = ["outbound.backlog": 0.0, "bounces.arrival": 0, "unsubscribes.arrival": 0]

    @Test func onlyWhoHasTheLabelHoldsTheRole() throws {
        var farm = try farm(8, able: 2..<5)
        farm.run(seconds: 200, quiet.merging(["outbound.backlog": 1e6]) { $1 })
        #expect(farm.serving(Roles.out) == 3)
        for (id, record) in farm.state.smurfs where record.role == Roles.out {
            #expect(farm.ids[2..<5].contains(id))
        }
        let view = PlanView(
            policy: farm.policy, state: farm.state, health: farm.health, now: farm.now)
        #expect(view.whyNot(farm.ids[7], Roles.out) == .lacks(try label("egress=25")))
    }

    /// The label is taken from a machine, as when its agent starts anew without it.
    @Test func whoLosesTheLabelLeavesTheRole() throws {
        var farm = try farm(4, able: 0..<2)
        farm.run(seconds: 100, quiet)
        let sender = try #require(farm.state.smurfs.first { $0.value.role == Roles.out }?.key)
        farm.state.smurfs[sender]?.labels = []
        farm.run(seconds: 100, quiet)
        #expect(farm.state.smurfs[sender]?.role != Roles.out)
        #expect(farm.serving(Roles.out) == 1)
    }

    /// Everybody who may send holds another role, and only those who may not are idle: they change places.
    @Test func aMachineThatMaySendIsReplacedWhereItServes() throws {
        var farm = try farm(4, able: 0..<2)
        // Nobody sends while nobody has to.
        farm.policy.change(Roles.out) { $0.min = 0 }
        farm.policy.members = farm.ids[2...].map {
            MemberPolicy(id: $0, not: [Roles.in, Roles.web])
        }
        farm.run(seconds: 100, quiet)
        let senders = Set(farm.ids[..<2])
        #expect(Set(farm.state.smurfs.filter { $0.value.role != nil }.keys) == senders)
        farm.policy.members = []
        farm.policy.change(Roles.out) { $0.min = 1 }
        var causes: [Cause] = []
        for _ in 0..<100 {
            for (name, value) in quiet { farm.demand.note(name, value, at: farm.now) }
            causes += farm.tick().actions.map(\.cause)
        }
        #expect(farm.serving(Roles.out) == 1 && farm.serving(Roles.in) == 1)
        #expect(farm.serving(Roles.web) == 1)
        #expect(
            causes.contains { cause in
                guard case .replacement(_, Roles.out, true) = cause else { return false }
                return true
            }, "\(causes)")
    }

    /// Two that are three times as big do what six do; and a role is sized by those that it has.
    @Test func biggerMachinesAreFewer() throws {
        func serving(_ capacity: Double) throws -> Int {
            var policy = Roles.seedFarm
            var farm = FarmSimulation(policy: policy, smurfs: 12)
            policy.members = farm.ids.map { id in
                var member = MemberPolicy(id: id)
                member.capacity = capacity
                return member
            }
            farm.policy = policy
            farm.run(seconds: 300, quiet.merging(["bounces.arrival": 16]) { $1 })
            return farm.serving(Roles.in)
        }
        #expect(try serving(1) == 6)
        #expect(try serving(3) == 2)
    }

    /// Of those that could be taken, the biggest is.
    @Test func theBiggestIsTakenFirst() throws {
        var policy = Roles.seedFarm
        var farm = FarmSimulation(policy: policy, smurfs: 6)
        policy.change(Roles.out) { $0.min = 0 }
        var big = MemberPolicy(id: farm.ids[4])
        big.capacity = 4
        policy.members = farm.ids.map { $0 == big.id ? big : MemberPolicy(id: $0) }
        policy.roles.removeAll { $0.role != Roles.out }
        farm.policy = policy
        farm.run(seconds: 30, ["outbound.backlog": 0])
        farm.policy.change(Roles.out) { $0.min = 1 }
        farm.run(seconds: 30, ["outbound.backlog": 0])
        #expect(farm.state.smurfs[big.id]?.role == Roles.out)
    }

    @Test(arguments: [(10, 5, 3, 2), (20, 10, 6, 4), (5, 2, 2, 1)])
    func rolesHaveTheirShares(_ machines: Int, _ out: Int, _ bounces: Int, _ web: Int) {
        var policy = Roles.seedFarm
        for (role, share) in [(Roles.out, 0.5), (Roles.in, 0.3), (Roles.web, 0.2)] {
            policy.change(role) { ($0.share, $0.max) = (share, nil) }
        }
        var farm = FarmSimulation(policy: policy, smurfs: machines)
        farm.run(seconds: 400, quiet)
        #expect(farm.serving(Roles.out) == out)
        #expect(farm.serving(Roles.in) == bounces)
        #expect(farm.serving(Roles.web) == web)
    }

    /// What counts together with `Eligibility` is that no arrangement is missed: against all of them, one by one.
    @Test func aSeatIsRefusedOnlyWhenNoArrangementHasIt() {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("seats"))
        let roles = (0..<3).map { Roles.role("r\($0)") }
        for _ in 0..<300 {
            let machines = (0..<Int.random(in: 1...6, using: &random)).map { _ in
                Set(roles.filter { _ in Bool.random(using: &random) })
            }
            var seats = Eligibility(roles)
            for machine in machines { seats.add { machine.contains($0) } }
            var given: [Role: Int] = [:]
            for _ in 0..<10 {
                let role = roles[Int.random(in: 0..<3, using: &random)]
                var wanted = given
                wanted[role, default: 0] += 1
                let isPossible = NeedsTests.canBeMet(wanted, machines[...])
                #expect(seats.take(role) == isPossible, "\(wanted) of \(machines)")
                if isPossible { given = wanted }
                #expect(seats.free == machines.count - given.values.reduce(0, +))
            }
        }
    }

    private static func canBeMet(_ wanted: [Role: Int], _ machines: ArraySlice<Set<Role>>) -> Bool {
        guard wanted.values.contains(where: { $0 > 0 }) else { return true }
        guard let machine = machines.first else { return false }
        if canBeMet(wanted, machines.dropFirst()) { return true }
        return machine.contains { role in
            guard let count = wanted[role], count > 0 else { return false }
            return canBeMet(wanted.merging([role: count - 1]) { $1 }, machines.dropFirst())
        }
    }
}

extension Policy {
    fileprivate mutating func change(_ role: Role, _ change: (inout RolePolicy) -> Void) {
        for index in roles.indices where roles[index].role == role { change(&roles[index]) }
    }
}
