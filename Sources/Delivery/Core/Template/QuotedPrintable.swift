/// Quoted-printable (RFC 2045 §6.7) written in one pass, with the column carried from piece to piece so
/// that no line gets longer than 76 octets wherever a merge value ends.
///
/// A dot or hyphen that begins a line is written as an escape: so a part needs no dot-stuffing and no merge
/// value can look like a multipart delimiter.
enum QuotedPrintable {
    /// A line may have 76 octets; the last is kept for the `=` of a soft break.
    static let limit = 75

    /// Encodes static text as if it began a line. Its CRLFs are line ends; blanks at its end or before a line
    /// end are escaped, since anything may follow.
    static func encode(_ bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count + bytes.count / 8)
        var column = 0
        appendLines(bytes[...], column: &column, to: &out)
        return out
    }

    /// Octets before the first line end.
    static func firstLineLength(_ encoded: [UInt8]) -> Int {
        encoded.firstIndex(of: ASCII.carriageReturn) ?? encoded.count
    }

    /// Appends text in which CRLF, CR and LF all are line ends.
    @inline(__always)
    static func appendLines(
        _ bytes: ArraySlice<UInt8>, column: inout Int, to out: inout [UInt8]
    ) {
        var index = bytes.startIndex
        let end = bytes.endIndex
        while index < end {
            let byte = bytes[index]
            if byte == ASCII.carriageReturn || byte == ASCII.lineFeed {
                let pair =
                    byte == ASCII.carriageReturn && index + 1 < end
                    && bytes[index + 1] == ASCII.lineFeed
                appendLineEnd(column: &column, to: &out)
                index += pair ? 2 : 1
                continue
            }
            let beforeEnd =
                index + 1 == end || bytes[index + 1] == ASCII.carriageReturn
                || bytes[index + 1] == ASCII.lineFeed
            append(byte, endsRun: beforeEnd, column: &column, to: &out)
            index += 1
        }
    }

    @inline(__always)
    static func appendLineEnd(column: inout Int, to out: inout [UInt8]) {
        out.append(ASCII.carriageReturn)
        out.append(ASCII.lineFeed)
        column = 0
    }

    /// Appends one octet that is no line end.
    /// - Parameter endsRun: whether a line end may follow, so that a blank must be escaped.
    @inline(__always)
    static func append(
        _ byte: UInt8, endsRun: Bool, column: inout Int, to out: inout [UInt8]
    ) {
        var literal = byte > 0x20 && byte < 0x7F && byte != 0x3D
        if byte == ASCII.space || byte == 0x09 { literal = !endsRun }
        if (byte == ASCII.dot || byte == 0x2D) && (column == 0 || column == limit) {
            literal = false
        }
        let width = literal ? 1 : 3
        if column + width > limit {
            softBreak(column: &column, to: &out)
        }
        if literal {
            out.append(byte)
        } else {
            out.append(0x3D)
            out.append(ASCII.hexDigit(byte >> 4))
            out.append(ASCII.hexDigit(byte & 15))
        }
        column += width
    }

    @inline(__always)
    static func softBreak(column: inout Int, to out: inout [UInt8]) {
        out.append(0x3D)
        out.append(ASCII.carriageReturn)
        out.append(ASCII.lineFeed)
        column = 0
    }
}

/// Base64 in lines of at most 76 octets (RFC 2045 §6.8), written in one pass with up to two octets carried
/// from piece to piece.
struct Base64Lines {
    /// Below this a run is encoded anew each time: filling up, breaking the line and copying cost more.
    static let worthAligning = 96
    private static let alphabet: [UInt8] = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private var group: UInt32 = 0
    private(set) var carried = 0
    private(set) var column = 0

    /// Encodes a multiple of 3 octets as whole lines, without a line end after the last.
    static func encode(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var lines = Base64Lines()
        var out: [UInt8] = []
        for byte in bytes { lines.append(byte, to: &out) }
        return out
    }

    @inline(__always)
    mutating func append(_ byte: UInt8, to out: inout [UInt8]) {
        group = group << 8 | UInt32(byte)
        carried += 1
        if carried == 3 { flush(to: &out) }
    }

    /// Appends a run of which the middle has been encoded at compile time.
    mutating func append(
        _ run: TemplateProgram.Base64Run, of blob: [UInt8], to out: inout [UInt8]
    ) {
        guard run.aligned.count == 3 else {
            for index in run.raw { append(blob[index], to: &out) }
            return
        }
        let aligned = run.aligned[carried]
        let filled = run.raw.lowerBound + (3 - carried) % 3
        for index in run.raw.lowerBound..<filled { append(blob[index], to: &out) }
        breakLine(to: &out)
        out.append(contentsOf: blob[aligned])
        let whole = (run.raw.upperBound - filled) / 3 * 3
        let groups = whole / 3 * 4
        column = groups % 76 == 0 && groups > 0 ? 76 : groups % 76
        for index in (filled + whole)..<run.raw.upperBound { append(blob[index], to: &out) }
    }

    /// Writes the padding and a line end, and begins anew.
    mutating func finish(to out: inout [UInt8]) {
        if carried > 0 {
            let missing = 3 - carried
            group <<= UInt32(8 * missing)
            carried = 3
            flush(to: &out)
            for index in 0..<missing { out[out.count - 1 - index] = 0x3D }
        }
        self = Base64Lines()
    }

    private mutating func flush(to out: inout [UInt8]) {
        if column >= 76 { breakLine(to: &out) }
        for shift: UInt32 in [18, 12, 6, 0] {
            out.append(Base64Lines.alphabet[Int(group >> shift & 63)])
        }
        column += 4
        group = 0
        carried = 0
    }

    private mutating func breakLine(to out: inout [UInt8]) {
        if column == 0 { return }
        out.append(ASCII.carriageReturn)
        out.append(ASCII.lineFeed)
        column = 0
    }
}
