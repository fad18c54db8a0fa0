import Farm
import Foundation
import RoleSchedulerCore
import TestSupport
import Testing

@testable import RoleScheduler

/// The demo's farm lives by the rules of the seed's: only its clock, its sizes and its machines are other.
@Suite struct DemoPolicyTests {
    private func policy(_ name: String) throws -> Policy {
        let path = Product.root + "/Examples/policies/\(name).yml"
        return try parsePolicy(try String(contentsOfFile: path, encoding: .utf8), file: path).policy
    }

    /// The policy with every time, rate and number of machines that may differ made the same.
    private func withoutScale(_ policy: Policy) -> Policy {
        var policy = policy
        policy.members = []
        policy.movement = Movement()
        let guards = policy.guards
        policy.guards = Guards(
            freezeWhenLost: guards.freezeWhenLost, panicBelow: guards.panicBelow)
        for index in policy.roles.indices {
            policy.roles[index].max = policy.roles[index].max.map { _ in 1 }
            policy.roles[index].capacity = policy.roles[index].capacity.map { _ in 1 }
            policy.roles[index].ttl = 30
            policy.roles[index].warm = .zero
            policy.roles[index].demand.eta = .zero
            policy.roles[index].demand.latency?.limit = .zero
            policy.roles[index].drain.grace = .zero
            policy.roles[index].drain.deadline = .zero
        }
        return policy
    }

    @Test func theDemoHasTheRulesOfTheSeedsFarm() throws {
        let demo = withoutScale(try policy("demo"))
        let seed = withoutScale(try policy("seed-farm"))
        for rule in seed.roles { #expect(demo[rule.role] == rule) }
        #expect(demo == seed)
    }

    /// Faster and smaller in everything that is left out above, or it would be no demo of the other.
    @Test func itsClockIsFaster() throws {
        let (demo, seed) = (try policy("demo"), try policy("seed-farm"))
        #expect(demo.movement.gap < seed.movement.gap)
        #expect(demo.movement.minDwell < seed.movement.minDwell)
        #expect(demo.movement.upWindow < seed.movement.upWindow)
        #expect(demo.movement.downWindow < seed.movement.downWindow)
        for rule in demo.roles {
            let other = try #require(seed[rule.role])
            #expect(rule.ttl < other.ttl && rule.warm < other.warm, "\(rule.role)")
            #expect(rule.drainTime < other.drainTime, "\(rule.role)")
            #expect(rule.max ?? 0 <= other.max ?? 0, "\(rule.role)")
        }
    }
}
