import Farm
import Testing

/// What was decided for a hundred made-up farms before the planner was made fast, as one number. Whoever changes the
/// law on purpose writes the new number here, and says in the commit what is decided otherwise; a change of how
/// things are computed must leave it as it is.
@Suite struct UnchangedDecisionsTests {
    private static let farms: UInt64 = 100
    private static let steps = 150
    private static let decided: UInt64 = 0xD8EF_D4B5_00F4_5702

    @Test func decisionsAreWhatTheyWere() {
        var digest = Digest()
        for seed in 0..<UnchangedDecisionsTests.farms {
            var farm = GoldenFarm(seed: seed, machines: 1 + Int(seed * 7 % 61))
            for _ in 0..<UnchangedDecisionsTests.steps {
                for line in farm.step() { digest.add(line) }
            }
        }
        #expect(digest.value == UnchangedDecisionsTests.decided)
    }

    /// FNV-1a, 64 bits: the same in every process, unlike `Hasher`.
    private struct Digest {
        var value: UInt64 = 0xCBF2_9CE4_8422_2325

        mutating func add(_ line: String) {
            for byte in line.utf8 { add(byte) }
            add(0x0A)
        }

        private mutating func add(_ byte: UInt8) {
            value = (value ^ UInt64(byte)) &* 0x100_0000_01B3
        }
    }
}
