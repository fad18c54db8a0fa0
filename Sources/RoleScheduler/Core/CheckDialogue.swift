/// The octets of one check: what to say, and whether the answer is good. Pure: a shell connects, moves octets and
/// watches the clock.
public struct CheckDialogue: Sendable {
    public enum Step: Hashable, Sendable {
        case wait
        case say([UInt8])
        /// Say this and hang up: the machine is good.
        case good([UInt8])
        /// What is wrong, in a few words.
        case bad(String)
    }

    private enum Phase { case greeting, hello, offer, answer }

    private let kind: CheckRule.Kind
    /// The name this side gives, and the Host of HTTP.
    private let name: String
    private var phase = Phase.greeting
    private var received: [UInt8] = []
    private static let longest = 16_384

    public init(_ kind: CheckRule.Kind, name: String) {
        self.kind = kind
        self.name = name
    }

    /// The connection stands.
    public mutating func connected() -> Step {
        switch kind {
        case .tcp: return .good([])
        case .smtp, .startTLS: return .wait
        case .http(let path):
            phase = .answer
            return .say(
                Array(
                    ("GET \(path) HTTP/1.1\r\nHost: \(name)\r\nUser-Agent: smurf-check\r\n"
                        + "Connection: close\r\n\r\n").utf8))
        case .dns:
            phase = .answer
            return .say([0, 17, 0x5A, 0x5A, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1])
        }
    }

    /// - Parameter bytes: what came, in pieces of any size; any octets.
    public mutating func heard(_ bytes: some Sequence<UInt8>) -> Step {
        received += bytes
        if received.count > Self.longest { return .bad("an endless answer") }
        switch kind {
        case .tcp: return .good([])
        case .smtp, .startTLS: return smtp()
        case .http: return http()
        case .dns: return dns()
        }
    }

    /// The other side has hung up.
    public func ended() -> Step { .bad("hung up without an answer") }

    // MARK: SMTP

    private mutating func smtp() -> Step {
        while let reply = takeReply() {
            guard !reply.isEmpty else { return .bad("speaks no SMTP") }
            let code = String(decoding: reply[0].prefix(3), as: UTF8.self)
            let text = Self.shown(reply[0])
            switch phase {
            case .greeting:
                guard code == "220" else { return .bad("greets by '\(text)'") }
                phase = .hello
                return .say(Array("EHLO \(name)\r\n".utf8))
            case .hello:
                guard code == "250" else { return .bad("answers EHLO by '\(text)'") }
                guard kind == .startTLS else { return .good(Array("QUIT\r\n".utf8)) }
                guard reply.contains(where: { isKeyword($0, "STARTTLS") }) else {
                    return .bad("offers no STARTTLS")
                }
                phase = .offer
                return .say(Array("STARTTLS\r\n".utf8))
            case .offer, .answer:
                return code == "220" ? .good([]) : .bad("answers STARTTLS by '\(text)'")
            }
        }
        return .wait
    }

    /// The beginning of a line, fit for a terminal and the history, whatever octets it has.
    private static func shown(_ line: [UInt8]) -> String {
        String(
            decoding: line.prefix(60).map { (0x20...0x7E).contains($0) ? $0 : 0x3F },
            as: UTF8.self)
    }

    /// The lines of the next whole reply (RFC 5321 §4.2.1); empty when it is none.
    private mutating func takeReply() -> [[UInt8]]? {
        var lines: [[UInt8]] = []
        var start = 0
        while let end = received[start...].firstIndex(of: 0x0A) {
            var line = Array(received[start..<end])
            if line.last == 0x0D { line.removeLast() }
            start = end + 1
            guard line.count >= 3, line.prefix(3).allSatisfy({ (0x30...0x39).contains($0) }) else {
                received.removeAll()
                return []
            }
            lines.append(line)
            if line.count == 3 || line[3] != 0x2D {
                received.removeFirst(start)
                return lines
            }
        }
        return nil
    }

    private func isKeyword(_ line: [UInt8], _ word: String) -> Bool {
        let text = String(decoding: line.dropFirst(4), as: UTF8.self).uppercased()
        return text == word || text.hasPrefix(word + " ")
    }

    // MARK: HTTP and DNS

    private func http() -> Step {
        guard let end = received.firstIndex(of: 0x0A) else { return .wait }
        let line = String(decoding: received[..<end], as: UTF8.self)
        let words = line.split(whereSeparator: \.isWhitespace)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            return .bad("speaks no HTTP")
        }
        return (100..<400).contains(status) ? .good([]) : .bad("answers by status \(status)")
    }

    private func dns() -> Step {
        guard received.count >= 14 else { return .wait }
        let isAnswer =
            received[2] == 0x5A && received[3] == 0x5A && received[4] & 0x80 != 0
        return isAnswer ? .good([]) : .bad("speaks no DNS")
    }
}
