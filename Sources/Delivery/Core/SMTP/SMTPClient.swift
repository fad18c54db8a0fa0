public import Farm

/// The client side of one SMTP connection (RFC 5321) as a state machine: octets and moments in, actions
/// out. It opens no socket, reads no clock and holds no message contents.
///
/// All actions of one call belong into one write, in their order. With PIPELINING a message's content, its
/// final dot and the next message's MAIL, RCPT and DATA are such a write (RFC 2920 §3.1 ends a group by
/// DATA only); without it every command waits for its reply.
///
/// | event | message before its content was asked for | after |
/// |---|---|---|
/// | 2yz to the final dot | – | accepted |
/// | 4yz, 421 | deferred | deferred |
/// | 5yz | refused | refused |
/// | connection lost, timeout, garbage | deferred; untried if no reply came | doubtful |
public struct SMTPClient: Sendable {
    public struct Message: Hashable, Sendable {
        /// The caller's own number; unique among the messages of this connection.
        public var id: UInt64
        /// A serialised mailbox, or empty for the null sender.
        public var sender: String
        /// Serialised mailboxes, at least one.
        public var recipients: [String]
        /// Octets of the content, for SIZE (RFC 1870).
        public var size: Int?
        /// Content has octets above 127.
        public var isEightBit: Bool

        public init(
            id: UInt64, sender: String, recipients: [String], size: Int? = nil,
            isEightBit: Bool = false
        ) {
            self.id = id
            self.sender = sender
            self.recipients = recipients
            self.size = size
            self.isEightBit = isEightBit
        }
    }

    public enum Verdict: Hashable, Sendable {
        case accepted, deferred, refused
        /// The final dot was sent and not answered (RFC 1047).
        case doubtful
        /// Nothing was answered to it: another connection may take it.
        case untried
    }

    public enum Stage: Hashable, Sendable { case connect, mail, recipient, data, content }

    /// What became of one recipient of one message.
    public struct Outcome: Hashable, Sendable {
        public var recipient: String
        public var verdict: Verdict
        public var stage: Stage
        /// The server's reply, or what happened instead; one line.
        public var text: String
        public var reply: SMTPReply?
    }

    public enum Action: Hashable, Sendable {
        case write([UInt8])
        /// Write the dot-stuffed content of the message, which ends by CRLF; the dot follows by itself.
        case writeContent(UInt64)
        /// The message is done: one outcome per recipient, in order.
        case finished(UInt64, [Outcome])
        /// Close the connection; nothing more will be said.
        case close
    }

    /// RFC 5321 §4.5.3.2. Content blocks (180 s) are the writer's own watch.
    public enum Timeout {
        public static let banner = Duration.seconds(300)
        public static let command = Duration.seconds(300)
        public static let dataStart = Duration.seconds(120)
        public static let finalDot = Duration.seconds(600)
        public static let quit = Duration.seconds(10)
    }

    public struct Capabilities: Hashable, Sendable {
        public var pipelining = false
        public var eightBitMIME = false
        public var chunking = false
        public var enhancedStatusCodes = false
        public var startTLS = false
        public var offersSize = false
        /// 0 = no limit told.
        public var size = 0
    }

    private enum Expected: Hashable, Sendable {
        case banner, ehlo, helo, mail, recipient(Int), data, finalDot, loneDot, reset, quit
    }

    private struct Transaction: Sendable {
        var message: Message
        var mail: SMTPReply?
        var recipients: [SMTPReply] = []
        var data: SMTPReply?
        var contentSent = false
    }

    /// What the server offered in its answer to EHLO.
    public private(set) var capabilities = Capabilities()
    /// When to call `tick`; nil when nothing is awaited.
    public private(set) var deadline: Moment?
    /// The connection is over: no call has any effect.
    public private(set) var isClosed = false
    /// The greeting is done: messages flow.
    public private(set) var isReady = false
    private let helloName: String
    private let allowsPipelining: Bool
    private var reader = SMTPReplyReader()
    private var expected: [Expected] = []
    private var waiting: [Message] = []
    /// At most two: one whose final dot is not answered, and one whose envelope went out with it.
    private var open: [Transaction] = []
    private var isQuitting = false

