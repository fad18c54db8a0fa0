import ArgumentParser
import Farm
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

            Shown are: what differs from the policy that is followed; a mailing simulated under both with the machines \
            that the farm has now and their labels (--trace lives a recorded one through again); and the first moves that this farm would make now. A policy that would \
            leave a name without members is refused unless --force. 'smurf history' shows who applied it, why, \
            and what differed. A node that is alone writes it to its policy file. Of several control nodes the leader \
            takes it and all follow it from then on, whatever their files say; 'smurf policy show' prints it, and 'smurf policy release' takes it back.
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
        _ = try options.scenario(for: rules)
        guard let text = FileManager.default.contents(atPath: policy) else {
            throw Report.failure("cannot read \(policy)", status: Report.badInput)
        }
        let view = try await ask(text)
        let followed = view.hasFarm ? "the farm's policy (\(view.digest))" : view.path
        guard !view.changes.isEmpty else {
            return print("no difference to \(followed), which is followed")
        }
        print(view.changes.map(\.text).joined(separator: "\n"))
        if !noSimulation, rules.roles.contains(where: { $0.service == .smtpOut }) {
            simulateBoth(view, rules, try options.scenario(for: rules, farm: await machines()))
        }
        try PolicyQuestion.ask("Apply it?", view, force: force, yes: yes)
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

    /// Those of the farm, and their labels.
    private func machines() async throws -> [SmurfID: [Label]] {
        let board = try await control.ask { try await ControlConnection.board(of: $0) }
        var machines: [SmurfID: [Label]] = [:]
        for line in board.smurfs {
            guard let id = SmurfID(line.smurf) else { continue }
            machines[id] = line.labels.compactMap { Label($0) }
        }
        return machines
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
}
