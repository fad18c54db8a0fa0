import Foundation
import TestSupport
import Testing

extension InteropTests {
    /// The commands of docs/guides/cluster.md are typed as they stand there.
    @Suite(.serialized) struct ClusterGuideTests {
        @Test(.timeLimit(.minutes(3)))
        func theGuidesCommandsWork() async throws {
            let text = try String(
                contentsOfFile: Product.root + "/docs/guides/cluster.md", encoding: .utf8)
            let blocks = text.components(separatedBy: "```sh\n").dropFirst()
                .compactMap { $0.components(separatedBy: "```").first }
            #expect(blocks.count == 6)
            let directory = try TemporaryDirectory()
            // In a directory of its own, with what the commands name; whatever they started ends with them.
            let script =
                """
                set -emo pipefail
                cd \(directory.path)
                for name in Examples Zones .build; do ln -s \(Product.root)/$name $name; done
                trap 'for job in $(jobs -p); do kill -KILL -- -$job 2>/dev/null || true; done' EXIT

                """ + blocks.joined()
            let result = try await run(["timeout", "150", "bash", "-c", script])
            #expect(result.status == 0, "\(result.output)\n\(result.errors)")
            #expect(result.output.contains("leads, term"), "\(result.output)")
            #expect(result.output.contains("s01 is drained and held"), "\(result.output)")
            #expect(result.output.contains("movement.gap: 0s → 10s"), "\(result.output)")
            #expect(result.output.contains("all control nodes follow it"), "\(result.output)")
            #expect(result.output.contains("Authentication Enabled"), "\(result.output)")
            #expect(result.output.contains("s02 is drained and held"), "\(result.output)")
            let serials = Set(
                result.output.split(separator: "\n").filter { $0.contains("hostmaster") })
            #expect(serials.count == 1, "\(serials)")
            #expect(result.output.components(separatedBy: " on n").count > 4, "\(result.output)")
        }
    }
}
