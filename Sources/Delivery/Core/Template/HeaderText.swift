/// Writes the text of header fields: folded at 78 octets (RFC 5322 §2.1.1), as encoded-words (RFC 2047) when
/// it is not plain ASCII. The text to write is the tail of the output, so that nothing else is allocated:
/// the written form is appended and the raw tail removed.
enum HeaderText {
    private static let lineLimit = 78
    /// RFC 2047 §2: an encoded-word has at most 75 octets, a line with one at most 76.
    private static let wordLimit = 75
    private static let wordFrame = 12

    /// Replaces the raw text `out[start...]` by the value of a text header: a space, then the text, folded.
    static func writeText(from start: Int, to out: inout [UInt8]) {
        trimTail(from: start, &out)
        let end = out.count
        guard end > start else { return }
        let column = self.column(before: start, in: out)
        if needsEncoding(out, start..<end) {
            encodedWords(start..<end, column: column, to: &out)
        } else {
            fold(start..<end, column: column, to: &out)
        }
        out.removeSubrange(start..<end)
    }

    /// Replaces the raw text `out[start...]` by a display name (RFC 5322 §3.2.5 phrase) with a space before.
    static func writePhrase(from start: Int, to out: inout [UInt8]) {
        trimTail(from: start, &out)
        let end = out.count
        guard end > start else { return }
        let column = self.column(before: start, in: out)
        let text = out[start..<end]
        let isPlain = text.allSatisfy { ASCII.isAtom($0) || $0 == ASCII.space }
        if needsEncoding(out, start..<end) || (!isPlain && end - start > 60) {
            encodedWords(start..<end, column: column, to: &out)
        } else if isPlain {
            fold(start..<end, column: column, to: &out)
        } else {
            if column + end - start + 3 > lineLimit { lineBreak(&out) }
            out.append(ASCII.space)
            out.append(0x22)
            for index in start..<end {
                if out[index] == 0x22 || out[index] == 0x5C { out.append(0x5C) }
                out.append(out[index])
            }
            out.append(0x22)
        }
        out.removeSubrange(start..<end)
    }

    /// Octets of the line that `out[start]` would go on.
    static func column(before start: Int, in out: [UInt8]) -> Int {
        var index = start
        while index > 0 && out[index - 1] != ASCII.lineFeed { index -= 1 }
        return start - index
    }

    static func lineBreak(_ out: inout [UInt8]) {
        out.append(ASCII.carriageReturn)
        out.append(ASCII.lineFeed)
    }

    private static func trimTail(from start: Int, _ out: inout [UInt8]) {
        while out.count > start, let last = out.last, ASCII.isWhite(last) { out.removeLast() }
        var first = start
        while first < out.count, ASCII.isWhite(out[first]) { first += 1 }
        if first > start { out.removeSubrange(start..<first) }
    }

    /// Text that is not ASCII, that a reader would take for an encoded-word, or that cannot be folded.
    private static func needsEncoding(_ out: [UInt8], _ range: Range<Int>) -> Bool {
        var word = 0
        var blanks = 0
        for index in range {
            let byte = out[index]
            if byte >= 0x7F || byte < 0x20 { return true }
            if byte == 0x3D, index + 1 < range.upperBound, out[index + 1] == 0x3F { return true }
            if byte == ASCII.space {
                blanks += 1
                word = 0
            } else {
                blanks = 0
                word += 1
            }
            if word > 900 || blanks > 60 { return true }
        }
        return false
    }

    /// Breaks before a run of spaces where the next word would not fit.
    private static func fold(_ range: Range<Int>, column: Int, to out: inout [UInt8]) {
        var column = column
        var index = range.lowerBound
        out.append(ASCII.space)
        column += 1
        var isFirst = true
        while index < range.upperBound {
            let start = index
            while index < range.upperBound, out[index] == ASCII.space { index += 1 }
            while index < range.upperBound, out[index] != ASCII.space { index += 1 }
            if !isFirst, column + index - start > lineLimit {
                lineBreak(&out)
                column = 0
            }
            for position in start..<index { out.append(out[position]) }
            column += index - start
            isFirst = false
        }
    }

    private static func encodedWords(_ range: Range<Int>, column: Int, to out: inout [UInt8]) {
        var escapes = 0
        for index in range where !isPlainInQ(out[index]) { escapes += 1 }
        // Q costs three octets for each escape, B four for every three.
        let usesQ = escapes * 6 < range.count * 2
        var column = column
        var index = range.lowerBound
        while index < range.upperBound {
            var room = min(wordLimit, wordLimit - column) - wordFrame
            if room < 16 && column > 1 {
                lineBreak(&out)
                column = 0
                room = wordLimit - wordFrame
            }
            let end = wordEnd(out, index..<range.upperBound, usesQ: usesQ, room: room)
            out.append(ASCII.space)
            appendWord(index..<end, usesQ: usesQ, to: &out)
            index = end
            // Every further word stands on a line of its own.
            column = wordLimit
        }
    }

    /// The end of the longest run of whole characters that fits.
    private static func wordEnd(
        _ out: [UInt8], _ range: Range<Int>, usesQ: Bool, room: Int
    ) -> Int {
        var index = range.lowerBound
        var cost = 0
        let octets = room / 4 * 3
        while index < range.upperBound {
            var next = index + 1
            while next < range.upperBound, out[next] & 0xC0 == 0x80 { next += 1 }
            if usesQ {
                for position in index..<next { cost += isPlainInQ(out[position]) ? 1 : 3 }
                if cost > room { break }
            } else if next - range.lowerBound > octets {
                break
            }
            index = next
        }
        return max(index, range.lowerBound + 1)
    }

    private static func appendWord(_ range: Range<Int>, usesQ: Bool, to out: inout [UInt8]) {
        out.append(contentsOf: usesQ ? "=?utf-8?q?".utf8 : "=?utf-8?b?".utf8)
        if usesQ {
            for index in range {
                let byte = out[index]
                if byte == ASCII.space {
                    out.append(0x5F)
                } else if isPlainInQ(byte) {
                    out.append(byte)
                } else {
                    out.append(0x3D)
                    out.append(ASCII.hexDigit(byte >> 4))
                    out.append(ASCII.hexDigit(byte & 15))
                }
            }
        } else {
            var lines = Base64Lines()
            for index in range { lines.append(out[index], to: &out) }
            lines.finish(to: &out)
        }
        out.append(0x3F)
        out.append(0x3D)
    }

    /// RFC 2047 §5 (3): what a Q word in a phrase may show as it is.
    private static func isPlainInQ(_ byte: UInt8) -> Bool {
        if ASCII.isAlphanumeric(byte) || byte == ASCII.space { return true }
        return byte == 0x21 || byte == 0x2A || byte == 0x2B || byte == 0x2D || byte == 0x2F
    }
}
