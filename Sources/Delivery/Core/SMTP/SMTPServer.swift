/// The server side of one SMTP connection (RFC 5321) as a state machine: octets in, actions out. Senders,
/// recipients and messages are put to the shell, which answers when it likes (`answer`); meanwhile the
/// machine keeps what the client sends and wants no more (`wantsInput`).
public struct SMTPServer: Sendable {
    public struct Configuration: Hashable, Sendable {
        public var hostName: String
        /// Octets of one message.
        public var maxSize = 10 << 20
        public var maxRecipients = 1000
        /// After that many refusals the connection is closed by 421.
        public var maxErrors = 20
        /// Octets of a command line with its CRLF: 512 and allowances for parameters.
        public var maxCommandLine = 1024
        /// Octets of a text line with its CRLF (RFC 5321 §4.5.3.1.6).
        public var maxTextLine = 1000

        public init(hostName: String) { self.hostName = hostName }
    }

    /// One accepted transaction.
    public struct Message: Hashable, Sendable {
        /// nil = the null sender.
        public var sender: Mailbox?
        public var recipients: [Mailbox]
        /// Without dot-stuffing; empty, or lines that end by CRLF.
        public var content: [UInt8]
        /// BODY=8BITMIME was said.
        public var isEightBit: Bool

        public init(sender: Mailbox?, recipients: [Mailbox], content: [UInt8], isEightBit: Bool) {
            self.sender = sender
            self.recipients = recipients
            self.content = content
            self.isEightBit = isEightBit
        }
    }

    public enum Action: Hashable, Sendable {
        case write([UInt8])
        /// Answer by `answer`: 250, 4yz or 5yz.
        case checkSender(Mailbox?, declaredSize: Int?)
        /// Answer by `answer`.
        case checkRecipient(Mailbox)
        /// The content is complete: answer by `answer` once it is safe.
        case accept(Message)
        case close
    }

    private enum Input: Sendable { case notGreeted, commands, data, chunk(left: Int, isLast: Bool) }
    private enum Question: Sendable { case sender(Mailbox?, Bool), recipient(Mailbox), message }

    /// The connection is over.
    public private(set) var isClosed = false
    /// The name the client gave by EHLO or HELO.
    public private(set) var clientName: String?
    /// False while an answer is awaited: stop reading from the socket.
    public var wantsInput: Bool { question == nil && !isClosed }
    /// A transaction is under way.
    public var isInTransaction: Bool { hasSender || question != nil }

    /// Text of a message is what comes next, not commands.
    public var isInContent: Bool {
        switch input {
        case .notGreeted, .commands: false
        case .data, .chunk: true
        }
    }

    private let configuration: Configuration
    private var input = Input.notGreeted
    private var buffer: [UInt8] = []
    private var question: Question?
    private var hasSender = false
    private var sender: Mailbox?
    private var isEightBit = false
    private var recipients: [Mailbox] = []
    private var scanner: SMTPContentScanner?
    private var errors = 0
    private var isDraining = false
    private var isExtended = false

    public init(_ configuration: Configuration) { self.configuration = configuration }

    /// Greets the client.
    public mutating func start() -> [Action] {
        if isClosed { return [] }
        if isDraining { return bye(SMTPReply(421, "4.3.2 \(configuration.hostName) is closing")) }
        input = .commands
        return [reply(220, "\(configuration.hostName) ESMTP")]
    }

    /// Takes what the client sent; pieces may end anywhere. While an answer is awaited it is kept.
    public mutating func receive(_ bytes: some Sequence<UInt8>) -> [Action] {
        if isClosed { return [] }
        if case .notGreeted = input {
            return bye(SMTPReply(554, "5.5.1 talked before the greeting"))
        }
        buffer.append(contentsOf: bytes)
        return run([])
    }

    /// Answers the last question. Ignored when there is none.
    public mutating func answer(_ said: SMTPReply) -> [Action] {
        guard let asked = question, !isClosed else { return [] }
        question = nil
        if said.code == 421 { return bye(said) }
        if !said.isPositive { errors += 1 }
        switch asked {
        case .sender(let mailbox, let eightBit):
            if said.isPositive { (hasSender, sender, isEightBit) = (true, mailbox, eightBit) }
        case .recipient(let mailbox):
            if said.isPositive { recipients.append(mailbox) }
        case .message: reset()
        }
        return run([.write(said.octets)])
    }

    /// Closes politely: at once when no transaction is under way, else after it.
    public mutating func drain() -> [Action] {
        isDraining = true
        if case .notGreeted = input { return [] }
        return isClosed || isInTransaction ? [] : closeForDrain()
    }

