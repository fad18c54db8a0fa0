import Crypto

/// Compiles an RFC 5322 message with merge fields. MIME-aware: fields are looked for in decoded text, and
/// every part with fields is encoded anew so that any value fits. See docs/decisions/0003.
///
/// Fields: `{{name}}`, `{{name|default}}`, `{{url:name}}` (percent-encoded), `{{{name}}}` (HTML not escaped;
/// refused in header fields), `{{#name}}…{{/name}}` (shown when not empty), `{{^name}}…{{/name}}` (when
/// empty). Built in: `address`, `unsubscribe`, `mailing`.
public enum MessageTemplate {
    /// - Parameters:
    ///   - source: the template file.
    ///   - fields: names of the row's values, in order.
    ///   - identity: what all messages of the mailing have in common.
    /// - Throws: all faults found, each with its place in the file.
    public static func compile(
        source: [UInt8], fields: [String], identity: MailingIdentity
    ) throws(TemplateRefusal) -> CompiledTemplate {
        var compiler = TemplateCompiler(source: source, fields: fields, identity: identity)
        let program = compiler.compile()
        let errors = compiler.faults.errors.sorted { ($0.line, $0.column) < ($1.line, $1.column) }
        guard errors.isEmpty else { throw TemplateRefusal(errors: errors) }
        return CompiledTemplate(
            digest: Array(SHA256.hash(data: source)), warnings: compiler.faults.warnings,
            baseSize: program.blob.count, program: program)
    }
}

/// One compilation: walks the MIME structure and feeds the program builder.
struct TemplateCompiler {
    var faults: TemplateFaults
    private let text: TemplateText
    private let identity: MailingIdentity
    private let syntax: MergeSyntax
    private var builder: TemplateProgramBuilder

    private static let replaced = [
        "Message-ID", "Date", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "Feedback-ID",
    ]
    private static let removed = ["Bcc", "Return-Path", "Received", "DKIM-Signature"]
    private static let addressNames = ["From", "To", "Cc", "Reply-To", "Sender"]

    init(source: [UInt8], fields: [String], identity: MailingIdentity) {
        faults = TemplateFaults(source: source)
        text = TemplateText.normalised(source)
        self.identity = identity
        syntax = MergeSyntax(fields: fields, hasUnsubscribe: !identity.unsubscribeBase.isEmpty)
        builder = TemplateProgramBuilder(identity: identity)
    }

    mutating func compile() -> TemplateProgram {
        if text.bytes.contains(0) { faults.error(at: 0, "the template has a NUL octet") }
        if UTF8Check.firstFault(in: text.bytes[...]) != nil {
            faults.error(at: 0, "the template is not UTF-8: save it in UTF-8 or encode its parts")
        }
        generatedFields()
        let (fields, body) = self.fields(in: 0..<text.count)
        messageFields(fields)
        part(fields, body: body..<text.count, depth: 0, isMessage: true)
        builder.step(.endOfQuoted)
        return builder.finish()
    }

    private mutating func fields(in range: Range<Int>) -> ([MIMEField], Int) {
        var bad: [Int] = []
        let (fields, body) = MIMEStructure.fields(of: text, in: range) { bad.append($0) }
        for index in bad {
            faults.error(
                at: text.origin(index),
                "this is no header field: write Name: value, and an empty line before the text")
        }
        for field in fields {
            guard let index = MergeSyntax.firstField(Array(field.name.utf8)) else { continue }
            faults.error(
                at: field.origin + index, "the name of a header field cannot have merge fields")
        }
        return (fields, body)
    }

    // MARK: Header fields

