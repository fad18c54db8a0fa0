import Farm
import RoleSchedulerCore
import TestSupport
import Testing

@testable import RoleScheduler

/// What two policies mean differently.
@Suite struct PolicyDifferenceTests {
    private static let base = """
        version: 1
        zone: smurf.example.test
        roles:
          web:
            names: {web: A}
            min: 1
            max: 4
            capacity: 2/s
            demand: {arrival: a}
          bulk: {min: 0}
        members:
          - {id: s01, address: 127.0.1.1}
          - {id: s02, address: 127.0.1.2, not: [bulk]}
        phases:
          - {name: early, when: {a: "> 5"}, until: {a: "< 3"}, roles: {web: {max: 2}}}

        """

    private func differences(_ old: String, _ new: String) throws -> [String] {
        PolicyDifference.all(
            from: try parsePolicy(old, file: "old").policy,
            to: try parsePolicy(new, file: "new").policy
        ).map(\.text)
    }

    /// One edit, and the lines that say it.
    @Test(arguments: [
        ("max: 4", "max: 6", ["  roles.web.max: 4 → 6"]),
        ("            max: 4\n", "", ["  roles.web.max: 4 → none"]),
        ("{web: A}", "{web: \"A, MX 10\"}", ["+ roles.web.names.web MX 10"]),
        ("{web: A}", "{www: A}", ["- roles.web.names.web A", "+ roles.web.names.www A"]),
        ("not: [bulk]", "pin: web", ["- members.s02.not.bulk", "+ members.s02.pin: web"]),
        (
            "127.0.1.1", "127.0.1.9",
            ["- members.s01.address.127.0.1.1", "+ members.s01.address.127.0.1.9"]
        ),
        ("\"> 5\"", "\"> 6/s\"", ["  phases.early.when.a: > 5.0 → > 6.0"]),
        (
            "{max: 2}", "{max: 3, min: 0}",
            ["  phases.early.roles.web.max: 2 → 3", "+ phases.early.roles.web.min: 0"]
        ),
        ("bulk: {min: 0}", "bulk: {canary: 5s}", ["  roles.bulk.canary: 0s → 5s"]),
        ("version: 1", "version: 1\ncolocate: auto", ["  colocate: never → auto"]),
        (
            "version: 1", "version: 1\nmovement: {gap: 1500ms, up_window: 30s}",
            ["  movement.gap: 20s → 1.5s", "  movement.up_window: 20s → 30s"]
        ),
        (
            "version: 1",
            "version: 1\non_signal_loss: {mode: fallback, after: 3m, fallback: {web: 2}}",
            [
                "  on_signal_loss.after: 0s → 180s", "+ on_signal_loss.fallback.web: 2",
                "  on_signal_loss.mode: hold → fallback",
            ]
        ),
        // Not a difference: a default that is spelled out, a comment, another unit.
        ("min: 1", "min: 1\n    soak: 0   # none\n    utilisation: 70%", []),
        ("2/s", "120/m", []),
    ])
    func eachEditIsSaid(_ old: String, _ new: String, _ said: [String]) throws {
        let base = PolicyDifferenceTests.base
        // Indentation of the literal above is gone in the text.
        let edited = base.replacing(
            old.replacing("            max: 4\n", with: "    max: 4\n"), with: new)
        #expect(edited != base)
        #expect(try differences(base, edited) == said)
    }

    @Test func rolesAndMembersComeAndGo() throws {
        let base = PolicyDifferenceTests.base
        let less = base.replacing("  bulk: {min: 0}\n", with: "")
            .replacing(", not: [bulk]", with: "")
        let gone = try differences(base, less)
        #expect(gone.contains("- roles.bulk") && gone.contains("- members.s02.not.bulk"))
        #expect(try differences(less, base).contains("+ roles.bulk"))
    }
}
