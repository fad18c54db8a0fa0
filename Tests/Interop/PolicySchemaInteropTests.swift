import Foundation
import TestSupport
import Testing

/// The schema for editors against a validator that is not ours: it takes the examples and refuses mistakes.
@Suite struct PolicySchemaInteropTests {
    private static let validator = """
        import json, sys, yaml, jsonschema
        schema = json.load(open(sys.argv[1]))
        jsonschema.Draft7Validator.check_schema(schema)
        for path in sys.argv[2:]:
            jsonschema.validate(yaml.safe_load(open(path)), schema)
        """

    private func validate(_ paths: [String]) async throws -> Finished {
        let schema = Product.root + "/Examples/policies/policy.schema.json"
        return try await run(["python3", "-c", PolicySchemaInteropTests.validator, schema] + paths)
    }

    @Test func theExamplesAreValid() async throws {
        let directory = Product.root + "/Examples/policies"
        let names = try FileManager.default.contentsOfDirectory(atPath: directory)
            .filter { $0.hasSuffix(".yml") }
        #expect(names.count >= 6)
        let result = try await validate(names.map { "\(directory)/\($0)" })
        #expect(result.status == 0, "\(result.errors)")
    }

    /// What the loader refuses too.
    @Test(arguments: [
        "prioriy: 1", "ttl: 30", "min: -1", "utilisation: 140%", "capacity: 25",
        "names: {web: MX}", "sends: 'on'", "empty: gone", "check: {every: 5s}",
        "check: {tcp: 25, smtp: 25}", "demand: {arival: a}",
    ])
    func mistakesAreNot(_ mistake: String) async throws {
        let directory = try TemporaryDirectory()
        let text = "version: 1\nzone: a.example\nroles: {web: {\(mistake)}}\n"
        let result = try await validate([directory.write("bad.yml", text)])
        #expect(result.status == 1 && result.errors.contains("ValidationError"), "\(result.errors)")
        let checked = try await run([
            Product.smurf, "policy", "check", directory.file("bad.yml"),
        ])
        #expect(checked.status == 2, "\(checked.output)")
    }
}
