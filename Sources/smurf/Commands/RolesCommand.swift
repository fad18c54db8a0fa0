import ArgumentParser
import FarmProtocol
import Foundation
import GRPCCore
import SwiftProtobuf

/// `smurf roles`: the board of the farm.
struct RolesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roles",
        abstract:
            "Shows who does what, how much there is to do, and why nothing or something moves.",
        discussion: """
              smurf roles            once
              smurf roles --watch    until interrupted
              smurf roles --json     for scripts: one JSON object (one per line with --watch)
            """)

    @OptionGroup var control: ControlConnection
    @Flag(help: "Keep showing it as it changes.") var watch = false
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let (watch, json) = (watch, json)
        let request = Smurffarm_V1_BoardRequest.with { $0.watch = watch }
        try await control.ask { client in
            try await client.board(request) { response in
                for try await view in response.messages {
                    if json {
                        print(try view.jsonString())
                    } else {
                        if watch && Report.isTerminal { Report.paint("\u{1B}[H\u{1B}[2J") }
                        print(BoardText.lines(of: view).joined(separator: "\n"))
                    }
                }
            }
        }
    }
}
