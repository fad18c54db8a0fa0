import ArgumentParser
import FarmProtocol
import SwiftProtobuf

/// `smurf explain`: why a role has the members it has, or why a machine is where it is.
struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract:
            "Says why a role or a smurf is as it is: numbers, limits, and who was passed over.",
        discussion: """
              smurf explain           every role in short
              smurf explain web       one role: from the numbers to its members, and why nobody else
              smurf explain s03       one smurf: its state, and why no other role takes it
              smurf explain --json    for scripts; reasons have a 'code' that stays the same

            A role's way: raw (the policy's formula) → wanted (tolerance, min, max) → stabilised (up and down \
            window) → target (what the machines there are allow) → serving.
            """)

    @Argument(help: "A role or a smurf; by default every role in short.") var subject = ""
    @OptionGroup var control: ControlConnection
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let request = Smurffarm_V1_ExplainRequest.with { $0.subject = subject }
        let view = try await control.ask { try await $0.explain(request) }
        if json {
            print(try view.jsonString())
        } else {
            print(ExplanationText.lines(of: view).joined(separator: "\n"))
        }
    }
}
