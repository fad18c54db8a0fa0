import ArgumentParser
import FarmProtocol
import Foundation
import GRPCCore
import SwiftProtobuf

/// The subcommands of `smurf mailing` that ask a control node: what became of mailings, and the brakes.
extension MailingCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All mailings.")
        @OptionGroup var control: ControlConnection
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let list = try await control.ask {
                try await $0.mailings(Smurffarm_V1_MailingsRequest())
            }
            if json { return print(try list.jsonString()) }
            var table = Table(["NO", "NAME", "STATE", "TOTAL", "DONE", "RATE", "ETA"])
            for view in list.mailings {
                table.add([
                    "\(view.mailing)", view.name, view.state, "\(view.total)",
                    "\(MailingText.done(view))", String(format: "%.0f/s", view.rate),
                    view.etaSeconds < 0 ? "-" : spoken(seconds: view.etaSeconds),
                ])
            }
            print(table.lines.joined(separator: "\n"))
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One mailing, by state.")
        @Argument(help: "Its name or number.") var mailing: String
        @OptionGroup var control: ControlConnection
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let request = Smurffarm_V1_MailingRequest.with { $0.mailing = mailing }
            let view = try await control.ask { client in
                try await client.follow(request) { response in
                    for try await view in response.messages { return view }
                    throw Report.failure("the control node said nothing")
                }
            }
            print(
                json ? try view.jsonString() : MailingText.lines(of: view).joined(separator: "\n"))
        }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "No further row leaves.")
        @OptionGroup var steering: Steering
        func run() async throws { try await steering.send(.pause) }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Goes on where it stopped.")
        @OptionGroup var steering: Steering
        func run() async throws { try await steering.send(.resume) }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ends a mailing: what has not left never will.")
        @OptionGroup var steering: Steering
        func run() async throws { try await steering.send(.cancel) }
    }

    struct Recipients: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists recipients, all or those of one state.",
            discussion: """
                States: pending, leased, accepted, delivered, bogged, failed, suppressed, \
                cancelled; and the marks doubtful (may have been sent twice), bounced, unsubscribed.
                """)
        @Argument(help: "The mailing's name or number.") var mailing: String
        @Option(help: "Only this state or mark.") var state: String = ""
        @OptionGroup var control: ControlConnection
        @Flag(help: "Print JSON, one object per line.") var json = false

        func run() async throws {
            let request = Smurffarm_V1_RecipientsRequest.with {
                $0.mailing = mailing
                $0.state = state
            }
            let json = json
            try await control.ask { client in
                try await client.recipients(request) { response in
                    for try await list in response.messages {
                        for line in list.recipients { try MailingText.print(line, json: json) }
                    }
                }
            }
        }
    }
}

/// The arguments of pause, resume and cancel.
struct Steering: ParsableArguments {
    @Argument(help: "The mailing's name or number.") var mailing: String
    @OptionGroup var control: ControlConnection

    func send(_ action: Smurffarm_V1_SteerRequest.Action) async throws {
        let request = Smurffarm_V1_SteerRequest.with {
            $0.mailing = mailing
            $0.action = action
        }
        let view = try await control.ask { try await $0.steer(request) }
        print("\(view.name): \(view.state)")
    }
}
