import Glibc

/// A message as the sink got it: its envelope and its content without dot-stuffing. In count-only mode
/// the content is empty and only `size` is told.
public struct SinkMessage: Sendable {
    /// Empty for the null sender.
    public var sender: String
    public var recipients: [String]
    public var content: [UInt8]
    /// Octets of the content on the wire.
    public var size: Int
}

/// The server side of one connection of the sink: octets in, replies and messages out. It differs from
/// the farm's own SMTP server in that it looks at content only where lines begin, so that it costs less
/// than the sender it measures, and shares no code with that which it checks. PIPELINING (RFC 2920),
/// CHUNKING (RFC 3030), 8BITMIME and SIZE are offered.
struct SinkSession {
    /// No command line is longer; RFC 5321 §4.5.3.1.4 asks for 512.
    static let longestLine = 4096

    private enum State { case command, content, chunk(left: Int, last: Bool), closed }

    /// What is to be sent back.
    var replies: [UInt8] = []
    /// Messages that ended in the last call.
    var messages: [SinkMessage] = []
    var isClosed: Bool { if case .closed = state { true } else { false } }
    private let keepsContent: Bool
    private let choosesReply: (String) -> String?
    private var state = State.command
    /// The next octet of the content begins a line.
    private var atLineStart = true
    private var sender: String?
    private var recipients: [String] = []
    private var content: [UInt8] = []
    private var size = 0

    /// - Parameters:
    ///   - keepsContent: false = count octets only.
    ///   - choosesReply: the reply that refuses a recipient; nil accepts it.
    init(keepsContent: Bool, choosesReply: @escaping (String) -> String?) {
        self.keepsContent = keepsContent
        self.choosesReply = choosesReply
        say("220 sink.example ESMTP verifying receiver")
    }

    /// - Parameter bytes: what was left of the last call, followed by what came since.
    /// - Returns: octets used; the caller keeps the rest, at most `longestLine`.
    mutating func receive(_ bytes: UnsafeRawBufferPointer) -> Int {
        var at = 0
        while at < bytes.count {
            let before = at
            switch state {
            case .command: unsafe command(bytes, &at)
            case .content: unsafe text(bytes, &at)
            case .chunk(let left, let last):
                let count = min(left, bytes.count - at)
                unsafe take(bytes, at..<(at + count))
                at += count
                state = .chunk(left: left - count, last: last)
                if count == left { endChunk(last) }
            case .closed: return bytes.count
            }
            if at == before { break }
        }
        return at
    }

    // MARK: Content

    /// Looks for the line that is a dot; everything before it is taken.
    private mutating func text(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) {
        guard let base = bytes.baseAddress else { return }
        let start = at
        var index = at
        while index < bytes.count {
            if atLineStart, unsafe bytes[index] == 0x2E {
                let left = bytes.count - index
                if left >= 3, unsafe bytes[index + 1] == 0x0D, unsafe bytes[index + 2] == 0x0A {
                    unsafe take(bytes, start..<index)
                    at = index + 3
                    return accept()
                }
                // Not decided before the next two octets are here.
                if left < 3, left < 2 || (unsafe bytes[index + 1]) == 0x0D { break }
                if keepsContent {
                    // The dot was doubled by the client: leave one out (RFC 5321 §4.5.2).
                    unsafe take(bytes, start..<index)
                    at = index + 1
                    size += 1
                    atLineStart = false
                    return
                }
            }
            // Safe: index < bytes.count.
            guard let end = unsafe memchr(base + index, 0x0A, bytes.count - index) else {
                atLineStart = false
                index = bytes.count
                break
            }
            index = unsafe UnsafeRawPointer(end) - base + 1
            atLineStart = true
        }
        unsafe take(bytes, start..<index)
        at = index
    }

    private mutating func take(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
        size += range.count
        if keepsContent { unsafe content.append(contentsOf: bytes[range]) }
    }

    private mutating func endChunk(_ last: Bool) {
        if last { return accept() }
        state = .command
        say("250 2.0.0 chunk taken")
    }

    private mutating func accept() {
        messages.append(
            SinkMessage(
                sender: sender ?? "", recipients: recipients, content: content, size: size))
        state = .command
        reset()
        say("250 2.0.0 taken")
    }

