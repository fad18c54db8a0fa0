import ArgumentParser
import FarmProtocol
import Foundation
import SwiftProtobuf

/// `smurf history`: who changed what and why, newest first.
struct HistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Shows every role change with who, why and when.")

    @OptionGroup var control: ControlConnection
    @Option(help: "At most this many lines; 0 shows all.") var limit: UInt32 = 40
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let request = Smurffarm_V1_HistoryRequest.with { $0.limit = limit }
        let list = try await control.ask { try await $0.history(request) }
        if json {
            print(try list.jsonString())
        } else {
            print(HistoryText.lines(of: list.lines).joined(separator: "\n"))
        }
    }
}

/// The history as a table.
enum HistoryText {
    static func lines(of history: [Smurffarm_V1_HistoryLine]) -> [String] {
        var table = Table(["TIME", "SMURF", "FROM", "TO", "BY", "WHY"])
        let clock = Date.FormatStyle(date: .omitted, time: .standard)
        for line in history {
            let date = Date(timeIntervalSince1970: Double(line.unixMs) / 1000)
            let who = line.node.isEmpty ? line.who : line.who + " on " + line.node
            table.add([date.formatted(clock), line.smurf, line.from, line.to, who, line.why])
        }
        return table.lines
    }
}
