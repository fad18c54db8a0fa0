/// A template ready to be rendered any number of times, from any number of threads: an immutable value.
public struct CompiledTemplate: Sendable {
    /// SHA-256 of the template's source.
    public let digest: [UInt8]
    /// Faults that do not hinder rendering.
    public let warnings: [TemplateError]
    /// Octets of a message whose values are empty; for the SIZE estimate and buffers.
    public let baseSize: Int
    let program: TemplateProgram

    /// Octets that one value may have in the body of a message.
    public static let bodyValueLimit = 65_536
    /// Octets that one value may have in a header field.
    public static let headerValueLimit = 2_048

    /// Whether a message has octets above 127 and needs 8BITMIME (RFC 6152).
    public static func isEightBit(_ message: [UInt8]) -> Bool {
        // Without an early exit the compiler takes 32 octets at a time; with one it took a quarter of the
        // time that sending costs.
        var all: UInt8 = 0
        for octet in message { all |= octet }
        return all >= 0x80
    }

    /// Appends one complete message: lines end by CRLF, none is longer than 998 octets, and the last octets are
    /// CRLF, so that the final dot of DATA is `.CRLF`. The same arguments give the same octets.
    ///
    /// Cost: one pass; allocates nothing beyond `output`, which should be reserved once and reused.
    /// - Parameters:
    ///   - row: as many values as the template has fields; missing ones count as empty. Values are UTF-8.
    ///     NUL is refused everywhere; in header fields CR, LF and TAB become spaces and other control
    ///     characters are refused.
    ///   - token: what `TokenMint.mint` returned.
    ///   - dotStuffing: false for BDAT (RFC 3030), where dots are not doubled.
    /// - Throws: when a value does not fit; `output` is as it was.
    public func render(
        _ row: RowBatch.Row, token: [UInt8], into output: inout [UInt8], dotStuffing: Bool = true
    ) throws(RenderError) {
        let start = output.count
        guard !token.isEmpty, token.allSatisfy({ ASCII.isAlphanumeric($0) || $0 == 0x2D }) else {
            throw RenderError(field: "token", reason: "not made of letters and digits")
        }
        var renderer = Renderer(start: start, dotStuffing: dotStuffing)
        do throws(RenderError) {
            try renderer.run(program, row, token, &output)
        } catch {
            output.removeSubrange(start...)
            throw error
        }
    }
}

/// One run of a `TemplateProgram` over one row.
struct Renderer {
    private let start: Int
    private let dotStuffing: Bool
    private var column = 0
    private var base64 = Base64Lines()

    init(start: Int, dotStuffing: Bool) {
        self.start = start
        self.dotStuffing = dotStuffing
    }

    mutating func run(
        _ program: TemplateProgram, _ row: RowBatch.Row, _ token: [UInt8], _ out: inout [UInt8]
    ) throws(RenderError) {
        var index = 0
        while index < program.steps.count {
            switch program.steps[index] {
            case .verbatim(let plain, let stuffed):
                if dotStuffing, program.blob[plain.lowerBound] == ASCII.dot, isAtLineStart(out) {
                    out.append(ASCII.dot)
                }
                out.append(contentsOf: program.blob[dotStuffing ? stuffed : plain])
            case .quoted(let run): appendQuoted(run, program.blob, &out)
            case .base64(let run): base64.append(run, of: program.blob, to: &out)
            case .field(let number, let encoding):
                try appendField(program, program.fields[number], encoding, row, token, &out)
            case .section(let source, let inverted, let otherwise):
                if isEmpty(source, row) != inverted {
                    index = otherwise
                    continue
                }
            case .text(let number): try appendText(program, number, row, token, &out)
            case .addresses(let number): try appendAddresses(program, number, row, token, &out)
            case .token: out.append(contentsOf: token)
            case .address: try appendAddress(row, &out)
            case .endOfBase64: base64.finish(to: &out)
            case .endOfQuoted: if !isAtLineStart(out) { HeaderText.lineBreak(&out) }
            case .startOfPart: column = 0
            }
            index += 1
        }
    }

    private func isAtLineStart(_ out: [UInt8]) -> Bool {
        out.count == start || out[out.count - 1] == ASCII.lineFeed
    }

    private mutating func appendQuoted(
        _ run: TemplateProgram.QuotedRun, _ blob: [UInt8], _ out: inout [UInt8]
    ) {
        // A line that goes on after the run may need a soft break's `=` yet.
        let limit = run.hasBreak ? QuotedPrintable.limit + 1 : QuotedPrintable.limit
        if column > 0, column + run.first > limit {
            QuotedPrintable.softBreak(column: &column, to: &out)
        }
        out.append(contentsOf: blob[run.range])
        column = run.hasBreak ? run.last : column + run.last
    }

