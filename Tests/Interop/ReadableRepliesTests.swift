import Foundation
import FuzzChecks
import TestSupport
import Testing

extension InteropTests {
    /// Whatever is asked, others' libraries can read what is replied: ldns as part of the fuzzer's check, and dnspython.
    @Suite struct ReadableRepliesTests {
        private static let count = 30_000

        @Test(.timeLimit(.minutes(3)))
        func repliesToDamagedQueriesAreReadByLDNSAndDNSPython() async throws {
            var random = SeededGenerator(seed: SeededGenerator.announcedSeed("replies"))
            let corpus = Product.root + "/Fuzz/Corpus/query"
            let inputs = try FileManager.default.contentsOfDirectory(atPath: corpus).sorted().map {
                try Array(Data(contentsOf: URL(fileURLWithPath: corpus + "/" + $0)))
            }
            var lines = ""
            var replies = 0
            for round in 0..<ReadableRepliesTests.count {
                var input = inputs[round % inputs.count]
                if round >= inputs.count { damage(&input, inputs, &random) }
                FuzzTarget.query.check(input)
                guard let reply = FuzzTarget.reply(to: input) else { continue }
                replies += 1
                lines += reply.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\n"
            }
            #expect(replies > ReadableRepliesTests.count / 2)
            let directory = try TemporaryDirectory()
            let file = try directory.write("replies", lines)
            let script = Product.root + "/Tests/Interop/readable.py"
            let result = try await run(["sh", "-c", "exec /usr/bin/python3 \(script) < \(file)"])
            print(result.output)
            #expect(result.status == 0, "\(result.output)\(result.errors)")
        }

        /// Changes a few octets, cuts, or joins with another input.
        private func damage(
            _ input: inout [UInt8], _ others: [[UInt8]], _ random: inout SeededGenerator
        ) {
            for _ in 0..<Int.random(in: 1...4, using: &random) where !input.isEmpty {
                let place = Int.random(in: 0..<input.count, using: &random)
                switch Int.random(in: 0..<8, using: &random) {
                case 0: input.removeSubrange(place...)
                case 1: input.remove(at: place)
                case 2: input.insert(.random(in: 0...255, using: &random), at: place)
                case 3:
                    let other = others.randomElement(using: &random) ?? []
                    input = Array(input[..<place]) + other.dropFirst(min(place, other.count))
                case 4: input[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                default: input[place] = .random(in: 0...255, using: &random)
                }
            }
        }
    }
}
