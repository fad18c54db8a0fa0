import Foundation
import TestSupport
import Testing

@testable import RoleScheduler

/// The schema for editors knows what the loader knows: every key, at its place, and no other.
@Suite struct PolicySchemaTests {
    /// A policy with every mapping that a policy can have.
    private static let everything = """
        version: 1
        zone: smurf.example.test
        roles:
          web:
            names: {web: A}
            demand:
              arrival: a
              latency: {signal: b, limit: 1s}
              predict: {from: c, lag: 5m..60m}
            check: {tcp: 25}
        members: [{id: s01}, {match: {label: a=b}, not: [web]}]
        signals: {a: {command: [/bin/true]}}
        phases:
          - name: a
            when: {a: "> 5"}
            until: {a: "< 3"}
            daily: {from: "22:00", to: "06:00"}
            roles: {web: {max: 2}}
        """
    /// Their keys are names that people give.
    private static let open: Set<String> = [
        "roles", "signals", "roles.*.names", "on_signal_loss.fallback", "phases.*.roles",
    ]

    static let path = Product.root + "/Examples/policies/policy.schema.json"

    private func schema() throws -> [String: Any] {
        let data = try Data(contentsOf: URL(fileURLWithPath: PolicySchemaTests.path))
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    /// Properties of every object of the schema, by its place.
    private func properties(
        _ node: [String: Any], _ path: String, _ definitions: [String: Any],
        into found: inout [String: Set<String>]
    ) {
        var node = node
        if let reference = node["$ref"] as? String, let name = reference.split(separator: "/").last
        {
            node = definitions[String(name)] as? [String: Any] ?? [:]
        }
        if let own = node["properties"] as? [String: [String: Any]] {
            found[path] = Set(own.keys)
            for (key, child) in own {
                properties(child, path.isEmpty ? key : "\(path).\(key)", definitions, into: &found)
            }
            if PolicySchemaTests.conditions.contains(path) { return }
            #expect(node["additionalProperties"] as? Bool == false, "\(path) takes any key")
        }
        for name in ["additionalProperties", "items"] {
            guard let child = node[name] as? [String: Any] else { continue }
            properties(child, path + ".*", definitions, into: &found)
        }
    }

    private static let conditions: Set<String> = ["phases.*.when", "phases.*.until"]

    @Test func everyKeyIsInBoth() throws {
        let schema = try schema()
        var inSchema: [String: Set<String>] = [:]
        properties(
            schema, "", schema["definitions"] as? [String: Any] ?? [:], into: &inSchema)
        var inLoader = policyKeys(of: PolicySchemaTests.everything)
        for path in PolicySchemaTests.open { inLoader[path] = nil }
        for path in PolicySchemaTests.conditions { inLoader[path]?.remove("a") }
        #expect(Set(inSchema.keys) == Set(inLoader.keys))
        for (path, keys) in inLoader {
            #expect(inSchema[path] == keys, "at '\(path)'")
        }
    }

    @Test func theGuideNamesEveryKey() throws {
        var keys = policyKeys(of: PolicySchemaTests.everything)
        for path in PolicySchemaTests.open { keys[path] = nil }
        for path in PolicySchemaTests.conditions { keys[path]?.remove("a") }
        let guide = try String(
            contentsOfFile: Product.root + "/docs/guides/policy.md", encoding: .utf8)
        for (path, names) in keys {
            for key in names where !guide.contains("`\(key)`") && !guide.contains("`\(key): ") {
                Issue.record("'\(key)' of '\(path)' is not in the guide")
            }
        }
    }
}
