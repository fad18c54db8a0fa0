import Foundation
import TestSupport
import Testing

@testable import RoleScheduler

/// What docs/guides/policy.md shows can be typed as it stands there.
@Suite struct PolicyGuideTests {
    private func fragments() throws -> [String] {
        let text = try String(
            contentsOfFile: Product.root + "/docs/guides/policy.md", encoding: .utf8)
        return text.components(separatedBy: "```yaml\n").dropFirst()
            .compactMap { $0.components(separatedBy: "```").first }
    }

    /// A policy that has all of them, each in its place.
    @Test func theGuidesFragmentsAreAPolicy() throws {
        let fragments = try fragments()
        func fragment(_ start: String) throws -> String {
            try #require(fragments.first { $0.hasPrefix(start) }, "\(start)").trimmingCharacters(
                in: .newlines)
        }
        #expect(fragments.count == 6)
        let policy = """
            version: 1
            zone: smurf.example.test
            roles:
              web: {names: {web: A}, min: 0}
              bulk: {names: {bulk: A}, min: 0}
              smtp-in: {names: {smtp-in: MX 10}, min: 0, \(try fragment("demand:"))}
              \(try fragment("smtp-out:").replacing("{ttl", with: "{names: {smtp-out: A}, ttl"))
            \(try fragment("members:"))
            \(try fragment("signals:"))
            \(try fragment("phases:"))

            """
        let directory = try TemporaryDirectory()
        let path = try directory.write("policy.yml", policy)
        do {
            let loaded = try loadPolicy(path: path)
            #expect(loaded.policy.roles.count == 4 && loaded.policy.phases.count == 3)
        } catch {
            Issue.record("\(error)")
        }
        // The only one with roles and machines of its own.
        let needy = try directory.write(
            "needy.yml", "version: 1\nzone: smurf.example.test\n" + fragment("roles:"))
        #expect(try loadPolicy(path: needy).warnings.isEmpty)
    }
}
