/// One header field of a message or body part, as written.
struct MIMEField {
    /// As written, without the colon.
    var name: String
    /// What follows the colon, folds included, without the final CRLF.
    var value: TemplateText
    /// Offset of the name in the file.
    var origin: Int

    func isNamed(_ other: String) -> Bool { ASCII.equalsIgnoringCase(name.utf8, other) }

    /// The value on one line.
    var unfolded: TemplateText {
        var text = TemplateText()
        for index in value.bytes.indices {
            let byte = value.bytes[index]
            if byte != 0x0D && byte != 0x0A { text.append(byte, from: value.origins[index]) }
        }
        return text.trimmed
    }
}

/// `type/subtype; attribute=value …` (RFC 2045 §5.1), read tolerantly. RFC 2231 continuations are not
/// joined: no parameter that matters here uses them.
struct MIMEContentType: Hashable {
    var type = "text"
    var subtype = "plain"
    var parameters: [(name: String, value: String)] = []

    /// RFC 2045 §5.2: no field means text/plain in US-ASCII.
    init() {}

    init(_ bytes: ArraySlice<UInt8>) {
        let pieces = MIMEContentType.split(bytes)
        let names = (pieces.first ?? [])[...].split(separator: 0x2F, maxSplits: 1)
        guard names.count == 2 else { return }
        type = ASCII.text(ASCII.trimmed(names[0])).lowercased()
        subtype = ASCII.text(ASCII.trimmed(names[1])).lowercased()
        for piece in pieces.dropFirst() {
            guard let equals = piece.firstIndex(of: 0x3D) else { continue }
            let name = ASCII.text(ASCII.trimmed(piece[..<equals])).lowercased()
            let value = MIMEContentType.unquoted(ASCII.trimmed(piece[(equals + 1)...]))
            parameters.append((name, value))
        }
    }

    func parameter(_ name: String) -> String? { parameters.first { $0.name == name }?.value }

    static func == (left: MIMEContentType, right: MIMEContentType) -> Bool {
        left.text == right.text
    }

    func hash(into hasher: inout Hasher) { hasher.combine(text) }

    /// One line, every parameter value quoted.
    var text: String {
        parameters.reduce("\(type)/\(subtype)") { text, parameter in
            var quoted = ""
            for character in parameter.value {
                if character == "\"" || character == "\\" { quoted.append("\\") }
                quoted.append(character)
            }
            return text + ";\r\n \(parameter.name)=\"\(quoted)\""
        }
    }

    /// Splits at semicolons outside quotes and drops comments.
    private static func split(_ bytes: ArraySlice<UInt8>) -> [[UInt8]] {
        var pieces: [[UInt8]] = [[]]
        var quoted = false
        var escaped = false
        var depth = 0
        for byte in bytes {
            if escaped {
                escaped = false
                if depth == 0 { pieces[pieces.count - 1].append(byte) }
                continue
            }
            switch byte {
            case 0x5C where quoted || depth > 0:
                escaped = true
                if depth == 0 { pieces[pieces.count - 1].append(byte) }
            case 0x22 where depth == 0:
                quoted.toggle()
                pieces[pieces.count - 1].append(byte)
            case 0x28 where !quoted: depth += 1
            case 0x29 where !quoted && depth > 0: depth -= 1
            case 0x3B where !quoted && depth == 0: pieces.append([])
            default: if depth == 0 { pieces[pieces.count - 1].append(byte) }
            }
        }
        return pieces
    }

    private static func unquoted(_ bytes: ArraySlice<UInt8>) -> String {
        guard bytes.first == 0x22 else { return ASCII.text(bytes) }
        var out: [UInt8] = []
        var escaped = false
        for byte in bytes.dropFirst() {
            if !escaped && byte == 0x22 { break }
            if !escaped && byte == 0x5C {
                escaped = true
                continue
            }
            escaped = false
            if byte != 0x0D && byte != 0x0A { out.append(byte) }
        }
        return ASCII.text(out)
    }
}

/// Cuts a message or body part into header fields and body, and a multipart body into its parts. Works on
/// text whose lines end by CRLF; tolerant, since notifications from all over the world pass through.
enum MIMEStructure {
    /// - Parameter malformed: called with the index of a line that is no header field; the line is dropped.
    /// - Returns: the fields and the index where the body begins.
    static func fields(
        of text: TemplateText, in range: Range<Int>, malformed: (Int) -> Void
    ) -> (fields: [MIMEField], body: Int) {
        var fields: [MIMEField] = []
        var index = range.lowerBound
        while index < range.upperBound {
            let end = lineEnd(text.bytes, from: index, limit: range.upperBound)
            let line = text.bytes[index..<end.content]
            if line.isEmpty { return (fields, end.next) }
            if ASCII.isBlank(line[index]), !fields.isEmpty {
                fields[fields.count - 1].value.append(text[(index - 2)..<end.content])
            } else if let colon = line.firstIndex(of: 0x3A), colon > index,
                line[..<colon].allSatisfy({ $0 > 0x20 && $0 < 0x7F || ASCII.isBlank($0) })
            {
                let name = ASCII.text(ASCII.trimmed(line[..<colon]))
                fields.append(
                    MIMEField(
                        name: name, value: text[(colon + 1)..<end.content],
                        origin: text.origin(index)))
            } else {
                malformed(index)
            }
            index = end.next
        }
        return (fields, range.upperBound)
    }

    /// The contents of the parts of a multipart body, each without the CRLF that belongs to the delimiter.
    /// - Returns: nil when no delimiter line is found. `closed` tells whether the last one was.
    static func parts(
        of bytes: [UInt8], in range: Range<Int>, boundary: String
    ) -> (parts: [Range<Int>], closed: Bool)? {
        guard !boundary.isEmpty else { return nil }
        let delimiter = Array(("--" + boundary).utf8)
        var parts: [Range<Int>] = []
        var begin: Int?
        var index = range.lowerBound
        while index < range.upperBound {
            let end = lineEnd(bytes, from: index, limit: range.upperBound)
            let line = bytes[index..<end.content]
            if line.starts(with: delimiter) {
                let rest = line.dropFirst(delimiter.count)
                let closes = rest.starts(with: [0x2D, 0x2D])
                if closes || rest.allSatisfy(ASCII.isBlank) {
                    if let begin { parts.append(begin..<max(begin, index - 2)) }
                    if closes { return (parts, true) }
                    begin = end.next
                }
            }
            index = end.next
        }
        if let begin { parts.append(begin..<range.upperBound) }
        return parts.isEmpty ? nil : (parts, false)
    }

    /// Where the line at `index` ends, without and with its line end. A lone LF ends a line, too.
    static func lineEnd(
        _ bytes: [UInt8], from index: Int, limit: Int
    ) -> (content: Int, next: Int) {
        var end = index
        while end < limit && bytes[end] != ASCII.lineFeed { end += 1 }
        let next = min(end + 1, limit)
        if end < limit, end > index, bytes[end - 1] == ASCII.carriageReturn { end -= 1 }
        return (end, next)
    }
}
