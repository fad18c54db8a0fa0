import Farm
import RoleSchedulerCore
import TestSupport
import Testing

/// A cordon leaves a machine where it is and gives it nothing new, beside any other word.
@Suite struct CordonTests {
    private let quiet = [
        "outbound.backlog": 0.0, "bounces.arrival": 0, "unsubscribes.arrival": 0,
    ]
    private let busy = [
        "outbound.backlog": 1e6, "bounces.arrival": 9, "unsubscribes.arrival": 6,
    ]

    private func cordon(_ id: SmurfID, _ farm: inout FarmSimulation, seconds: Int) {
        farm.state.smurfs[id]?.cordon = Cordon(
            until: farm.now.advanced(by: .seconds(seconds)), reason: "odd log", by: "ann")
    }

    @Test func anIdleMachineStaysIdleUntilTheEnd() throws {
        var farm = FarmSimulation(policy: Roles.seedFarm, smurfs: 8)
        farm.run(seconds: 60, quiet)
        let idle = try #require(farm.state.ids.first { farm.state.smurfs[$0]?.state == .idle })
        cordon(idle, &farm, seconds: 300)
        for _ in 0..<290 {
            farm.run(seconds: 1, busy)
            #expect(farm.state.smurfs[idle]?.state == .idle)
        }
        #expect(farm.state.smurfs.values.filter { $0.state == .idle }.count == 1)
        farm.run(seconds: 60, busy)
        #expect(farm.state.smurfs[idle]?.role != nil)
    }

    /// It is neither shrunk away nor taken for another role that lacks machines.
    @Test func aServingMachineStaysInItsRole() throws {
        var farm = FarmSimulation(policy: Roles.seedFarm, smurfs: 12)
        farm.run(seconds: 300, busy)
        let web = farm.state.ids.filter { farm.state.smurfs[$0]?.state == .serving(Roles.web) }
        #expect(web.count == 4)
        for id in web { cordon(id, &farm, seconds: 800) }
        farm.run(seconds: 790, quiet)
        #expect(farm.serving(Roles.web) == 4)
        farm.run(seconds: 200, quiet)
        #expect(farm.serving(Roles.web) == 1)
    }

    /// Hold and cordon are two words: the end of one leaves the other.
    @Test func aHoldDrainsACordonedMachineAndItsEndLeavesTheCordon() throws {
        var farm = FarmSimulation(policy: Roles.seedFarm, smurfs: 6)
        farm.run(seconds: 60, quiet)
        let web = try #require(
            farm.state.ids.first { farm.state.smurfs[$0]?.state == .serving(Roles.web) })
        cordon(web, &farm, seconds: 600)
        farm.state.smurfs[web]?.override = Override(
            kind: .hold, until: farm.now.advanced(by: .seconds(100)), reason: "disk", by: "bob")
        farm.run(seconds: 150, busy)
        #expect(farm.state.smurfs[web]?.state == .idle)
        #expect(farm.state.smurfs[web]?.override == nil)
        #expect(farm.state.smurfs[web]?.cordon != nil)
        #expect(farm.serving(Roles.web) >= 1)
    }

    @Test func aDeadCordonedMachineGetsNoRoleBack() throws {
        var farm = FarmSimulation(policy: Roles.seedFarm, smurfs: 6)
        farm.run(seconds: 60, quiet)
        let web = try #require(
            farm.state.ids.first { farm.state.smurfs[$0]?.state == .serving(Roles.web) })
        cordon(web, &farm, seconds: 900)
        farm.down = [web]
        farm.run(seconds: 200, quiet)
        farm.down = []
        farm.run(seconds: 300, busy)
        #expect(farm.state.smurfs[web]?.state == .idle)
        #expect(farm.serving(Roles.web) >= 1)
    }
}