    // MARK: Values

    private func isEmpty(_ source: MergeSource, _ row: RowBatch.Row) -> Bool {
        guard case .value(let index) = source else { return false }
        return index >= row.values.count || row.values[index].isEmpty
    }

    /// The octets of a value, in two pieces because a link is made of base and token.
    private func value(
        _ program: TemplateProgram, _ field: MergeField, _ row: RowBatch.Row, _ token: [UInt8]
    ) -> (ArraySlice<UInt8>, ArraySlice<UInt8>) {
        switch field.source {
        case .value(let index):
            if isEmpty(field.source, row) { return (field.fallback[...], []) }
            return (row.values[index], [])
        case .address: return (row.address, [])
        case .mailing: return (program.mailing[...], [])
        case .unsubscribe: return (program.unsubscribeBase[...], token[...])
        }
    }

    private func check(
        _ bytes: ArraySlice<UInt8>, _ field: MergeField, limit: Int, inHeader: Bool
    ) throws(RenderError) {
        guard bytes.count <= limit else {
            throw RenderError(
                field: field.name, reason: "\(bytes.count) octets, at most \(limit) fit here")
        }
        var isASCII = true
        for byte in bytes {
            if byte >= 0x80 { isASCII = false }
            if byte == 0 { throw RenderError(field: field.name, reason: "has a NUL octet") }
            if inHeader, byte < 0x20 || byte == 0x7F, !ASCII.isWhite(byte) {
                throw RenderError(field: field.name, reason: "has a control character")
            }
        }
        if !isASCII, UTF8Check.firstFault(in: bytes) != nil {
            throw RenderError(field: field.name, reason: "is not UTF-8")
        }
    }

    private mutating func appendField(
        _ program: TemplateProgram, _ field: MergeField, _ encoding: TemplateProgram.FieldEncoding,
        _ row: RowBatch.Row, _ token: [UInt8], _ out: inout [UInt8]
    ) throws(RenderError) {
        let pieces = value(program, field, row, token)
        try check(pieces.0, field, limit: CompiledTemplate.bodyValueLimit, inHeader: false)
        switch encoding {
        case .quoted:
            appendQuotedValue(pieces.0, field.escape, &out)
            appendQuotedValue(pieces.1, field.escape, &out)
        case .base64:
            appendBase64Value(pieces.0, field.escape, &out)
            appendBase64Value(pieces.1, field.escape, &out)
        }
    }

    private mutating func appendQuotedValue(
        _ bytes: ArraySlice<UInt8>, _ escape: MergeField.Escape, _ out: inout [UInt8]
    ) {
        if escape == .none {
            return QuotedPrintable.appendLines(bytes, column: &column, to: &out)
        }
        var column = self.column
        FieldEscape.forEachOctet(of: bytes, escape) { byte, endsRun in
            if byte == ASCII.lineFeed {
                QuotedPrintable.appendLineEnd(column: &column, to: &out)
            } else if byte != ASCII.carriageReturn {
                QuotedPrintable.append(byte, endsRun: endsRun, column: &column, to: &out)
            }
        }
        self.column = column
    }

    private mutating func appendBase64Value(
        _ bytes: ArraySlice<UInt8>, _ escape: MergeField.Escape, _ out: inout [UInt8]
    ) {
        var lines = base64
        FieldEscape.forEachOctet(of: bytes, escape) { byte, _ in lines.append(byte, to: &out) }
        base64 = lines
    }

    private func appendAddress(
        _ row: RowBatch.Row, _ out: inout [UInt8]
    ) throws(RenderError) {
        do throws(MailboxError) {
            try Mailbox.scan(row.address)
        } catch {
            throw RenderError(field: "address", reason: error.description)
        }
        out.append(contentsOf: row.address)
    }

    // MARK: Header fields

    private func appendText(
        _ program: TemplateProgram, _ number: Int, _ row: RowBatch.Row, _ token: [UInt8],
        _ out: inout [UInt8]
    ) throws(RenderError) {
        let header = program.textHeaders[number]
        out.append(contentsOf: header.name)
        out.append(0x3A)
        let begin = out.count
        try appendPieces(header.pieces, program, row, token, &out)
        HeaderText.writeText(from: begin, to: &out)
        HeaderText.lineBreak(&out)
    }

    private func appendAddresses(
        _ program: TemplateProgram, _ number: Int, _ row: RowBatch.Row, _ token: [UInt8],
        _ out: inout [UInt8]
    ) throws(RenderError) {
        let header = program.addressHeaders[number]
        out.append(contentsOf: header.name)
        out.append(0x3A)
        for (position, mailbox) in header.mailboxes.enumerated() {
            if position > 0 { out.append(0x2C) }
            let begin = out.count
            try appendPieces(mailbox.phrase, program, row, token, &out)
            HeaderText.writePhrase(from: begin, to: &out)
            let hasPhrase = out.count > begin
            try appendMailbox(mailbox.address, bracketed: hasPhrase, program, row, token, &out)
        }
        HeaderText.lineBreak(&out)
    }

