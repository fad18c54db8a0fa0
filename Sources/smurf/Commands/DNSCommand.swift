import ArgumentParser
import FarmProtocol
import Foundation

/// `smurf dns`: the name server of a running control node.
struct DNSCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dns", abstract: "What the running name server has done.",
        subcommands: [Stats.self])

    struct Stats: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints what the name server has counted since it started.",
            discussion: """
                One line a counter: queries by thread and transport, replies by response code and by type, \
                truncated and unanswered ones, cookies, rate limit, TCP connections. The same numbers are read \
                by Prometheus from 'smurf serve --metrics ADDRESS:PORT', path /metrics.

                  smurf dns stats
                  smurf dns stats --prometheus | grep rcode
                """)
        @Flag(help: "Print the text format of Prometheus, with types and explanations.")
        var prometheus = false
        @Flag(help: "Print JSON: an object with a number for each counter.") var json = false
        @OptionGroup var control: ControlConnection

        func validate() throws {
            guard !(json && prometheus) else {
                throw ValidationError("--json and --prometheus: choose one")
            }
        }

        func run() async throws {
            let view = try await control.ask { try await $0.statistics(.init()) }
            if prometheus { return print(view.text, terminator: "") }
            let samples = DNSCommand.samples(in: view.text)
            if json {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
                let counters = Dictionary(uniqueKeysWithValues: samples.map { ($0, UInt64($1)) })
                return print(String(decoding: try encoder.encode(counters), as: UTF8.self))
            }
            var table = Table(["COUNTER", "VALUE"])
            for (name, value) in samples { table.add([name, value]) }
            print(table.lines.joined(separator: "\n"))
        }
    }

    /// Names with labels, and values, without what only Prometheus needs.
    private static func samples(in text: String) -> [(name: String, value: String)] {
        text.split(separator: "\n").filter { !$0.hasPrefix("#") }.compactMap { line in
            guard let space = line.lastIndex(of: " ") else { return nil }
            let name = line[..<space]
            return (
                String(name.hasPrefix("smurf_dns_") ? name.dropFirst(10) : name),
                String(line[line.index(after: space)...])
            )
        }
    }
}
