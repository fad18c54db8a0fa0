import ArgumentParser
import Delivery
import Foundation
import Sink
import Synchronization
import UnixSignals

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

            With --bounce, --unsubscribe and --prefetch it also answers as the world does: by \
            delivery status notifications to the envelope sender's mail exchanger, one-click \
            requests to the unsubscribe link, and visits of link scanners. Before it ends it waits \
            until these are done, at most --linger; a second signal ends it at once.

              smurf sink --bounce 2% --unsubscribe 1% --dns 127.0.0.1:5300 --mx-port 2525 \\
                --web-port 8080
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
    @OptionGroup(title: "Answers") var answers: AnswerOptions

    func validate() throws {
        guard (0...60_000).contains(delay) else {
            throw ValidationError("--delay takes 0 to 60000 milliseconds")
        }
        guard (1...64).contains(threads) else { throw ValidationError("--threads takes 1 to 64") }
        guard keep == nil || !countOnly else {
            throw ValidationError("--keep needs the contents: leave --count-only out")
        }
        guard !answers.configuration.isActive || !countOnly else {
            throw ValidationError("answers need the contents: leave --count-only out")
        }
        let shares = [reject, self.defer, answers.bounce, answers.unsubscribe].map(\.value)
        guard shares.reduce(0, +) <= 1 else {
            throw ValidationError(
                "--reject, --defer, --bounce and --unsubscribe concern different recipients: "
                    + "together at most 100%")
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
        configuration.reactions = answers.configuration
        if let dns = answers.dns {
            configuration.upstream = .forward([.init(address: dns.address, port: dns.port)])
        }
        let ending = await Ending()
        let sink: Sink
        do {
            sink = try Sink(configuration)
        } catch {
            throw Report.failure("\(error)")
        }
        var progress = SinkProgress()
        while !ending.isAsked && sink.messages < expect ?? Int.max {
            try await Task.sleep(for: .milliseconds(50))
            progress.show(sink)
        }
        let asked = ending.count
        let end = ContinuousClock.now + answers.linger.duration
        while sink.outstanding > 0 && ending.count == asked && ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(50))
            progress.show(sink)
        }
        sink.stop()
        progress.clear()
        try tell(sink.report)
    }

    private func tell(_ result: SinkReport) throws {
        print("messages \(result.messages), recipients \(result.distinctRecipients)")
        print("duplicates \(result.duplicates.count), malformed \(result.faults)")
        print("refused \(result.rejected), put off \(result.deferred)")
        print("octets \(result.bytes), \(Int(result.rate)) messages per second")
        if answers.configuration.isActive {
            tell("bounces", result.reactions.bounces)
            tell("clicks", result.reactions.clicks)
            tell("prefetches", result.reactions.prefetches)
        }
        for failure in result.reactions.failures.prefix(10) {
            print("\(failure.kind) failed: \(failure.recipient): \(failure.reason)")
        }
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

    private func tell(_ name: String, _ count: ReactionReport.Count) {
        print(
            "\(name) \(count.due): done \(count.done), refused \(count.refused), "
                + "given up \(count.givenUp), retries \(count.retries)")
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

/// What recipients do with what they get.
struct AnswerOptions: ParsableArguments {
    @Option(help: "Share of recipients whose mail is returned, as in 2%.") var bounce = Share(0)
    @Option(help: "Share of recipients who leave by the one-click link, as in 1%.")
    var unsubscribe = Share(0)
    @Option(help: "Share of recipients whose scanner visits the link; must change nothing.")
    var prefetch = Share(0)
    @Option(help: "Mean time until a bounce; exponential.") var bounceLag = HumanDuration(
        seconds: 2)
    @Option(help: "Mean time until a click; exponential.") var clickLag = HumanDuration(seconds: 5)
    @Option(help: "Name server or resolver to ask (default: those of this machine).")
    var dns: Endpoint?
    @Option(help: "Port of mail exchangers.") var mxPort: UInt16 = 25
    @Option(help: "Port of web servers, spoken to without TLS (default: as the link says).")
    var webPort: UInt16?
    @Option(help: "Bounces that are sent, and links that are followed, at the same time.")
    var workers = 6
    @Option(help: "How long an answer is tried before it is given up.") var patience =
        HumanDuration(seconds: 300)
    @Option(help: "How long to wait at the end for what is still to be done.") var linger =
        HumanDuration(seconds: 60)

    func validate() throws {
        guard (1...64).contains(workers) else { throw ValidationError("--workers takes 1 to 64") }
    }

    var configuration: ReactionConfiguration {
        var reactions = ReactionConfiguration()
        reactions.bounce = bounce.value
        reactions.unsubscribe = unsubscribe.value
        reactions.prefetch = prefetch.value
        reactions.bounceLag = bounceLag.seconds
        reactions.clickLag = clickLag.seconds
        reactions.mxPort = mxPort
        reactions.webPort = webPort
        reactions.workers = workers
        reactions.patience = patience.seconds
        return reactions
    }
}

/// The state of a running sink on standard error: one line that is repainted on a terminal, else a line
/// every ten seconds while something happens.
private struct SinkProgress {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var shown = ""
    private var next = ContinuousClock.now

    mutating func show(_ sink: Sink) {
        let now = ContinuousClock.now
        guard now >= next else { return }
        next = now + (isTerminal ? .milliseconds(500) : .seconds(10))
        let counts = sink.progress
        var line = "messages \(sink.messages)"
        for (name, count) in [
            ("bounces", counts.bounces), ("clicks", counts.clicks),
            ("prefetches", counts.prefetches),
        ] where count.due > 0 { line += ", \(name) \(count.done)/\(count.due)" }
        guard line != shown, sink.messages > 0 else { return }
        shown = line
        write(isTerminal ? "\r\u{1B}[K" + line : line + "\n")
    }

    func clear() { if isTerminal, !shown.isEmpty { write("\r\u{1B}[K") } }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}

/// How often this process was asked to end by SIGTERM or SIGINT.
final class Ending: Sendable {
    private final class Counter: Sendable { let value = Atomic(0) }
    private let asked = Counter()
    private let watch: Task<Void, Never>

    init() async {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        watch = Task { [asked] in
            for await _ in signals { asked.value.add(1, ordering: .relaxed) }
        }
    }

    deinit { watch.cancel() }

    var count: Int { asked.value.load(ordering: .relaxed) }
    var isAsked: Bool { count > 0 }
}
