import Farm
import TestSupport
import Testing

@testable import RoleSchedulerCore

/// How many machines are emptied at once for roles in need: as many as `max_inflight` lets, no more than are missing, and
/// no two roles wait for one.
@Suite struct InflightTests {
    private let sending = [
        "outbound.backlog": 1e6, "bounces.arrival": 0.1, "unsubscribes.arrival": 0.1,
    ]

    private func farm(
        inflight: Int, _ change: (inout Policy) -> Void = { _ in }
    ) -> FarmSimulation {
        var policy = Roles.seedFarm
        policy.movement.maxInflight = inflight
        change(&policy)
        var farm = FarmSimulation(policy: policy, smurfs: 12)
        farm.run(seconds: 90, sending)
        return farm
    }

    private static func change(
        _ policy: inout Policy, _ role: Role, _ change: (inout RolePolicy) -> Void
    ) {
        guard let index = policy.roles.firstIndex(where: { $0.role == role }) else { return }
        change(&policy.roles[index])
    }

    /// Plans for a while.
    /// - Returns: seconds until `isDone`, the most machines that drained and that moved at once, and all drains begun.
    private func watch(
        _ farm: inout FarmSimulation, _ signals: [String: Double], until role: Role, has count: Int
    ) -> (seconds: Int, draining: Int, moving: Int, drains: Int) {
        var (draining, moving, drains) = (0, 0, 0)
        for second in 1...300 {
            for (name, value) in signals { farm.demand.note(name, value, at: farm.now) }
            drains += farm.tick().actions.count { $0.from == .serving(Roles.out) }
            let records = farm.state.smurfs.values
            draining = max(
                draining,
                records.count { if case .draining = $0.state { true } else { false } })
            moving = max(moving, records.count { $0.isMoving })
            if farm.serving(role) == count { return (second, draining, moving, drains) }
        }
        return (.max, draining, moving, drains)
    }

    /// Five more are wanted at once. One at a time they would take five drains one after the other.
    @Test func donorsAreEmptiedTogetherWithinTheLimit() {
        let busy = sending.merging(["bounces.arrival": 30]) { $1 }
        var last = Int.max
        for inflight in [1, 2, 3, 5] {
            var farm = farm(inflight: inflight)
            #expect(farm.serving(Roles.in) == 1 && farm.serving(Roles.out) == 10)
            let seen = watch(&farm, busy, until: Roles.in, has: 6)
            #expect(seen.draining == inflight && seen.moving == inflight, "\(inflight): \(seen)")
            #expect(seen.drains == 5, "\(inflight): nobody is emptied for nothing, \(seen)")
            #expect(seen.seconds < last, "\(inflight): \(seen) after \(last)")
            last = seen.seconds
        }
    }

    /// One is missing in each of two roles: two go, although either would do for both.
    @Test func noTwoRolesWaitForOneMachine() {
        let busy = sending.merging(["bounces.arrival": 5, "unsubscribes.arrival": 2.2]) { $1 }
        var farm = farm(inflight: 4)
        let seen = watch(&farm, busy, until: Roles.in, has: 2)
        #expect(seen.draining == 2 && seen.drains == 2, "\(seen)")
        farm.run(seconds: 10, busy)
        #expect(farm.serving(Roles.in) == 2 && farm.serving(Roles.web) == 2)
    }

    /// What a donor must keep bounds it too.
    @Test func donorsKeepTheirFloor() {
        let busy = sending.merging(["bounces.arrival": 30, "unsubscribes.arrival": 30]) { $1 }
        var farm = farm(inflight: 6) { InflightTests.change(&$0, Roles.out) { $0.min = 8 } }
        for _ in 0..<200 {
            for (name, value) in busy { farm.demand.note(name, value, at: farm.now) }
            farm.tick()
            #expect(farm.serving(Roles.out) >= 8)
        }
        #expect(farm.serving(Roles.out) == 8)
    }

    /// Until the first of a series has proved itself nobody else is emptied for it, nor taken although idle.
    @Test func aCanaryGoesAlone() {
        for soak in [0, 1] {
            var farm = farm(inflight: 4) {
                InflightTests.change(&$0, Roles.out) { $0.soak = soak }
                InflightTests.change(&$0, Roles.in) { $0.canary = .seconds(60) }
            }
            farm.run(seconds: 100, sending)
            let busy = sending.merging(["bounces.arrival": 30]) { $1 }
            var seen = 0
            for _ in 0..<60 {
                for (name, value) in busy { farm.demand.note(name, value, at: farm.now) }
                let plan = farm.tick()
                seen += plan.actions.count { $0.to == .warming(Roles.in) }
                if farm.serving(Roles.in) > 1 { break }
                #expect(seen <= 1, "soak \(soak)")
            }
            #expect(seen == 1, "soak \(soak)")
            farm.run(seconds: 200, busy)
            #expect(farm.serving(Roles.in) == 6, "soak \(soak)")
        }
    }
}