    private mutating func reset() {
        sender = nil
        recipients = []
        content = []
        size = 0
    }

    // MARK: Commands

    private mutating func command(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) {
        guard let base = bytes.baseAddress else { return }
        // Safe: at < bytes.count.
        guard let end = unsafe memchr(base + at, 0x0A, bytes.count - at) else {
            if bytes.count - at >= SinkSession.longestLine {
                say("500 5.5.2 line too long")
                state = .closed
            }
            return
        }
        let next = unsafe UnsafeRawPointer(end) - base + 1
        let line = unsafe String(decoding: bytes[at..<next], as: UTF8.self)
        at = next
        obey(line.split(whereSeparator: \.isNewline).first.map(String.init) ?? "")
    }

    private mutating func obey(_ line: String) {
        let words = line.split(separator: " ", maxSplits: 1)
        let argument = words.count > 1 ? String(words[1]) : ""
        switch words.first?.uppercased() ?? "" {
        case "EHLO":
            for line in ["sink.example", "PIPELINING", "CHUNKING", "8BITMIME", "SIZE 52428800"] {
                say("250-\(line)")
            }
            say("250 ENHANCEDSTATUSCODES")
        case "HELO": say("250 sink.example")
        case "MAIL": mail(argument)
        case "RCPT": recipient(argument)
        case "DATA":
            guard !recipients.isEmpty else { return say("503 5.5.1 no recipient") }
            say("354 go on")
            state = .content
            atLineStart = true
        case "BDAT": chunk(argument)
        case "RSET":
            reset()
            say("250 2.0.0 forgotten")
        case "NOOP": say("250 2.0.0 so be it")
        case "VRFY": say("252 2.5.2 try it")
        case "QUIT":
            say("221 2.0.0 bye")
            state = .closed
        default: say("500 5.5.1 unknown command")
        }
    }

    private mutating func mail(_ argument: String) {
        guard sender == nil else { return say("503 5.5.1 a sender was named already") }
        guard let path = SinkSession.path(argument, after: "FROM:") else {
            return say("501 5.5.4 write MAIL FROM:<address>")
        }
        sender = path
        say("250 2.1.0 sender ok")
    }

    private mutating func recipient(_ argument: String) {
        guard sender != nil else { return say("503 5.5.1 MAIL first") }
        guard let path = SinkSession.path(argument, after: "TO:"), !path.isEmpty else {
            return say("501 5.5.4 write RCPT TO:<address>")
        }
        if let refusal = choosesReply(path) { return say(refusal) }
        recipients.append(path)
        say("250 2.1.5 recipient ok")
    }

    private mutating func chunk(_ argument: String) {
        let words = argument.split(separator: " ")
        let isLast = words.count == 2 && words[1].uppercased() == "LAST"
        guard let first = words.first, let length = Int(first), (0...52_428_800).contains(length),
            words.count == 1 || isLast
        else {
            // Where the next command begins is unknown now (RFC 3030 §2).
            say("501 5.5.4 write BDAT octets [LAST]")
            state = .closed
            return
        }
        guard !recipients.isEmpty else {
            say("503 5.5.1 no recipient")
            state = .closed
            return
        }
        state = .chunk(left: length, last: isLast)
        if length == 0 { endChunk(isLast) }
    }

    /// The address between `<` and `>`; quotes may hold either.
    private static func path(_ argument: String, after word: String) -> String? {
        guard argument.prefix(word.count).uppercased() == word else { return nil }
        let rest = argument.dropFirst(word.count).drop { $0 == " " }
        guard rest.first == "<" else { return nil }
        var isQuoted = false
        var isEscaped = false
        for index in rest.indices.dropFirst() {
            let letter = rest[index]
            if isEscaped {
                isEscaped = false
            } else if letter == "\\" {
                isEscaped = true
            } else if letter == "\"" {
                isQuoted.toggle()
            } else if letter == ">" && !isQuoted {
                return String(rest[rest.index(after: rest.startIndex)..<index])
            }
        }
        return nil
    }

    private mutating func say(_ line: String) {
        replies += line.utf8
        replies += [0x0D, 0x0A]
    }
}
