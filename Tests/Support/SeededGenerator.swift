import Foundation

/// A generator whose whole run follows from one seed (SplitMix64), so that a property that failed can
/// be tried again: every property test prints its seed, and `SMURF_TEST_SEED` sets it.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// The seed of this run of the tests: from the environment, or new; printed once per test.
    public static func announcedSeed(_ test: String) -> UInt64 {
        let given = ProcessInfo.processInfo.environment["SMURF_TEST_SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 0...UInt64.max)
        print("\(test): seed \(seed) (SMURF_TEST_SEED=\(seed) repeats this run)")
        return seed
    }
}