    private mutating func closeForDrain() -> [Action] {
        bye(SMTPReply(421, "4.3.2 \(configuration.hostName) is closing: try another"))
    }

    private func reply(_ code: Int, _ lines: String...) -> Action {
        .write(SMTPReply(code: code, lines: lines).octets)
    }

    private mutating func refuse(_ code: Int, _ text: String) -> [Action] {
        errors += 1
        return [reply(code, text)]
    }

    private mutating func bye(_ last: SMTPReply) -> [Action] {
        isClosed = true
        buffer = []
        question = nil
        return [.write(last.octets), .close]
    }

    private mutating func reset() {
        (hasSender, sender, isEightBit, recipients, scanner) = (false, nil, false, [], nil)
    }

    // MARK: Input

    private mutating func run(_ actions: [Action]) -> [Action] {
        var actions = actions
        var used = 0
        while !isClosed, question == nil {
            if errors >= configuration.maxErrors {
                actions += bye(SMTPReply(421, "4.7.0 too many errors"))
            } else if isDraining, !isInTransaction {
                actions += closeForDrain()
            } else if let step = step(from: used) {
                used += step.used
                actions += step.actions
            } else {
                break
            }
        }
        if used > 0, !buffer.isEmpty { buffer.removeFirst(min(used, buffer.count)) }
        return actions
    }