    private func appendMailbox(
        _ pieces: [TemplateProgram.HeaderPiece], bracketed: Bool, _ program: TemplateProgram,
        _ row: RowBatch.Row, _ token: [UInt8], _ out: inout [UInt8]
    ) throws(RenderError) {
        let begin = out.count
        try appendPieces(pieces, program, row, token, &out)
        let length = out.count - begin
        do throws(MailboxError) {
            try Mailbox.scan(out[begin...])
        } catch {
            let field = pieces.lazy.compactMap { piece -> String? in
                guard case .field(let number) = piece else { return nil }
                return program.fields[number].name
            }.first
            throw RenderError(field: field ?? "address", reason: error.description)
        }
        let breaks = HeaderText.column(before: begin, in: out) + length + 3 > 78
        if breaks { out.insert(contentsOf: [0x0D, 0x0A], at: begin) }
        let gap = begin + (breaks ? 2 : 0)
        out.insert(ASCII.space, at: gap)
        if bracketed {
            out.insert(0x3C, at: gap + 1)
            out.append(0x3E)
        }
    }

    /// Appends the raw text of a header field: control characters that break lines become spaces.
    private func appendPieces(
        _ pieces: [TemplateProgram.HeaderPiece], _ program: TemplateProgram, _ row: RowBatch.Row,
        _ token: [UInt8], _ out: inout [UInt8]
    ) throws(RenderError) {
        var index = 0
        while index < pieces.count {
            switch pieces[index] {
            case .text(let bytes): out.append(contentsOf: bytes)
            case .field(let number):
                let field = program.fields[number]
                let pieces = value(program, field, row, token)
                try check(
                    pieces.0, field, limit: CompiledTemplate.headerValueLimit, inHeader: true)
                for piece in [pieces.0, pieces.1] {
                    FieldEscape.forEachOctet(of: piece, field.escape) { byte, _ in
                        out.append(byte < 0x20 ? ASCII.space : byte)
                    }
                }
            case .section(let source, let inverted, let otherwise):
                if isEmpty(source, row) != inverted {
                    index = otherwise
                    continue
                }
            }
            index += 1
        }
    }
}

/// Escapes of merge values, octet by octet.
enum FieldEscape {
    /// Calls `body` with every octet of the escaped value; each CR, LF or CRLF becomes CR LF. The second argument
    /// tells whether a line end or the value's end follows.
    @inline(__always)
    static func forEachOctet(
        of bytes: ArraySlice<UInt8>, _ escape: MergeField.Escape, _ body: (UInt8, Bool) -> Void
    ) {
        var previous: UInt8 = 0
        let last = bytes.endIndex - 1
        for index in bytes.indices {
            let byte = bytes[index]
            if escape == .url {
                percent(byte, body)
            } else if byte == ASCII.lineFeed || byte == ASCII.carriageReturn {
                if byte == ASCII.carriageReturn || previous != ASCII.carriageReturn {
                    body(ASCII.carriageReturn, false)
                    body(ASCII.lineFeed, false)
                }
            } else if escape == .html, let entity = entity(byte) {
                for octet in entity.utf8 { body(octet, false) }
            } else {
                let endsRun = index == last || bytes[index + 1] == 0x0D || bytes[index + 1] == 0x0A
                body(byte, endsRun)
            }
            previous = byte
        }
    }

    /// RFC 3986 §2.3: all but unreserved characters.
    @inline(__always)
    private static func percent(_ byte: UInt8, _ body: (UInt8, Bool) -> Void) {
        if ASCII.isAlphanumeric(byte) || byte == 0x2D || byte == 0x2E || byte == 0x5F
            || byte == 0x7E
        {
            return body(byte, false)
        }
        body(0x25, false)
        body(ASCII.hexDigit(byte >> 4), false)
        body(ASCII.hexDigit(byte & 15), false)
    }

    @inline(__always)
    private static func entity(_ byte: UInt8) -> StaticEntity? {
        switch byte {
        case 0x26: StaticEntity("&amp;")
        case 0x3C: StaticEntity("&lt;")
        case 0x3E: StaticEntity("&gt;")
        case 0x22: StaticEntity("&quot;")
        case 0x27: StaticEntity("&#39;")
        default: nil
        }
    }

    /// A short ASCII text that lives in the string's own words, so that looking at it allocates nothing.
    private struct StaticEntity {
        let utf8: String.UTF8View
        init(_ text: String) { utf8 = text.utf8 }
    }
}
