import Foundation
import TestSupport
import Testing

extension ControlInteropTests {
    /// The commands of docs/guides/cluster.md are typed as they stand there.
    @Suite(.serialized) struct ClusterGuideTests {
        @Test(.timeLimit(.minutes(3)))
        func theGuidesCommandsWork() async throws {
            let guide = try TypedGuide("cluster.md")
            #expect(guide.blocks.count == 7)
            let result = try await guide.type(within: 150)
            #expect(result.status == 0, "\(result.output)\n\(result.errors)")
            #expect(result.output.contains("leads, term"), "\(result.output)")
            #expect(result.output.contains("s01 is drained and held"), "\(result.output)")
            #expect(result.output.contains("movement.gap: 0s → 10s"), "\(result.output)")
            #expect(result.output.contains("all control nodes follow it"), "\(result.output)")
            #expect(result.output.contains("movement.gap: 10s → 0s"), "\(result.output)")
            #expect(result.output.contains("every control node follows its own file again"))
            #expect(result.output.contains("Authentication Enabled"), "\(result.output)")
            #expect(result.output.contains("s02 is drained and held"), "\(result.output)")
            let serials = Set(
                result.output.split(separator: "\n").filter { $0.contains("hostmaster") })
            #expect(serials.count == 1, "\(serials)")
            #expect(result.output.components(separatedBy: " on n").count > 4, "\(result.output)")
        }
    }
}
