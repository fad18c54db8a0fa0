/// Follows quotes, parentheses and comments through a zone file, octet by octet.
struct DelimiterScan {
    private var line = 1
    private var opened = 0
    private var quoted: Int?
    private var inComment = false
    private var escaped = false
    private var times = TimeFields()
    private var start: [UInt8] = []
    /// Octets of the record's text, comments and repeated blanks not counted.
    private var length = 0
    private var wasBlank = true
    /// What libldns reads of one record; it drops the rest without a word.
    private static let longestText = 65_535
    private(set) var problem: (line: Int, text: String)?

    mutating func take(_ octet: UInt8) {
        noteStart(octet)
        defer { if problem == nil, let text = times.problem { problem = (line, text) } }
        if octet == 0x0A {
            // Here and not at the end, because the line is counted on.
            times.endLine(isRecord: opened == 0)
            if opened == 0 { length = 0 }
            if let text = times.problem { problem = (line, text) }
            inComment = false
            escaped = false
            if let start = quoted {
                problem = (start, "this quote is not closed on its line: add a \"")
            }
            line += 1
            return
        }
        measure(octet)
        if escaped || inComment {
            escaped = false
            return
        }
        if quoted == nil { times.take(octet) }
        switch octet {
        case 0: problem = (line, "a NUL octet: a zone file is text")
        case 0x5C: escaped = true
        case 0x22: quoted = quoted == nil ? line : nil
        case 0x3B where quoted == nil: inComment = true
        case 0x28 where quoted == nil:
            if opened != 0 { problem = (line, "'(' within '(': close the one of line \(opened)") }
            opened = line
        case 0x29 where quoted == nil:
            if opened == 0 { problem = (line, "')' without '('") }
            opened = 0
        default: break
        }
    }

    private mutating func measure(_ octet: UInt8) {
        guard !inComment else { return }
        let isBlank = quoted == nil && (octet == 0x20 || octet == 0x09)
        if !(isBlank && wasBlank) { length += 1 }
        wasBlank = isBlank
        guard length > DelimiterScan.longestText, problem == nil else { return }
        problem = (line, "the record takes more than \(DelimiterScan.longestText) octets of text")
    }

    /// A mark that editors put before the first line and that would become part of its first word.
    private mutating func noteStart(_ octet: UInt8) {
        guard start.count < 3 else { return }
        start.append(octet)
        if start == [0xEF, 0xBB, 0xBF] {
            problem = (1, "the file begins with a byte order mark (BOM): save it without one")
        } else if start == [0xFE, 0xFF] || start == [0xFF, 0xFE] {
            problem = (1, "the file is UTF-16 text: save it as ASCII or UTF-8")
        }
    }

    /// What is still open at the end of the file.
    mutating func finish() -> (line: Int, text: String)? {
        times.endLine(isRecord: true)
        if let text = times.problem { return (line, text) }
        if let quoted { return (quoted, "this quote is never closed: add a \"") }
        return opened > 0 ? (opened, "this '(' is never closed: add a ')'") : nil
    }
}
