import Farm
import RoleSchedulerCore
import Testing

@testable import RoleSimulation

/// Numbers that are off by a lot, second by second, must neither hide a role that is at its limit nor
/// make machines wander.
@Suite struct NoiseTests {
    private func outcome(noise: Double, seed: UInt64) -> Outcome {
        var scenario = Scenario()
        scenario.seed = seed
        scenario.noise = noise
        scenario.recipients = 400_000
        return simulate(scenario, .policy(NoiseTests.policy), name: "\(noise)")
    }

    /// Roles are planned full to 90 %, where little noise hides much.
    private static let policy: Policy = {
        var policy = SeedFarm.policy
        for index in policy.roles.indices where policy.roles[index].role != SeedFarm.out {
            policy.roles[index].utilisation = 0.9
        }
        return policy
    }()

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func noisyNumbersKeepTheLimitsAndDoNotFlap(_ seed: UInt64) {
        let calm = outcome(noise: 0, seed: seed)
        let noisy = outcome(noise: 0.4, seed: seed)
        for run in [calm, noisy] {
            #expect(run.keepsLimits, "seed \(seed), noise \(run.name): \(run.worstBounceAge) s")
        }
        #expect(noisy.moves <= calm.moves + 8, "\(noisy.moves) moves, \(calm.moves) without noise")
        #expect(noisy.flaps <= calm.flaps + 2, "\(noisy.flaps) flaps, \(calm.flaps) without noise")
    }
}
