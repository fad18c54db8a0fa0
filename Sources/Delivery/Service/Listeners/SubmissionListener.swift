import DeliveryCore
import Farm
import Foundation
import Logging
import NIOCore

/// Submission through a smurf in the smtp-out role: what a mailer with `relayhost = smtp-out.<zone>` talks to.
/// A message is with the relay before its sender is told 250; nothing is queued here. A transaction has one
/// recipient, so that the relay's answer is the answer for all of it: a second RCPT gets 452, after which
/// every mailer begins another transaction (RFC 5321 §4.5.3.1.10).
final class SubmissionListener: RoleService {
    struct Configuration: Sendable {
        var listen: [(address: IPAddress, port: UInt16)]
        var hostName: String
        /// Who may submit; everybody else is refused at once.
        var allowed: [Network]
        var relay: RelaySender.Configuration
    }

    private let listener: SMTPListener
    private let desk: SubmissionDesk
    private let ready = ServiceReadiness()

    init(
        _ configuration: Configuration, group: any EventLoopGroup, logger: Logger,
        sent: @escaping @Sendable () -> Void
    ) {
        desk = SubmissionDesk(configuration, group: group, logger: logger, sent: sent)
        let server = SMTPServer.Configuration(hostName: configuration.hostName)
        listener = SMTPListener(
            SMTPListener.Configuration(
                listen: configuration.listen, purpose: "submission", server: server),
            desk: desk, group: group)
    }

    func start() async throws {
        try await listener.start()
        ready.isReady = true
    }

    /// Transactions that are with the relay are ended first.
    func stop(grace: Duration) async {
        ready.isReady = false
        await listener.stop(grace: grace)
        await desk.stop(grace: .seconds(2))
    }

    var ports: [Int] { listener.ports }

    var activity: RoleActivity {
        RoleActivity(isReady: ready.isReady, connections: listener.openConnections)
    }
}

/// Lets in whom it may and hands each message to the relay while its sender waits.
final class SubmissionDesk: SMTPDesk {
    /// Beyond so many, a message goes in circles (RFC 5321 §6.3).
    static let hopLimit = 50

    private let configuration: SubmissionListener.Configuration
    private let waiting: SubmissionWaiters
    private let sender: RelaySender
    private let sent: @Sendable () -> Void

    init(
        _ configuration: SubmissionListener.Configuration, group: any EventLoopGroup,
        logger: Logger, sent: @escaping @Sendable () -> Void
    ) {
        self.configuration = configuration
        self.sent = sent
        let waiting = SubmissionWaiters()
        self.waiting = waiting
        sender = RelaySender(configuration.relay, group: group, logger: logger) { report in
            guard case .message(let message) = report.job.content else { return }
            waiting.answer(message.number, report)
        }
    }

    func stop(grace: Duration) async { await sender.finish(grace: grace) }

    func greet(_ client: SMTPPeer) -> SMTPReply? {
        if let address = client.address,
            configuration.allowed.contains(where: { $0.contains(address) })
        {
            return nil
        }
        let name = client.address?.description ?? "you"
        return SMTPReply(554, "5.7.1 \(configuration.hostName) takes no mail from \(name)")
    }

    func check(sender: Mailbox?, from client: SMTPPeer) -> SMTPReply { SMTPReply(250, "2.1.0 OK") }

    func check(recipient: Mailbox, taken: Int, from client: SMTPPeer) -> SMTPReply {
        taken == 0
            ? SMTPReply(250, "2.1.5 OK")
            : SMTPReply(452, "4.5.3 one recipient per transaction, please")
    }

    func accept(_ message: SMTPServer.Message, from client: SMTPPeer) async -> SMTPReply {
        guard let recipient = message.recipients.first else {
            return SMTPReply(554, "5.5.1 no recipient")
        }
        guard Self.hops(message.content) <= Self.hopLimit else {
            return SMTPReply(554, "5.4.6 too many hops: the message goes in circles")
        }
        var content = traceField(client)
        SubmissionDesk.stuff(message.content, into: &content)
        let report = await waiting.answer { number in
            sender.send([
                DeliveryJob(
                    .message(
                        DeliveryJob.Submission(
                            number: number, sender: message.sender?.address ?? "",
                            recipient: recipient.address, content: content)))
            ])
        }
        switch report.verdict {
        case .accepted, .bogged:
            sent()
            return SMTPReply(250, "2.0.0 with the relay")
        case .refused, .unrenderable:
            return SMTPReply(554, "5.0.0 the relay refused it: \(report.text)")
        case .deferred, .returned, .doubtful:
            return SMTPReply(451, "4.4.0 not with the relay yet: \(report.text)")
        }
    }

    /// RFC 5321 §4.4.
    private func traceField(_ client: SMTPPeer) -> [UInt8] {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: "UTC")
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss Z"
        let name = client.name.isEmpty ? "unknown" : client.name
        let address = client.address?.description ?? "unknown"
        return Array(
            """
            Received: from \(name) ([\(address)])\r
            \tby \(configuration.hostName) with ESMTP; \(formatter.string(from: Date()))\r\n
            """.utf8)
    }

    static func hops(_ content: [UInt8]) -> Int {
        var count = 0
        for line in content.split(separator: 0x0A, omittingEmptySubsequences: false) {
            if line.isEmpty || line.first == 0x0D { break }
            if line.starts(with: Array("Received:".utf8))
                || String(decoding: line.prefix(9), as: UTF8.self).lowercased() == "received:"
            {
                count += 1
            }
        }
        return count
    }

    /// Doubles dots at the start of lines (RFC 5321 §4.5.2).
    static func stuff(_ content: [UInt8], into output: inout [UInt8]) {
        output.reserveCapacity(output.count + content.count + 64)
        var previous: UInt8 = 0x0A
        for byte in content {
            if byte == 0x2E && previous == 0x0A { output.append(byte) }
            output.append(byte)
            previous = byte
        }
    }
}
