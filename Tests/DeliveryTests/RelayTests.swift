import DeliveryCore
import Farm
import Foundation
import Logging
import NIOPosix
import Sink
import Synchronization
import TestSupport
import Testing

@testable import Delivery

/// Sending to a relay: every job ends in exactly one report, whatever the relay does.
@Suite(.serialized) struct RelayTests {
    private static let loopback = IPAddress.v4(0x7F00_0001)
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Reports by the number of the message.
    private final class Reports: Sendable {
        private let state = Mutex<[UInt64: [RowOutcome.Verdict]]>([:])

        func note(_ report: DeliveryReport) {
            guard case .message(let message) = report.job.content else { return }
            state.withLock { $0[message.number, default: []].append(report.verdict) }
        }

        var all: [UInt64: [RowOutcome.Verdict]] { state.withLock { $0 } }
    }

    private func sender(_ port: UInt16, _ reports: Reports, patience: Duration = .seconds(20))
        -> RelaySender
    {
        var configuration = RelaySender.Configuration(
            relay: (Self.loopback, port), source: nil, helloName: "s01.example.test",
            connections: 4)
        configuration.patience = patience
        return RelaySender(
            configuration, group: MultiThreadedEventLoopGroup.singleton, logger: logger
        ) { reports.note($0) }
    }

    private func jobs(_ numbers: Range<UInt64>) -> [DeliveryJob] {
        numbers.map {
            DeliveryJob(
                .message(
                    DeliveryJob.Submission(
                        number: $0, sender: "a@example.test",
                        recipient: "r\($0)@mail.example",
                        content: Array("Subject: \($0)\r\n\r\n..dot\r\nhello\r\n".utf8))))
        }
    }

    @Test func everyMessageIsReportedOnce() async throws {
        var configuration = SinkConfiguration(listen: [(Self.loopback, 0)])
        configuration.countsOnly = true
        configuration.reject = 0.1
        configuration.defer = 0.1
        let sink = try Sink(configuration)
        let port = try #require(sink.ports.first)
        let reports = Reports()
        let sender = sender(port, reports)
        sender.send(jobs(0..<1000))
        sender.send(jobs(1000..<2000))
        try await eventually("all is reported", within: .seconds(180)) { reports.all.count == 2000 }
        #expect(reports.all.values.allSatisfy { $0.count == 1 })
        let verdicts = reports.all.values.flatMap { $0 }
        let accepted = verdicts.count { $0 == .accepted }
        try await eventually("the sink has counted") { sink.messages == accepted }
        #expect(verdicts.contains(.refused) && verdicts.contains(.deferred))
        #expect(verdicts.allSatisfy { [.accepted, .refused, .deferred].contains($0) })
        #expect(sender.openConnections <= 4)
        await sender.finish(grace: .seconds(10))
        #expect(sender.openConnections == 0)
        sink.stop()
    }

    @Test func aRelayThatIsAwayGetsItsJobsBack() async throws {
        let port = try Product.freePort()
        let reports = Reports()
        let sender = sender(port, reports, patience: .milliseconds(500))
        sender.send(jobs(0..<20))
        try await eventually("all is reported") { reports.all.count == 20 }
        #expect(reports.all.values.allSatisfy { $0 == [.returned] })
        #expect(sender.isUnreachable)
        await sender.finish(grace: .zero)
    }