    /// - Parameters:
    ///   - helloName: this host's name; letters, digits, dots and hyphens.
    ///   - allowsPipelining: false to be lock-step whatever the server offers.
    public init(helloName: String, allowsPipelining: Bool = true) {
        self.helloName = helloName
        self.allowsPipelining = allowsPipelining
    }

    /// Messages the caller may enqueue now so that the connection is never idle.
    public var room: Int { isClosed || isQuitting ? 0 : max(0, 2 - waiting.count - open.count) }

    /// Messages taken and not finished.
    public var unfinished: Int { waiting.count + open.count }

    /// The connection is up: the server's banner is awaited.
    public mutating func connected(at now: Moment) {
        expected = [.banner]
        deadline = now.advanced(by: Timeout.banner)
    }

    /// Takes a message; its content will be asked for by `writeContent`, and only then.
    public mutating func enqueue(_ message: Message, at now: Moment) -> [Action] {
        guard !isClosed, !isQuitting else {
            return [finished(message, .untried, .connect, "the connection is closed")]
        }
        waiting.append(message)
        return pump(now, [])
    }

    /// Takes what the server sent; pieces may end anywhere.
    public mutating func receive(_ bytes: some Sequence<UInt8>, at now: Moment) -> [Action] {
        var actions: [Action] = []
        for byte in bytes where !isClosed {
            switch reader.take(byte) {
            case .needMore: continue
            case .garbage: actions += lost("the server's reply is no SMTP")
            case .reply(let reply): actions += take(reply)
            }
        }
        return isClosed ? actions : pump(now, actions)
    }

    /// Sends QUIT when all messages are done.
    public mutating func quit(at now: Moment) -> [Action] {
        isQuitting = true
        return isClosed ? [] : pump(now, [])
    }

    /// To be called when `deadline` has passed.
    public mutating func tick(at now: Moment) -> [Action] {
        guard !isClosed, let deadline, now >= deadline else { return [] }
        return lost("no reply in time")
    }

    /// The connection ended without our doing.
    /// - Parameter contentWasWritten: false only when it is certain that the last content asked for, with
    ///   its dot, did not leave this machine in full.
    public mutating func connectionLost(contentWasWritten: Bool = true) -> [Action] {
        if isClosed { return [] }
        if !contentWasWritten { for index in open.indices { open[index].contentSent = false } }
        return lost("the connection was lost")
    }

    // MARK: Replies

    private mutating func take(_ reply: SMTPReply) -> [Action] {
        guard let command = expected.first else {
            return lost(reply.code == 421 ? reply.description : "a reply to nothing: \(reply)")
        }
        if reply.code == 421, command != .quit { return closing(reply, command) }
        expected.removeFirst()
        switch command {
        case .banner:
            guard reply.code == 220 else { return closing(reply, command) }
            expected.append(.ehlo)
            return [.write(Array("EHLO \(helloName)\r\n".utf8))]
        case .ehlo:
            if reply.isPositive {
                readCapabilities(reply)
                isReady = true
                return []
            }
            expected.append(.helo)
            return [.write(Array("HELO \(helloName)\r\n".utf8))]
        case .helo:
            guard reply.isPositive else { return closing(reply, command) }
            isReady = true
            return []
        case .quit:
            isClosed = true
            deadline = nil
            return [.close]
        case .reset, .loneDot: return []
        case .mail: return takeMail(reply)
        case .recipient: return takeRecipient(reply)
        case .data: return takeData(reply)
        case .finalDot: return takeFinalDot(reply)
        }
    }

    private mutating func readCapabilities(_ reply: SMTPReply) {
        for line in reply.lines.dropFirst() {
            let words = line.uppercased().split(separator: " ")
            switch words.first {
            case "PIPELINING": capabilities.pipelining = allowsPipelining
            case "8BITMIME": capabilities.eightBitMIME = true
            case "CHUNKING": capabilities.chunking = true
            case "ENHANCEDSTATUSCODES": capabilities.enhancedStatusCodes = true
            case "STARTTLS": capabilities.startTLS = true
            case "SIZE":
                capabilities.offersSize = true
                capabilities.size = words.count > 1 ? Int(words[1]) ?? 0 : 0
            default: break
            }
        }
    }

