/// What a template becomes: a blob of encoded octets and a list of steps. Pure data; `Renderer` runs it.
struct TemplateProgram: Sendable {
    enum Step: Sendable {
        /// Octets as they are. `stuffed` is the same text with dots doubled after each CRLF inside it.
        case verbatim(plain: Range<Int>, stuffed: Range<Int>)
        /// Quoted-printable text, encoded as if it began a line.
        case quoted(QuotedRun)
        /// Text of a base64 part.
        case base64(Base64Run)
        case field(Int, FieldEncoding)
        /// Goes on at `otherwise` when the section is not shown.
        case section(MergeSource, inverted: Bool, otherwise: Int)
        /// A header field of text (RFC 5322 §2.2.1).
        case text(Int)
        /// A header field of addresses (RFC 5322 §3.4).
        case addresses(Int)
        /// The recipient's token, as it is.
        case token
        /// The recipient's mailbox, as it is.
        case address
        case endOfBase64
        /// Makes sure that quoted-printable text at the end of the message ends its line.
        case endOfQuoted
        case startOfPart
    }

    enum FieldEncoding: Sendable { case quoted, base64 }

    struct QuotedRun: Sendable {
        var range: Range<Int>
        /// Octets of its first line, a soft break's `=` included.
        var first: Int
        /// Octets after its last line end.
        var last: Int
        var hasBreak: Bool
    }

    struct Base64Run: Sendable {
        /// The decoded text.
        var raw: Range<Int>
        /// For 0, 1 and 2 octets carried over from before: what is left after they are filled up to 3, as
        /// whole lines of 76. Nil when the text is too short to gain by it.
        var aligned: [Range<Int>]
    }

    /// A piece of a header field's text.
    enum HeaderPiece: Sendable {
        case text([UInt8])
        case field(Int)
        case section(MergeSource, inverted: Bool, otherwise: Int)
    }

    struct HeaderMailbox: Sendable {
        var phrase: [HeaderPiece]
        var address: [HeaderPiece]
    }

    struct TextHeader: Sendable {
        var name: [UInt8]
        var pieces: [HeaderPiece]
    }

    struct AddressHeader: Sendable {
        var name: [UInt8]
        var mailboxes: [HeaderMailbox]
    }

    var blob: [UInt8] = []
    var steps: [Step] = []
    var fields: [MergeField] = []
    var textHeaders: [TextHeader] = []
    var addressHeaders: [AddressHeader] = []
    var unsubscribeBase: [UInt8] = []
    var mailing: [UInt8] = []
}

/// Builds a `TemplateProgram` from the front to the back.
struct TemplateProgramBuilder {
    private(set) var program = TemplateProgram()
    private var pending: [UInt8] = []
    private var openSections: [Int] = []

    init(identity: MailingIdentity) {
        program.unsubscribeBase = Array(identity.unsubscribeBase.utf8)
        program.mailing = Array(identity.name.utf8)
    }

    mutating func verbatim(_ bytes: some Sequence<UInt8>) { pending.append(contentsOf: bytes) }

    mutating func verbatim(_ text: String) { pending.append(contentsOf: text.utf8) }

    mutating func step(_ step: TemplateProgram.Step) {
        flush()
        program.steps.append(step)
    }

    mutating func finish() -> TemplateProgram {
        flush()
        return program
    }

    /// Adds a text header; folded and encoded when it is rendered.
    mutating func textHeader(_ name: String, _ pieces: [TemplateProgram.HeaderPiece]) {
        program.textHeaders.append(.init(name: Array(name.utf8), pieces: pieces))
        step(.text(program.textHeaders.count - 1))
    }

    mutating func addressHeader(_ name: String, _ mailboxes: [TemplateProgram.HeaderMailbox]) {
        program.addressHeaders.append(.init(name: Array(name.utf8), mailboxes: mailboxes))
        step(.addresses(program.addressHeaders.count - 1))
    }

    mutating func headerPieces(_ pieces: [MergePiece]) -> [TemplateProgram.HeaderPiece] {
        var out: [TemplateProgram.HeaderPiece] = []
        var open: [Int] = []
        for piece in pieces {
            switch piece {
            case .text(let text): out.append(.text(text.bytes))
            case .field(let field): out.append(.field(number(of: field)))
            case .open(let source, let inverted):
                open.append(out.count)
                out.append(.section(source, inverted: inverted, otherwise: out.count))
            case .close:
                guard let start = open.popLast() else { continue }
                if case .section(let source, let inverted, _) = out[start] {
                    out[start] = .section(source, inverted: inverted, otherwise: out.count)
                }
            }
        }
        return out
    }

    /// Adds the text of a body part with merge fields.
    mutating func body(_ pieces: [MergePiece], encoding: TemplateProgram.FieldEncoding) {
        step(.startOfPart)
        for piece in pieces {
            switch piece {
            case .text(let text): bodyText(text.bytes, encoding)
            case .field(let field): step(.field(number(of: field), encoding))
            case .open(let source, let inverted):
                step(.section(source, inverted: inverted, otherwise: 0))
                openSections.append(program.steps.count - 1)
            case .close: closeSection()
            }
        }
        if encoding == .base64 { step(.endOfBase64) }
    }

    private mutating func closeSection() {
        flush()
        guard let start = openSections.popLast() else { return }
        if case .section(let source, let inverted, _) = program.steps[start] {
            program.steps[start] = .section(
                source, inverted: inverted, otherwise: program.steps.count)
        }
    }

    private mutating func number(of field: MergeField) -> Int {
        if let known = program.fields.firstIndex(of: field) { return known }
        program.fields.append(field)
        return program.fields.count - 1
    }

    private mutating func bodyText(_ bytes: [UInt8], _ encoding: TemplateProgram.FieldEncoding) {
        switch encoding {
        case .quoted:
            let encoded = QuotedPrintable.encode(bytes)
            let first = QuotedPrintable.firstLineLength(encoded)
            let last = encoded.count - (encoded.lastIndex(of: ASCII.lineFeed).map { $0 + 1 } ?? 0)
            let run = TemplateProgram.QuotedRun(
                range: store(encoded), first: first, last: last,
                hasBreak: encoded.contains(ASCII.lineFeed))
            step(.quoted(run))
        case .base64:
            let raw = store(bytes)
            var aligned: [Range<Int>] = []
            if bytes.count >= Base64Lines.worthAligning {
                for carried in 0..<3 {
                    let skipped = (3 - carried) % 3
                    let whole = (bytes.count - skipped) / 3 * 3
                    aligned.append(store(Base64Lines.encode(bytes[skipped..<(skipped + whole)])))
                }
            }
            step(.base64(.init(raw: raw, aligned: aligned)))
        }
    }

    private mutating func store(_ bytes: [UInt8]) -> Range<Int> {
        let start = program.blob.count
        program.blob.append(contentsOf: bytes)
        return start..<program.blob.count
    }

    private mutating func flush() {
        if pending.isEmpty { return }
        let plain = store(pending)
        let stuffed = TemplateProgramBuilder.stuffedInside(pending)
        let range = stuffed.count == pending.count ? plain : store(stuffed)
        pending.removeAll(keepingCapacity: true)
        program.steps.append(.verbatim(plain: plain, stuffed: range))
    }

    /// Doubles every dot after a CRLF; whether the first octet begins a line is known at rendering only.
    private static func stuffedInside(_ bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var previous: UInt8 = 0
        for byte in bytes {
            if byte == ASCII.dot && previous == ASCII.lineFeed { out.append(byte) }
            out.append(byte)
            previous = byte
        }
        return out
    }
}