    @Test func whatWaitsIsGivenBackAtTheEnd() async throws {
        var configuration = SinkConfiguration(listen: [(Self.loopback, 0)])
        configuration.countsOnly = true
        configuration.delay = 0.05
        let sink = try Sink(configuration)
        let reports = Reports()
        let sender = sender(try #require(sink.ports.first), reports)
        sender.send(jobs(0..<500))
        try await eventually("all is reported") { sink.messages > 3 }
        await sender.finish(grace: .seconds(20))
        try await eventually("all is reported") { reports.all.count == 500 }
        #expect(reports.all.values.allSatisfy { $0.count == 1 })
        let verdicts = reports.all.values.flatMap { $0 }
        #expect(verdicts.contains(.returned))
        let accepted = verdicts.count { $0 == .accepted }
        try await eventually("the sink has counted") { sink.messages == accepted }
        sender.send(jobs(900..<901))
        #expect(reports.all[900] == [.returned])
        sink.stop()
    }

    @Test func submissionAnswersForTheRelay() async throws {
        var configuration = SinkConfiguration(listen: [(Self.loopback, 0)])
        let kept = Mutex<[SinkMessage]>([])
        configuration.keep = { _, message in kept.withLock { $0.append(message) } }
        let sink = try Sink(configuration)
        let port = try #require(sink.ports.first)
        let allowed = try #require(Network("127.0.0.1"))
        let listener = SubmissionListener(
            SubmissionListener.Configuration(
                listen: [(Self.loopback, 0)], hostName: "s01.example.test", allowed: [allowed],
                relay: RelaySender.Configuration(
                    relay: (Self.loopback, port), source: nil, helloName: "s01.example.test",
                    connections: 2)),
            group: MultiThreadedEventLoopGroup.singleton, logger: logger, sent: {})
        try await listener.start()
        let script = """
            import smtplib, sys
            port = int(sys.argv[1])
            with smtplib.SMTP("127.0.0.1", port, timeout=30) as s:
                refused = s.sendmail("a@example.org", ["x@mail.example", "y@mail.example"],
                    "Subject: t\\n\\n.one\\n..two\\n.\\nend\\n")
                print({k: v[0] for k, v in refused.items()})
            try:
                smtplib.SMTP("127.0.0.1", port, timeout=30, source_address=("127.0.0.9", 0))
            except smtplib.SMTPConnectError as e:
                print(e.smtp_code)
            """
        let result = try await run([
            "python3", "-c", script, "\(try #require(listener.ports.first))",
        ])
        #expect(result.output == "{'y@mail.example': 452}\n554\n", "\(result.errors)")
        try await eventually("all is reported") { kept.withLock { $0.count } == 1 }
        let message = try #require(kept.withLock { $0.first })
        let text = String(decoding: message.content, as: UTF8.self)
        #expect(text.hasPrefix("Received: from "))
        #expect(text.contains("\r\n\r\n.one\r\n..two\r\n.\r\nend\r\n"))
        await listener.stop(grace: .seconds(5))
        sink.stop()
    }

    @Test(arguments: [
        ("a\r\n", "a\r\n"), (".a\r\n", "..a\r\n"), ("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n"),
        ("", ""),
        ("a.b\r\n", "a.b\r\n"), ("\r\n.", "\r\n.."),
    ])
    func dotsAreDoubledAtTheStartOfLinesOnly(_ text: String, _ stuffed: String) {
        var output: [UInt8] = []
        SubmissionDesk.stuff(Array(text.utf8), into: &output)
        #expect(String(decoding: output, as: UTF8.self) == stuffed)
    }

    @Test func countsHopsInTheHeaderOnly() {
        let text = "Received: a\r\nRECEIVED: b\r\nSubject: Received: c\r\n\r\nReceived: d\r\n"
        #expect(SubmissionDesk.hops(Array(text.utf8)) == 2)
    }
}

extension RelayTests {
    /// A smurf whose relay was away is not lost for good: it looks for the relay also without work.
    @Test func aRelayThatComesBackIsNoticedWithoutWork() async throws {
        let port = try Product.freePort()
        let reports = Reports()
        let sender = sender(port, reports, patience: .milliseconds(300))
        sender.send(jobs(0..<3))
        try await eventually("the jobs come back") { reports.all.count == 3 }
        try await eventually("it is known to be away") { sender.isUnreachable }
        var configuration = SinkConfiguration(listen: [(Self.loopback, port)])
        configuration.countsOnly = true
        let sink = try Sink(configuration)
        try await eventually("it is known to be back") { !sender.isUnreachable }
        sender.send(jobs(10..<20))
        try await eventually("all is sent") { sink.messages == 10 }
        await sender.finish(grace: .seconds(5))
        sink.stop()
    }
}
