import ArgumentParser
import FarmProtocol
import Foundation
import SwiftProtobuf

/// `smurf policy release`: the end of a policy that was applied to a farm of several control nodes, after a look at what
/// the nodes' own files would do instead.
struct PolicyReleaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release",
        abstract: "Lets the control nodes of a farm go by their own policy files again.",
        discussion: """
              smurf policy release --reason 'files rule'          shows, asks, releases
              smurf policy release --reason 'files rule' --yes    for scripts

            Said at the leader, after 'smurf policy apply' has given the farm a policy that wins over the files. Shown \
            are: what differs between that policy and the leader's file; and the first moves that this farm would make \
            now. Every node then goes by its own file as it read it last (at its start or at SIGHUP), so bring the same \
            file to all of them first. A file that would leave a name without members is refused unless --force. \
            'smurf history' shows who released it and why; 'smurf policy apply' gives the farm a policy again.
            """)

    @Flag(help: "Do not ask.") var yes = false
    @Flag(help: "Also when names would be left without members.") var force = false
    @Option(help: "Why; kept in the history.") var reason: String
    @OptionGroup var control: ControlConnection

    func validate() throws { try OverrideOptions.check(reason: reason) }

    func run() async throws {
        let view = try await ask(over: nil)
        guard view.hasFarm else {
            let file = view.shared ? "its own file" : "its file"
            return print("the farm has no policy of its own: every control node follows \(file)")
        }
        Report.note(PolicyShowCommand.origin(of: view))
        print("\(view.path) instead:")
        let changes = view.changes.map(\.text)
        print(changes.isEmpty ? "  no difference" : changes.joined(separator: "\n"))
        try PolicyQuestion.ask("Release it?", view, force: force, yes: yes)
        let done = try await ask(over: view.digest)
        guard !done.hasFarm else {
            throw Report.failure("the control node did not release it; is it an older smurf?")
        }
        print("every control node follows its own file again; here \(done.path) (\(done.digest))")
    }

    /// Looks ahead, or releases.
    /// - Parameter base: the digest of what is to be released; nil: only look ahead.
    private func ask(over base: String?) async throws -> Smurffarm_V1_PolicyView {
        let request = Smurffarm_V1_PolicyRequest.with {
            $0.release = true
            $0.apply = base != nil
            $0.base = base ?? ""
            $0.force = force
            $0.operator = NSUserName()
            $0.reason = reason
        }
        return try await control.ask { try await $0.policy(request) }
    }
}
