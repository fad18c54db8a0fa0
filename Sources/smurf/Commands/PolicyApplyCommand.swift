import ArgumentParser
import FarmProtocol
import Foundation
import RoleScheduler
import RoleSchedulerCore
import RoleSimulation
import SwiftProtobuf

/// `smurf policy apply`: another policy for a farm that runs, after a look at what it would do.
struct PolicyApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract:
            "Makes a running control node follow a policy file, after showing what it would do.",
        discussion: """
              smurf policy apply new.yml          shows, asks, applies
              smurf policy apply new.yml --yes    for scripts

            Shown are: what differs from the policy that is followed; a mailing simulated under both (--trace lives \\
            a recorded one through again); and the first moves that this farm would make now. A policy that would \\
            leave a name without members is refused unless --force. 'smurf history' shows who applied it, why, \\
            and what differed. A node that is alone writes it to its policy file. Of several control nodes the leader \
            takes it and all follow it from then on, whatever their files say; 'smurf policy show' prints it.
            """)

    @Argument(help: "The policy file.") var policy: String
    @Flag(help: "Do not ask.") var yes = false
    @Flag(help: "Also when names would be left without members.") var force = false
    @Flag(help: "Do not simulate a mailing.") var noSimulation = false
    @Option(help: "Why; kept in the history.") var reason: String?
    @OptionGroup var control: ControlConnection
    @OptionGroup(title: "What is simulated") var options: ScenarioOptions

    func validate() throws {
        if let reason { try OverrideOptions.check(reason: reason) }
    }

    func run() async throws {
        let rules = try FarmSources.policy(at: policy)
        let scenario = try options.scenario(for: rules)
        guard let text = FileManager.default.contents(atPath: policy) else {
            throw Report.failure("cannot read \(policy)", status: Report.badInput)
        }
        let view = try await ask(text)
        let followed = view.hasFarm ? "the farm's policy (\(view.digest))" : view.path
        guard !view.changes.isEmpty else {
            return print("no difference to \(followed), which is followed")
        }
        print(view.changes.map(\.text).joined(separator: "\n"))
        if !noSimulation { simulateBoth(view, rules, scenario) }
        print("\n" + moves(view).joined(separator: "\n"))
        if !view.emptied.isEmpty {
            print("\nNames would be left without members:")
            for name in view.emptied { print("  " + name) }
            guard force else {
                throw Report.failure(
                    "refused: names would be left without members; --force applies it anyway",
                    status: Report.badInput)
            }
        }
        guard !view.shared || view.refusal.isEmpty else {
            throw Report.failure(view.refusal, status: Report.badInput)
        }
        guard yes || confirmed() else {
            throw Report.failure("nothing was changed", status: Report.badInput)
        }
        let done = try await ask(text, over: view.digest)
        print(
            done.shared
                ? "all control nodes follow it (\(done.digest)), whatever their files say"
                : "\(view.path) was written and is followed")
    }

    /// Looks ahead, or applies.
    /// - Parameter base: the digest of what it is to take the place of; nil: only look ahead.
    private func ask(
        _ text: Data, over base: String? = nil
    ) async throws -> Smurffarm_V1_PolicyView {
        let request = Smurffarm_V1_PolicyRequest.with {
            $0.text = text
            $0.apply = base != nil
            $0.base = base ?? ""
            $0.force = force
            $0.operator = NSUserName()
            $0.reason = reason ?? ""
        }
        return try await control.ask { try await $0.policy(request) }
    }

    private func simulateBoth(
        _ view: Smurffarm_V1_PolicyView, _ rules: Policy, _ scenario: Scenario
    ) {
        var outcomes = [simulate(scenario, .policy(rules), name: policy)]
        let current = String(decoding: view.current, as: UTF8.self)
        let name = view.hasFarm ? "followed (\(view.digest))" : view.path
        if let followed = try? parsePolicy(current, file: name).policy {
            outcomes.insert(simulate(scenario, .policy(followed), name: name), at: 0)
        }
        print(
            "\nA mailing of \(Int(scenario.recipients)) with \(scenario.smurfs) machines, simulated:"
        )
        print(OutcomeTable.lines(of: outcomes).joined(separator: "\n"))
    }

    private func moves(_ view: Smurffarm_V1_PolicyView) -> [String] {
        var lines = ["This farm, if its numbers stayed as they are:"]
        var table = Table(["ROLE", "NOW", "THEN"])
        for role in view.roles { table.add([role.role, "\(role.now)", "\(role.then)"]) }
        lines += table.lines
        if !view.atRest { lines.append("It does not come to rest within an hour.") }
        guard !view.moves.isEmpty else { return lines + ["", "Nobody moves."] }
        table = Table(["AFTER", "SMURF", "FROM", "TO", "WHY"])
        for move in view.moves {
            table.add([
                spoken(seconds: Double(move.second)), move.smurf, move.from, move.to, move.why,
            ])
        }
        let rest = Int(view.moveCount) - view.moves.count
        return lines + ["", "First moves:"] + table.lines
            + (rest > 0 ? ["… and \(rest) more"] : [])
    }

    private func confirmed() -> Bool {
        guard isatty(STDIN_FILENO) == 1 else {
            Report.note("standard input is no terminal to ask on; --yes applies it")
            return false
        }
        Report.paint("\nApply it? [y/N] ")
        return ["y", "yes"].contains(readLine()?.lowercased() ?? "")
    }
}