    /// Takes the next command or piece of content; nil when more is needed.
    private mutating func step(from start: Int) -> (used: Int, actions: [Action])? {
        let bytes = buffer[start...]
        switch input {
        case .notGreeted: return nil
        case .data:
            guard !bytes.isEmpty, let (count, ended) = scanner?.take(bytes) else { return nil }
            return (count, ended ? contentEnd() : [])
        case .chunk(let left, let isLast):
            guard left == 0 || !bytes.isEmpty else { return nil }
            let count = min(left, bytes.count)
            scanner?.takeChunk(bytes.prefix(count))
            input = .chunk(left: left - count, isLast: isLast)
            return (count, left == count ? chunkEnd(isLast) : [])
        case .commands:
            guard let end = bytes.firstIndex(of: ASCII.lineFeed) else {
                guard bytes.count > configuration.maxCommandLine else { return nil }
                return (bytes.count, bye(SMTPReply(500, "5.5.2 line too long")))
            }
            var line = bytes[..<end]
            let used = end - start + 1
            guard line.last == ASCII.carriageReturn else {
                return (used, refuse(500, "5.5.2 end commands by CRLF"))
            }
            line.removeLast()
            guard used <= configuration.maxCommandLine else {
                return (used, refuse(500, "5.5.2 line too long"))
            }
            guard line.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
                return (used, refuse(500, "5.5.2 commands are printable ASCII"))
            }
            return (used, command(line))
        }
    }

    private mutating func contentEnd() -> [Action] {
        input = .commands
        scanner?.finish()
        guard let done = scanner else { return refuse(503, "5.5.1 no message") }
        scanner = nil
        if let fault = done.fault {
            reset()
            errors += 1
            return [.write(fault.octets)]
        }
        question = .message
        return [
            .accept(
                Message(
                    sender: sender, recipients: recipients, content: done.content,
                    isEightBit: isEightBit))
        ]
    }

    private mutating func chunkEnd(_ isLast: Bool) -> [Action] {
        input = .commands
        guard hasSender, !recipients.isEmpty else {
            scanner = nil
            return refuse(503, "5.5.1 BDAT needs MAIL and RCPT first")
        }
        if isLast { return contentEnd() }
        if let fault = scanner?.fault {
            errors += 1
            return [.write(fault.octets)]
        }
        return [reply(250, "2.0.0 chunk taken")]
    }

    // MARK: Commands

    private mutating func command(_ line: ArraySlice<UInt8>) -> [Action] {
        let verb = ASCII.text(line.prefix { $0 != ASCII.space }).uppercased()
        let rest = ASCII.trimmed(line.dropFirst(verb.utf8.count))
        switch verb {
        case "EHLO", "HELO": return hello(rest, isExtended: verb == "EHLO")
        case "MAIL": return mail(rest)
        case "RCPT": return recipient(rest)
        case "DATA": return data(rest)
        case "BDAT": return chunk(rest)
        case "RSET":
            reset()
            return [reply(250, "2.0.0 reset")]
        case "NOOP": return [reply(250, "2.0.0 fine")]
        case "VRFY": return [reply(252, "2.5.0 send some mail and see")]
        case "QUIT": return bye(SMTPReply(221, "2.0.0 bye"))
        case "EXPN", "HELP", "STARTTLS", "AUTH": return refuse(502, "5.5.1 \(verb) is not offered")
        default: return refuse(500, "5.5.2 unknown command")
        }
    }

    private mutating func hello(_ name: ArraySlice<UInt8>, isExtended extended: Bool) -> [Action] {
        guard !name.isEmpty, !name.contains(ASCII.space) else {
            return refuse(501, "5.5.4 say your host's name")
        }
        reset()
        clientName = ASCII.text(name)
        isExtended = extended
        if !extended { return [reply(250, configuration.hostName)] }
        return [
            reply(
                250, configuration.hostName, "PIPELINING", "SIZE \(configuration.maxSize)",
                "8BITMIME", "CHUNKING", "ENHANCEDSTATUSCODES")
        ]
    }

    private mutating func mail(_ rest: ArraySlice<UInt8>) -> [Action] {
        guard clientName != nil else { return refuse(503, "5.5.1 say EHLO first") }
        guard !hasSender, scanner == nil else { return refuse(503, "5.5.1 a transaction is open") }
        guard ASCII.hasPrefixIgnoringCase(rest, "FROM:") else {
            return refuse(501, "5.5.4 write MAIL FROM:<local@domain>")
        }
        do throws(MailboxError) {
            let (path, parameters) = try SMTPPath.parse(rest.dropFirst(5))
            guard path != .postmaster else { throw MailboxError(.noAtSign) }
            var mailbox: Mailbox?
            if case .mailbox(let given) = path { mailbox = given }
            return mail(mailbox, parameters)
        } catch {
            return refuse(553, "5.1.7 \(error)")
        }
    }

    private mutating func mail(_ mailbox: Mailbox?, _ parameters: ArraySlice<UInt8>) -> [Action] {
        var size: Int?
        var eightBit = false
        for word in parameters.split(separator: ASCII.space) {
            let text = ASCII.text(word).uppercased()
            if text.hasPrefix("SIZE="), let number = Int(text.dropFirst(5)), number >= 0 {
                size = number
            } else if text == "BODY=8BITMIME" {
                eightBit = true
            } else if text != "BODY=7BIT" {
                return refuse(555, "5.5.4 unknown parameter of MAIL")
            }
        }
        if let size, size > configuration.maxSize {
            return refuse(552, "5.3.4 the message has more than \(configuration.maxSize) octets")
        }
        question = .sender(mailbox, eightBit)
        return [.checkSender(mailbox, declaredSize: size)]
    }

    private mutating func recipient(_ rest: ArraySlice<UInt8>) -> [Action] {
        guard hasSender, scanner == nil else { return refuse(503, "5.5.1 say MAIL first") }
        guard recipients.count < configuration.maxRecipients else {
            return refuse(452, "4.5.3 too many recipients")
        }
        guard ASCII.hasPrefixIgnoringCase(rest, "TO:") else {
            return refuse(501, "5.5.4 write RCPT TO:<local@domain>")
        }
        do throws(MailboxError) {
            let (path, parameters) = try SMTPPath.parse(rest.dropFirst(3))
            guard parameters.allSatisfy({ $0 == ASCII.space }) else {
                return refuse(555, "5.5.4 unknown parameter of RCPT")
            }
            let mailbox: Mailbox
            switch path {
            case .null: throw MailboxError(.empty)
            case .postmaster: mailbox = try Mailbox("postmaster@\(configuration.hostName)")
            case .mailbox(let given): mailbox = given
            }
            question = .recipient(mailbox)
            return [.checkRecipient(mailbox)]
        } catch {
            return refuse(553, "5.1.3 \(error)")
        }
    }

    private mutating func data(_ rest: ArraySlice<UInt8>) -> [Action] {
        guard hasSender, scanner == nil else { return refuse(503, "5.5.1 say MAIL first") }
        guard !recipients.isEmpty else { return refuse(554, "5.5.1 no valid recipients") }
        guard rest.isEmpty else { return refuse(501, "5.5.4 DATA has no parameter") }
        scanner = newScanner()
        input = .data
        return [reply(354, "end by CRLF.CRLF")]
    }

    /// RFC 3030 §2. The chunk is read in any case: its octets are no commands.
    private mutating func chunk(_ rest: ArraySlice<UInt8>) -> [Action] {
        let words = ASCII.text(rest).uppercased().split(separator: " ")
        guard let first = words.first, let count = Int(first), count >= 0, words.count <= 2,
            words.count == 1 || words[1] == "LAST"
        else { return bye(SMTPReply(501, "5.5.4 write BDAT octets [LAST]")) }
        if scanner == nil { scanner = newScanner() }
        input = .chunk(left: count, isLast: words.count == 2)
        return []
    }

    private func newScanner() -> SMTPContentScanner {
        SMTPContentScanner(maxSize: configuration.maxSize, maxLine: configuration.maxTextLine)
    }
}
