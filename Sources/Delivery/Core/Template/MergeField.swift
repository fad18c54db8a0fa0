/// Where the value of a merge field comes from.
enum MergeSource: Hashable, Sendable {
    /// A value of the row, by position.
    case value(Int)
    /// The recipient's mailbox.
    case address
    /// The one-click unsubscribe link: base and token.
    case unsubscribe
    /// The mailing's name.
    case mailing
}

/// One place of a template that is filled per message: `{{name}}`, `{{name|default}}`, `{{url:name}}`,
/// `{{{name}}}`. It says nothing of the transfer encoding around it.
struct MergeField: Hashable, Sendable {
    enum Escape: Hashable, Sendable { case none, html, url }

    var name: String
    var source: MergeSource
    var escape: Escape
    /// Taken instead of an empty value; escaped like one.
    var fallback: [UInt8]

    /// Letters, digits, `_`, `-` and `.`, not empty.
    static func isName(_ bytes: ArraySlice<UInt8>) -> Bool {
        !bytes.isEmpty
            && bytes.allSatisfy {
                ASCII.isAlphanumeric($0) || $0 == 0x5F || $0 == 0x2D || $0 == 0x2E
            }
    }
}

/// A template text cut at its merge fields.
enum MergePiece {
    case text(TemplateText)
    case field(MergeField)
    /// Up to the matching `close`: shown when the value is not empty, or, `inverted`, when it is.
    case open(MergeSource, inverted: Bool)
    case close
}

/// Finds merge fields in decoded text. It has no opinion on where fields are allowed.
struct MergeSyntax {
    /// Names of the row's values.
    let fields: [String]
    let hasUnsubscribe: Bool

    static func hasFields(_ text: TemplateText) -> Bool { firstField(text.bytes) != nil }

    /// Where the first `{{` begins.
    static func firstField(_ bytes: [UInt8]) -> Int? {
        bytes.indices.dropLast().first { bytes[$0] == 0x7B && bytes[$0 + 1] == 0x7B }
    }

    /// Names that every template has, whatever the columns are.
    static let builtIn = ["address", "unsubscribe", "mailing"]

    /// - Parameter escape: how plain fields are escaped here.
    /// - Returns: the pieces in order, sections balanced; faults are reported and left out.
    func pieces(
        of text: TemplateText, escape: MergeField.Escape, _ faults: inout TemplateFaults
    ) -> [MergePiece] {
        var pieces: [MergePiece] = []
        var open: [(name: String, at: Int)] = []
        var start = 0
        var index = 0
        let bytes = text.bytes
        while index + 1 < bytes.count {
            guard bytes[index] == 0x7B, bytes[index + 1] == 0x7B else {
                index += 1
                continue
            }
            if start < index { pieces.append(.text(text[start..<index])) }
            let raw = index + 2 < bytes.count && bytes[index + 2] == 0x7B
            guard let tag = closing(bytes, from: index + (raw ? 3 : 2), raw: raw) else {
                faults.error(at: text.origin(index), "this {{ is never closed: add }}")
                return pieces
            }
            let inner = text[(index + (raw ? 3 : 2))..<tag.inner]
            append(inner, raw: raw, escape, at: text.origin(index), &pieces, &open, &faults)
            index = tag.end
            start = index
        }
        if start < bytes.count { pieces.append(.text(text[start..<bytes.count])) }
        for section in open.reversed() {
            faults.error(at: section.at, "this section is never closed: add {{/\(section.name)}}")
            pieces.append(.close)
        }
        return pieces
    }

    private func closing(
        _ bytes: [UInt8], from start: Int, raw: Bool
    ) -> (inner: Int, end: Int)? {
        let width = raw ? 3 : 2
        var index = start
        while index + width <= bytes.count {
            if bytes[index..<(index + width)].allSatisfy({ $0 == 0x7D }) {
                return (index, index + width)
            }
            index += 1
        }
        return nil
    }

    private func append(
        _ inner: TemplateText, raw: Bool, _ escape: MergeField.Escape, at offset: Int,
        _ pieces: inout [MergePiece], _ open: inout [(name: String, at: Int)],
        _ faults: inout TemplateFaults
    ) {
        var content = inner.bytes[...]
        let sign = raw ? nil : ASCII.trimmed(content).first
        guard let sign, sign == 0x23 || sign == 0x5E || sign == 0x2F else {
            return appendField(content, raw: raw, escape, at: offset, &pieces, &faults)
        }
        content = ASCII.trimmed(ASCII.trimmed(content).dropFirst())
        let name = ASCII.text(content)
        if sign == 0x2F {
            guard let last = open.last, last.name == name else {
                let expected = open.last.map { "close {{#\($0.name)}} first" } ?? "remove it"
                return faults.error(at: offset, "{{/\(name)}} closes nothing: \(expected)")
            }
            open.removeLast()
            pieces.append(.close)
        } else if let source = source(name, at: offset, &faults) {
            open.append((name, offset))
            pieces.append(.open(source, inverted: sign == 0x5E))
        } else {
            // Keep the nesting, so that one unknown name is one fault.
            open.append((name, offset))
            pieces.append(.open(.mailing, inverted: false))
        }
    }

    private func appendField(
        _ content: ArraySlice<UInt8>, raw: Bool, _ escape: MergeField.Escape, at offset: Int,
        _ pieces: inout [MergePiece], _ faults: inout TemplateFaults
    ) {
        var content = content
        var fallback: [UInt8] = []
        if let bar = content.firstIndex(of: 0x7C) {
            fallback = Array(content[(bar + 1)...])
            content = content[..<bar]
        }
        content = ASCII.trimmed(content)
        var escape = raw ? MergeField.Escape.none : escape
        if ASCII.hasPrefixIgnoringCase(content, "url:") {
            escape = .url
            content = ASCII.trimmed(content.dropFirst(4))
        }
        let name = ASCII.text(content)
        guard let source = source(name, at: offset, &faults) else { return }
        pieces.append(
            .field(MergeField(name: name, source: source, escape: escape, fallback: fallback)))
    }

    private func source(
        _ name: String, at offset: Int, _ faults: inout TemplateFaults
    ) -> MergeSource? {
        if let index = fields.firstIndex(of: name) {
            if MergeSyntax.builtIn.contains(name) {
                faults.error(
                    at: offset,
                    "{{\(name)}} is built in, and the recipients have a column of that name: rename "
                        + "the column")
            }
            return .value(index)
        }
        switch name {
        case "address": return .address
        case "mailing": return .mailing
        case "unsubscribe":
            if !hasUnsubscribe {
                faults.error(
                    at: offset, "{{unsubscribe}} needs a web address: configure the web role")
            }
            return .unsubscribe
        default:
            let known = (fields + MergeSyntax.builtIn).joined(separator: ", ")
            faults.error(at: offset, "there is no field \"\(name)\"; the fields are \(known)")
            return nil
        }
    }
}