    private mutating func takeMail(_ reply: SMTPReply) -> [Action] {
        guard !open.isEmpty else { return [] }
        open[open.count - 1].mail = reply
        if reply.isPositive || capabilities.pipelining { return [] }
        return conclude()
    }

    private mutating func takeRecipient(_ reply: SMTPReply) -> [Action] {
        guard let last = open.indices.last else { return [] }
        open[last].recipients.append(reply)
        let isLast = open[last].recipients.count == open[last].message.recipients.count
        if capabilities.pipelining || !isLast || open[last].recipients.contains(where: \.isPositive)
        {
            return []
        }
        return [.write(reset())] + conclude()
    }

    /// DATA's reply: the content follows, or a lone dot when nobody wants it (RFC 2920 §3.1).
    private mutating func takeData(_ reply: SMTPReply) -> [Action] {
        guard let last = open.indices.last else { return [] }
        open[last].data = reply
        let wanted =
            open[last].mail?.isPositive == true
            && open[last].recipients.contains(where: \.isPositive)
        if reply.code == 354, wanted {
            open[last].contentSent = true
            expected.append(.finalDot)
            return [.writeContent(open[last].message.id), .write(Array(".\r\n".utf8))]
        }
        if reply.code == 354 {
            expected.append(.loneDot)
            return [.write(Array(".\r\n".utf8))] + conclude()
        }
        return [.write(reset())] + conclude()
    }

    private mutating func reset() -> [UInt8] {
        expected.append(.reset)
        return Array("RSET\r\n".utf8)
    }

    private mutating func takeFinalDot(_ reply: SMTPReply) -> [Action] {
        guard !open.isEmpty else { return [] }
        let transaction = open.removeFirst()
        return [finished(transaction, verdict(reply), .content, reply.description, reply)]
    }

    /// The last open transaction ended before its content.
    private mutating func conclude() -> [Action] {
        guard let transaction = open.popLast() else { return [] }
        let reply = transaction.data ?? transaction.mail ?? SMTPReply(451, "no reply")
        return [finished(transaction, verdict(reply), .data, reply.description, reply)]
    }

    private func verdict(_ reply: SMTPReply) -> Verdict {
        reply.isPositive ? .accepted : reply.isPermanent ? .refused : .deferred
    }

    // MARK: Ends

    /// The server closes the service (421, or a refusing banner).
    private mutating func closing(_ reply: SMTPReply, _ command: Expected) -> [Action] {
        var actions: [Action] = []
        if command == .finalDot {
            actions += takeFinalDot(reply)
        } else if open.count == 1, command == .mail || command == .data {
            open[0].mail = open[0].mail ?? reply
        }
        return actions + lost(reply.description)
    }

    private mutating func lost(_ text: String) -> [Action] {
        var actions: [Action] = []
        for transaction in open {
            let verdict: Verdict =
                transaction.contentSent ? .doubtful : transaction.mail == nil ? .untried : .deferred
            let stage: Stage = transaction.contentSent ? .content : .data
            actions.append(finished(transaction, verdict, stage, text, nil))
        }
        for message in waiting { actions.append(finished(message, .untried, .connect, text)) }
        open = []
        waiting = []
        expected = []
        isClosed = true
        deadline = nil
        return actions + [.close]
    }

    private func finished(
        _ message: Message, _ verdict: Verdict, _ stage: Stage, _ text: String
    ) -> Action {
        finished(Transaction(message: message), verdict, stage, text, nil)
    }