    private mutating func generatedFields() {
        builder.verbatim("Message-ID: <")
        builder.step(.token)
        builder.verbatim("@\(identity.bounceDomain)>\r\nDate: \(identity.dateText)\r\n")
        if !identity.unsubscribeBase.isEmpty {
            builder.verbatim("List-Unsubscribe: <\(identity.unsubscribeBase)")
            builder.step(.token)
            builder.verbatim(">\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
        }
        if !identity.listID.isEmpty {
            let id =
                identity.listID.contains(".")
                ? identity.listID : "\(identity.listID).\(identity.bounceDomain)"
            builder.verbatim("List-Id: <\(id)>\r\n")
        }
        if !identity.feedbackSender.isEmpty {
            let name = String(
                identity.name.unicodeScalars.map {
                    $0.isASCII && ASCII.isAlphanumeric(UInt8($0.value)) ? Character($0) : "-"
                }.prefix(64))
            builder.verbatim(
                "Feedback-ID: \(name):\(identity.listID):farm:\(identity.feedbackSender)\r\n")
        }
        for (what, value) in [
            ("bounce domain", identity.bounceDomain),
            ("unsubscribe base", identity.unsubscribeBase),
            ("list id", identity.listID), ("feedback sender", identity.feedbackSender),
        ]
        where !value.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x3C && $0 != 0x3E })
            || value.utf8.count > 700
        {
            faults.error(at: 0, "the mailing's \(what) has white space or is not ASCII")
        }
        checkUnsubscribeBase()
    }

    private mutating func checkUnsubscribeBase() {
        guard !identity.unsubscribeBase.isEmpty else { return }
        if let fault = MailingIdentity.fault(inUnsubscribeBase: identity.unsubscribeBase) {
            faults.error(at: 0, "the mailing's unsubscribe base \(fault)")
        } else if !ASCII.hasPrefixIgnoringCase(
            Array(identity.unsubscribeBase.utf8)[...], "https://")
        {
            faults.warning(
                at: 0, "one-click unsubscribe needs https:// (RFC 8058): receivers ignore http://")
        }
    }

    private mutating func messageFields(_ fields: [MIMEField]) {
        let from = fields.filter { $0.isNamed("From") }
        if !identity.from.isEmpty {
            let value = TemplateText(bytes: Array(identity.from.utf8), origin: 0)
            addresses(MIMEField(name: "From", value: value, origin: 0), verbatimIfPlain: false)
        } else if from.count != 1 {
            faults.error(
                at: from.last?.origin ?? 0, "a message has exactly one From, this one \(from.count)"
            )
        }
        if !fields.contains(where: { $0.isNamed("Subject") }) {
            faults.warning(at: 0, "there is no Subject")
        }
        if !fields.contains(where: { $0.isNamed("To") }) {
            builder.verbatim("To: ")
            builder.step(.address)
            builder.verbatim("\r\n")
        }
        if !fields.contains(where: { $0.isNamed("MIME-Version") }) {
            builder.verbatim("MIME-Version: 1.0\r\n")
        }
        for field in fields { messageField(field) }
    }

    private mutating func messageField(_ field: MIMEField) {
        func isIn(_ names: [String]) -> Bool { names.contains { field.isNamed($0) } }
        if ASCII.hasPrefixIgnoringCase(Array(field.name.utf8)[...], "content-") { return }
        if isIn(TemplateCompiler.replaced) { return }
        if isIn(TemplateCompiler.removed) {
            return faults.warning(
                at: field.origin, "\(field.name) is left out: the farm or the relay sets it")
        }
        if field.isNamed("From"), !identity.from.isEmpty { return }
        if isIn(TemplateCompiler.addressNames) { return addresses(field, verbatimIfPlain: true) }
        if isPlain(field) { return verbatim(field) }
        guard let decoded = TransferEncoding.decodeEncodedWords(field.unfolded) else {
            return faults.error(
                at: field.origin, "an encoded-word is not in UTF-8: write it in UTF-8")
        }
        builder.textHeader(field.name, headerPieces(decoded))
    }

    /// Neither fields nor anything to encode: goes out as written.
    private func isPlain(_ field: MIMEField) -> Bool {
        let decoded = TransferEncoding.decodeEncodedWords(field.unfolded)
        if MergeSyntax.hasFields(decoded ?? field.value) { return false }
        var length = field.name.utf8.count + 1
        for byte in field.value.bytes {
            length = byte == ASCII.lineFeed ? 0 : length + 1
            if byte >= 0x7F || length > 990 { return false }
        }
        return true
    }

    private mutating func verbatim(_ field: MIMEField) {
        builder.verbatim(field.name + ":")
        builder.verbatim(field.value.bytes)
        builder.verbatim("\r\n")
    }

    private mutating func headerPieces(_ text: TemplateText) -> [TemplateProgram.HeaderPiece] {
        let merge = syntax.pieces(of: text, escape: .none, &faults)
        for index in text.bytes.indices.dropLast(2)
        where text.bytes[index..<(index + 3)].allSatisfy({ $0 == 0x7B }) {
            faults.error(at: text.origin(index), "{{{ is not for header fields: write {{")
        }
        return builder.headerPieces(merge)
    }

    /// A header field of mailboxes; lists are split at commas outside quotes, brackets and fields.
    private mutating func addresses(_ field: MIMEField, verbatimIfPlain: Bool) {
        if verbatimIfPlain, isPlain(field) { return verbatim(field) }
        var mailboxes: [TemplateProgram.HeaderMailbox] = []
        for item in TemplateCompiler.split(field.unfolded) {
            mailboxes.append(mailbox(item.trimmed, field))
        }
        builder.addressHeader(field.name, mailboxes)
    }

    private mutating func mailbox(
        _ item: TemplateText, _ field: MIMEField
    ) -> TemplateProgram.HeaderMailbox {
        guard item.bytes.last == 0x3E, let bracket = item.bytes.lastIndex(of: 0x3C) else {
            if item.isEmpty || item.bytes.contains(0x28) {
                faults.error(at: field.origin, "write the mailbox as Name <local@domain>")
            }
            return .init(phrase: [], address: headerPieces(item))
        }
        let raw = item[0..<bracket].trimmed
        let phrase = TransferEncoding.decodeEncodedWords(TemplateCompiler.unquoted(raw))
        if phrase == nil { faults.error(at: field.origin, "an encoded-word is not in UTF-8") }
        return .init(
            phrase: headerPieces(phrase ?? raw),
            address: headerPieces(item[(bracket + 1)..<(item.count - 1)].trimmed))
    }

    private static func split(_ text: TemplateText) -> [TemplateText] {
        var items: [TemplateText] = []
        var start = 0
        var quoted = false
        var braces = 0
        for (index, byte) in text.bytes.enumerated() {
            switch byte {
            case 0x22: quoted.toggle()
            case 0x7B: braces += 1
            case 0x7D: braces = max(0, braces - 1)
            case 0x2C where !quoted && braces == 0:
                items.append(text[start..<index])
                start = index + 1
            default: break
            }
        }
        return items + [text[start..<text.count]]
    }

    private static func unquoted(_ text: TemplateText) -> TemplateText {
        guard text.count >= 2, text.bytes.first == 0x22, text.bytes.last == 0x22 else {
            return text
        }
        var out = TemplateText()
        var index = 1
        while index < text.count - 1 {
            if text.bytes[index] == 0x5C, index + 2 < text.count { index += 1 }
            out.append(text.bytes[index], from: text.origins[index])
            index += 1
        }
        return out
    }

    // MARK: Body parts

    /// Writes the Content-* fields of a part, the empty line and its body.
    private mutating func part(
        _ fields: [MIMEField], body: Range<Int>, depth: Int, isMessage: Bool
    ) {
        let type =
            fields.first { $0.isNamed("Content-Type") }
            .map { MIMEContentType($0.unfolded.bytes[...]) } ?? MIMEContentType()
        let shown = fields.filter {
            !isMessage || ASCII.hasPrefixIgnoringCase(Array($0.name.utf8)[...], "content-")
        }
        for field in shown where MergeSyntax.hasFields(field.value) {
            faults.error(at: field.origin, "\(field.name) cannot have merge fields")
        }
        if type.type == "multipart", depth < 16, let boundary = type.parameter("boundary"),
            let found = MIMEStructure.parts(of: text.bytes, in: body, boundary: boundary)
        {
            if !found.closed {
                faults.error(
                    at: text.origin(body.lowerBound), "the line --\(boundary)-- is missing")
            }
            return multipart(shown, found.parts, boundary, depth)
        }
        if type.type == "multipart" {
            faults.error(
                at: text.origin(body.lowerBound),
                "the multipart has no line made of -- and its boundary")
        }
        leaf(shown, type, body)
    }

    private mutating func multipart(
        _ fields: [MIMEField], _ parts: [Range<Int>], _ boundary: String, _ depth: Int
    ) {
        for field in fields where !field.isNamed("Content-Transfer-Encoding") { verbatim(field) }
        builder.verbatim("\r\n")
        for range in parts {
            builder.verbatim("--\(boundary)\r\n")
            let (fields, body) = self.fields(in: range)
            part(fields, body: body..<range.upperBound, depth: depth + 1, isMessage: false)
            builder.verbatim("\r\n")
        }
        builder.verbatim("--\(boundary)--\r\n")
    }

    private mutating func leaf(_ fields: [MIMEField], _ type: MIMEContentType, _ body: Range<Int>) {
        let encodingField = fields.first { $0.isNamed("Content-Transfer-Encoding") }
        guard let encoding = TransferEncoding((encodingField?.unfolded.bytes ?? [])[...]) else {
            return faults.error(
                at: encodingField?.origin ?? 0,
                "unknown Content-Transfer-Encoding: write quoted-printable or base64")
        }
        let raw = text[body]
        let decoded = encoding.decode(raw)
        if type.type == "message", let index = MergeSyntax.firstField(decoded.bytes) {
            return faults.error(
                at: decoded.origin(index),
                "merge fields are not filled in inside \(type.type)/\(type.subtype): move them out")
        }
        let hasFields = type.type == "text" && MergeSyntax.hasFields(decoded)
        if !hasFields, encoding != .eightBit || TemplateCompiler.isSevenBit(raw.bytes),
            TemplateCompiler.isSevenBit(raw.bytes)
        {
            for field in fields { verbatim(field) }
            builder.verbatim("\r\n")
            builder.verbatim(raw.bytes)
            return
        }
        let charset = type.parameter("charset")?.lowercased() ?? "us-ascii"
        if type.type != "text" || (hasFields && charset != "utf-8" && charset != "us-ascii") {
            return faults.error(
                at: text.origin(body.lowerBound),
                "a part with merge fields or 8-bit text must be text in UTF-8, not \(charset)")
        }
        leafFields(fields, type, charset, encoding)
        let escape: MergeField.Escape = type.subtype == "html" ? .html : .none
        let pieces = syntax.pieces(of: decoded, escape: escape, &faults)
        builder.body(pieces, encoding: encoding == .base64 ? .base64 : .quoted)
    }

    private mutating func leafFields(
        _ fields: [MIMEField], _ type: MIMEContentType, _ charset: String,
        _ encoding: TransferEncoding
    ) {
        for field in fields
        where !field.isNamed("Content-Transfer-Encoding") && !field.isNamed("Content-Type") {
            verbatim(field)
        }
        var type = type
        if charset == "us-ascii" {
            type.parameters.removeAll { $0.name == "charset" }
            type.parameters.insert(("charset", "utf-8"), at: 0)
        }
        builder.verbatim("Content-Type: \(type.text)\r\nContent-Transfer-Encoding: ")
        builder.verbatim(encoding == .base64 ? "base64\r\n\r\n" : "quoted-printable\r\n\r\n")
    }

    /// ASCII in lines of at most 998 octets.
    private static func isSevenBit(_ bytes: [UInt8]) -> Bool {
        var length = 0
        for byte in bytes {
            length = byte == ASCII.lineFeed ? 0 : length + 1
            if byte >= 0x80 || length > 999 { return false }
        }
        return true
    }
}
