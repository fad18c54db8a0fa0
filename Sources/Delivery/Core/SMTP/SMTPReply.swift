/// A reply of an SMTP server (RFC 5321 §4.2): a code and one or more lines of text.
public struct SMTPReply: Hashable, Sendable, CustomStringConvertible {
    /// 200…599.
    public var code: Int
    /// Texts without code; an enhanced status code (RFC 3463), if any, stands in front of each.
    public var lines: [String]

    public init(_ code: Int, _ lines: String...) {
        self.code = code
        self.lines = lines.isEmpty ? [""] : lines
    }

    public init(code: Int, lines: [String]) {
        self.code = code
        self.lines = lines.isEmpty ? [""] : lines
    }

    public var isPositive: Bool { code / 100 == 2 }
    public var isTransient: Bool { code / 100 == 4 }
    public var isPermanent: Bool { code / 100 == 5 }

    /// "5.1.1" at the front of the first line, or nil.
    public var enhancedStatus: String? {
        let word = lines[0].prefix { $0 != " " }
        return StatusCode.isWellFormed(Array(word.utf8)[...]) ? String(word) : nil
    }

    /// Code and text on one line, at most 512 octets.
    public var description: String {
        String(
            decoding: Array("\(code) \(lines.joined(separator: " "))".utf8.prefix(512)),
            as: UTF8.self)
    }

    /// The octets to send, one line per text. Control characters become spaces.
    public var octets: [UInt8] {
        var out: [UInt8] = []
        for (index, line) in lines.enumerated() {
            out.append(contentsOf: String(code).utf8)
            out.append(index == lines.count - 1 ? ASCII.space : 0x2D)
            for byte in line.utf8 { out.append(byte < 0x20 || byte == 0x7F ? ASCII.space : byte) }
            HeaderText.lineBreak(&out)
        }
        return out
    }
}

/// An enhanced status code (RFC 3463 §2): `class.subject.detail`.
enum StatusCode {
    static func isWellFormed(_ bytes: ArraySlice<UInt8>) -> Bool {
        let parts = bytes.split(separator: 0x2E, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].count == 1, let first = parts[0].first,
            first == 0x32 || first == 0x34 || first == 0x35
        else { return false }
        return parts.allSatisfy { (1...3).contains($0.count) && $0.allSatisfy(ASCII.isDigit) }
    }
}

/// Reads replies piece by piece. A reply may have 100 lines of 2,048 octets; more is garbage.
struct SMTPReplyReader: Sendable {
    private var line: [UInt8] = []
    private var code = 0
    private var lines: [String] = []

    enum Step { case needMore, reply(SMTPReply), garbage }

    mutating func take(_ byte: UInt8) -> Step {
        guard byte == ASCII.lineFeed else {
            line.append(byte)
            return line.count > 2048 ? .garbage : .needMore
        }
        if line.last == ASCII.carriageReturn { line.removeLast() }
        defer { line.removeAll(keepingCapacity: true) }
        guard line.count >= 3, line[..<3].allSatisfy(ASCII.isDigit), line[0] >= 0x32,
            line[0] <= 0x35,
            line.count == 3 || line[3] == ASCII.space || line[3] == 0x2D
        else { return .garbage }
        let number = line[..<3].reduce(0) { $0 * 10 + Int($1 - 0x30) }
        guard lines.isEmpty || number == code, lines.count < 100 else { return .garbage }
        code = number
        lines.append(ASCII.text(line.dropFirst(4)))
        if line.count > 3, line[3] == 0x2D { return .needMore }
        defer { lines = [] }
        return .reply(SMTPReply(code: code, lines: lines))
    }
}