    /// A recipient refused by name keeps that verdict whatever becomes of the others.
    private func finished(
        _ transaction: Transaction, _ verdict: Verdict, _ stage: Stage, _ text: String,
        _ reply: SMTPReply?
    ) -> Action {
        var outcomes: [Outcome] = []
        for (index, recipient) in transaction.message.recipients.enumerated() {
            var outcome = Outcome(
                recipient: recipient, verdict: verdict, stage: stage, text: text, reply: reply)
            let own = index < transaction.recipients.count ? transaction.recipients[index] : nil
            if let mail = transaction.mail, !mail.isPositive {
                outcome = self.outcome(recipient, .mail, mail)
            } else if let own, !own.isPositive {
                outcome = self.outcome(recipient, .recipient, own)
            } else if outcome.verdict == .accepted, !transaction.contentSent {
                outcome.verdict = .deferred
            }
            outcomes.append(outcome)
        }
        return .finished(transaction.message.id, outcomes)
    }

    private func outcome(_ recipient: String, _ stage: Stage, _ reply: SMTPReply) -> Outcome {
        // 552 to RCPT means too many recipients, which passes (RFC 5321 §4.5.3.1.10).
        let isTransient = !reply.isPermanent || (stage == .recipient && reply.code == 552)
        return Outcome(
            recipient: recipient, verdict: isTransient ? .deferred : .refused, stage: stage,
            text: reply.description, reply: reply)
    }

    // MARK: Commands

    /// Adds whatever may be sent now and sets the deadline.
    private mutating func pump(_ now: Moment, _ actions: [Action]) -> [Action] {
        var actions = actions
        while isReady, !isClosed {
            let before = actions.count
            if capabilities.pipelining || expected.isEmpty { actions += nextCommand() }
            if actions.count == before { break }
        }
        guard let first = expected.first, !isClosed else {
            deadline = nil
            return actions
        }
        let limit: Duration =
            switch first {
            case .banner: Timeout.banner
            case .data: Timeout.dataStart
            case .finalDot, .loneDot: Timeout.finalDot
            case .quit: Timeout.quit
            default: Timeout.command
            }
        deadline = now.advanced(by: limit)
        return actions
    }

    private mutating func nextCommand() -> [Action] {
        if let last = open.last, !last.contentSent {
            return capabilities.pipelining ? [] : lockStepCommand(last)
        }
        if !capabilities.pipelining, !open.isEmpty { return [] }
        guard !waiting.isEmpty else {
            guard isQuitting, open.isEmpty, !expected.contains(.quit) else { return [] }
            expected.append(.quit)
            return [.write(Array("QUIT\r\n".utf8))]
        }
        guard open.count < 2 else { return [] }
        return begin(waiting.removeFirst())
    }

    private mutating func begin(_ message: Message) -> [Action] {
        var transaction = Transaction(message: message)
        let limit = capabilities.size
        if let size = message.size, limit > 0, size > limit {
            transaction.mail = SMTPReply(552, "5.3.4 the server takes at most \(limit) octets")
        } else if message.isEightBit, !capabilities.eightBitMIME {
            transaction.mail = SMTPReply(554, "5.6.3 the server does not take 8-bit text")
        }
        if let reply = transaction.mail {
            return [finished(transaction, .refused, .mail, reply.description, reply)]
        }
        open.append(transaction)
        var text = "MAIL FROM:<\(message.sender)>"
        if capabilities.offersSize, let size = message.size { text += " SIZE=\(size)" }
        if message.isEightBit { text += " BODY=8BITMIME" }
        text += "\r\n"
        expected.append(.mail)
        if capabilities.pipelining {
            for (index, recipient) in message.recipients.enumerated() {
                text += "RCPT TO:<\(recipient)>\r\n"
                expected.append(.recipient(index))
            }
            text += "DATA\r\n"
            expected.append(.data)
        }
        return [.write(Array(text.utf8))]
    }

    private mutating func lockStepCommand(_ transaction: Transaction) -> [Action] {
        let next = transaction.recipients.count
        if next < transaction.message.recipients.count {
            expected.append(.recipient(next))
            return [.write(Array("RCPT TO:<\(transaction.message.recipients[next])>\r\n".utf8))]
        }
        expected.append(.data)
        return [.write(Array("DATA\r\n".utf8))]
    }
}
