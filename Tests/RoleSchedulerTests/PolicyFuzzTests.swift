import Farm
import Foundation
import RoleSchedulerCore
import TestSupport
import Testing

@testable import RoleScheduler

/// Policies as they come out of accidents: whatever is done to the examples, reading them gives errors at places
/// that exist, or a policy that a farm can live by. Never a trap.
@Suite struct PolicyFuzzTests {
    private static let rounds =
        ProcessInfo.processInfo.environment["SMURF_SOAK"] == nil ? 1_500 : 100_000

    private static let values = [
        "-1", "0", "99999999999999999999", "1e400", "1e9", "0x10", "010", "1_000", "{}", "[]", "~",
        "''", "null", "yes", "22:00", "\"> 5\"", "> 5", "< 0.5/s", "100%", "0%", "366h", "999999h",
        "8784h", "0s", "0.0000001s", ".", "é\u{301}", "[[[[", "a: b: c", "&a", "*a", "!!binary x",
        "<<", "?", "- -", "100000", "1000", "smtp-out", "\u{FEFF}",
    ]

    @Test func mutatedExamplesAreErrorsOrPolicies() throws {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("policy fuzz"))
        let examples = try PolicyLoaderTests.examples.map {
            try String(contentsOfFile: $0, encoding: .utf8)
                .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        }
        var taken = 0
        for _ in 0..<PolicyFuzzTests.rounds {
            var lines = try #require(examples.randomElement(using: &random))
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                PolicyFuzzTests.mutate(&lines, examples, &random)
            }
            let text = lines.joined(separator: "\n")
            if try PolicyFuzzTests.read(text) { taken += 1 }
        }
        // Most mutations of a comment or a number leave a policy: both ways were gone.
        #expect(taken > PolicyFuzzTests.rounds / 20 && taken < PolicyFuzzTests.rounds)
    }

    @Test(arguments: [500, 5_000, 100_000])
    func deepNestingIsAnErrorNotAnOverflow(_ depth: Int) throws {
        let deep = String(repeating: "[", count: depth)
        #expect(try !PolicyFuzzTests.read("version: 1\nzone: a.example\nroles: " + deep))
        let keys = String(repeating: "{a: ", count: depth) + String(repeating: "}", count: depth)
        #expect(try !PolicyFuzzTests.read("version: 1\nzone: a.example\nroles: " + keys))
        let blocks = String(repeating: "- ", count: depth)
        #expect(try !PolicyFuzzTests.read(blocks))
    }

    /// - Returns: whether it was a policy; then a farm has lived by it for a while.
    private static func read(_ text: String) throws -> Bool {
        let lineCount = text.split(separator: "\n", omittingEmptySubsequences: false).count
        let policy: Policy
        do throws(PolicyErrors) {
            policy = try parsePolicy(text, file: "fuzz.yml").policy
        } catch {
            #expect(!error.problems.isEmpty)
            for problem in error.problems {
                #expect(
                    problem.line >= 1 && problem.line <= lineCount + 1 && problem.column >= 1,
                    "\(problem) in\n\(text)")
                #expect(!problem.text.isEmpty && problem.isError)
            }
            return false
        }
        _ = policy.everyName
        #expect(PolicyDifference.all(from: policy, to: policy).isEmpty)
        live(policy)
        return true
    }

    private static func live(_ policy: Policy) {
        var state = FarmState()
        var now = Moment(seconds: 1)
        let ids = policy.members.map(\.id) + ["x1", "x2", "x3"].compactMap { SmurfID($0) }
        for id in ids { state.smurfs[id] = SmurfRecord(addresses: [.v4(1)], since: now) }
        var demand = Demand()
        for _ in 0..<12 {
            for (index, name) in Demand.measured.sorted().enumerated() {
                demand.note(name, Double(index) * 40, at: now)
            }
            var health: [SmurfID: Health] = [:]
            for id in ids {
                health[id] = Health(
                    heard: now, ready: true, role: state.smurfs[id]?.role, connections: 0, load: 0,
                    work: 0)
            }
            state =
                plan(
                    policy: policy, state: state, demand: demand, health: health, now: now,
                    timeOfDay: TimeOfDay(minute: 5)
                ).state
            var notes: [String] = []
            _ = membership(
                of: state, policy: policy, health: health, now: now, previous: nil, notes: &notes)
            now = now.advanced(by: .seconds(7))
        }
    }

    private static func mutate(
        _ lines: inout [String], _ examples: [[String]], _ random: inout SeededGenerator
    ) {
        guard let index = lines.indices.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<9, using: &random) {
        case 0: lines.remove(at: index)
        case 1: lines.insert(lines[index], at: index)
        case 2: lines.swapAt(index, Int.random(in: 0..<lines.count, using: &random))
        case 3:
            let blanks = String(repeating: " ", count: Int.random(in: 0...5, using: &random))
            lines[index] = blanks + lines[index].drop { $0 == " " }
        case 4:
            let other = examples.randomElement(using: &random) ?? []
            lines.insert(other.randomElement(using: &random) ?? "", at: index)
        case 5: lines = Array(lines.prefix(index + 1))
        case 6, 7:
            // Another value for one of the line's keys.
            let parts = lines[index].split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count > 1 else { return }
            let place = Int.random(in: 1..<parts.count, using: &random)
            var texts = parts.map(String.init)
            let tail = texts[place].drop { !",}]#".contains($0) }
            texts[place] = " " + (values.randomElement(using: &random) ?? "") + tail
            lines[index] = texts.joined(separator: ":")
        default:
            var scalars = Array(lines[index].unicodeScalars)
            guard let place = scalars.indices.randomElement(using: &random) else { return }
            scalars[place] =
                Array("{}[]:,-#&*!|>'\"%@`\t 019azé\u{0}\u{85}\u{2028}".unicodeScalars)
                .randomElement(using: &random) ?? " "
            var text = String.UnicodeScalarView()
            text.append(contentsOf: scalars)
            lines[index] = String(text)
        }
    }
}
