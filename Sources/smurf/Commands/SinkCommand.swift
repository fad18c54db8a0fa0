import ArgumentParser
import Dispatch
import Foundation
import Sink

/// `smurf sink`: a receiver for trials.
struct SinkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sink",
        abstract:
            "Receives mail for trials and checks every message; plays the rest of the Internet.",
        discussion: """
            Messages are checked and counted, not stored. It ends by SIGTERM, SIGINT or after \
            --expect messages, and then reports: messages, recipients, duplicates, malformed ones.

              smurf sink --listen 127.0.0.1:2526 --report sink.json
            """)

    @Option(help: "Address and port to receive on; repeat for more.")
    var listen: [Endpoint] = [Endpoint.loopback(port: 2526)]
    @Option(help: "End after so many messages.") var expect: Int?
    @Flag(help: "Only count: no checks, no duplicates; for benchmarks.") var countOnly = false
    @Option(help: "Share of recipients refused for good, as in 1%.") var reject = Share(0)
    @Option(help: "Share of recipients put off once, as in 1%.") var `defer` = Share(0)
    @Option(help: "Milliseconds before each reply.") var delay = 0
    @Option(help: "Chooses the recipients concerned.") var seed: UInt64 = 1
    @Option(help: "Receiving threads.") var threads = 1
    @Option(help: "Directory to keep each message in, as N.eml with its envelope in front.")
    var keep: String?
    @Option(help: "File to write the report to, as JSON.") var report: String?

    func validate() throws {
        guard (0...60_000).contains(delay) else {
            throw ValidationError("--delay takes 0 to 60000 milliseconds")
        }
        guard (1...64).contains(threads) else { throw ValidationError("--threads takes 1 to 64") }
        guard keep == nil || !countOnly else {
            throw ValidationError("--keep needs the contents: leave --count-only out")
        }
    }

    func run() async throws {
        var configuration = SinkConfiguration(listen: listen.map { ($0.address, $0.port) })
        configuration.countsOnly = countOnly
        configuration.reject = reject.value
        configuration.defer = self.defer.value
        configuration.delay = Double(delay) / 1000
        configuration.seed = seed
        configuration.threads = threads
        if let keep { configuration.keep = try SinkCommand.keeper(in: keep) }
        let ending = Ending()
        let sink: Sink
        do {
            sink = try Sink(configuration)
        } catch {
            throw Report.failure("\(error)")
        }
        while !ending.isAsked && sink.messages < expect ?? Int.max {
            try await Task.sleep(for: .milliseconds(50))
        }
        sink.stop()
        try tell(sink.report)
    }

    private func tell(_ result: SinkReport) throws {
        print("messages \(result.messages), recipients \(result.distinctRecipients)")
        print("duplicates \(result.duplicates.count), malformed \(result.faults)")
        print("refused \(result.rejected), put off \(result.deferred)")
        print("octets \(result.bytes), \(Int(result.rate)) messages per second")
        for fault in result.malformed.prefix(10) {
            print("malformed: \(fault.recipient): \(fault.reason)")
        }
        for copy in result.duplicates.prefix(10) { print("duplicate: \(copy)") }
        guard let report else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        do {
            try encoder.encode(result).write(to: URL(fileURLWithPath: report), options: .atomic)
        } catch {
            throw Report.failure(
                "cannot write the report '\(report)': \(error.localizedDescription)")
        }
    }

    /// Writes each message to a file of its own; the first lines are its envelope.
    private static func keeper(
        in directory: String
    ) throws -> @Sendable (Int, SinkMessage) -> Void {
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw Report.failure(
                "cannot make the directory '\(directory)': \(error.localizedDescription)")
        }
        return { number, message in
            var text = Array("X-Envelope-From: <\(message.sender)>\r\n".utf8)
            for recipient in message.recipients {
                text += Array("X-Envelope-To: <\(recipient)>\r\n".utf8)
            }
            let path = "\(directory)/\(number).eml"
            if !FileManager.default.createFile(atPath: path, contents: Data(text + message.content))
            {
                Report.note("cannot write \(path)")
            }
        }
    }
}

/// A share of all, given as "5%" or "0.05".
struct Share: ExpressibleByArgument, CustomStringConvertible, Sendable {
    /// From 0 to 1.
    let value: Double

    init(_ value: Double) { self.value = value }

    init?(argument: String) {
        let isPercent = argument.hasSuffix("%")
        guard let number = Double(isPercent ? String(argument.dropLast()) : argument) else {
            return nil
        }
        let value = isPercent ? number / 100 : number
        guard (0...1).contains(value) else { return nil }
        self.value = value
    }

    var description: String { "\(value * 100)%" }
    var defaultValueDescription: String { description }
}

/// Whether this process was asked to end by SIGTERM or SIGINT.
final class Ending: @unchecked Sendable {
    // @unchecked: the sources are only kept alive here.
    private let sources: [any DispatchSourceSignal]
    private let asked = DispatchSemaphore(value: 0)

    init() {
        let asked = self.asked
        sources = [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { asked.signal() }
            source.resume()
            return source
        }
    }

    /// Stays true once it was; each reading costs one semaphore call.
    var isAsked: Bool {
        guard asked.wait(timeout: .now()) == .success else { return false }
        asked.signal()
        return true
    }
}
