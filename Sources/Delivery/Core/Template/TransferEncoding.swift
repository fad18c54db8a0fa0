/// The content transfer encodings of RFC 2045 §6, and their decoding with the origin of every octet kept.
enum TransferEncoding: Hashable {
    case sevenBit, eightBit, quotedPrintable, base64

    /// - Parameter name: the value of Content-Transfer-Encoding; nil when it is none of RFC 2045.
    init?(_ name: ArraySlice<UInt8>) {
        switch ASCII.text(ASCII.trimmed(name)).lowercased() {
        case "7bit", "": self = .sevenBit
        case "8bit", "binary": self = .eightBit
        case "quoted-printable": self = .quotedPrintable
        case "base64": self = .base64
        default: return nil
        }
    }

    /// Decodes tolerantly: what is no valid escape stays as written.
    func decode(_ text: TemplateText) -> TemplateText {
        switch self {
        case .sevenBit, .eightBit: text
        case .quotedPrintable: TransferEncoding.decodeQuotedPrintable(text, underscore: false)
        case .base64: TransferEncoding.decodeBase64(text)
        }
    }

    /// - Parameter underscore: whether `_` is a space (the Q encoding of RFC 2047 §4.2).
    static func decodeQuotedPrintable(_ text: TemplateText, underscore: Bool) -> TemplateText {
        var out = TemplateText()
        var index = 0
        let bytes = text.bytes
        while index < bytes.count {
            let byte = bytes[index]
            let origin = text.origins[index]
            if underscore, byte == 0x5F {
                out.append(ASCII.space, from: origin)
            } else if byte == 0x3D, let end = softBreakEnd(bytes, after: index) {
                index = end
                continue
            } else if byte == 0x3D, index + 2 < bytes.count,
                let high = ASCII.hexValue(bytes[index + 1]),
                let low = ASCII.hexValue(bytes[index + 2])
            {
                out.append(high << 4 | low, from: origin)
                index += 2
            } else {
                out.append(byte, from: origin)
            }
            index += 1
        }
        return out
    }

    /// `=` at the end of a line, white space before the line end allowed (RFC 2045 §6.7 rule 3).
    private static func softBreakEnd(_ bytes: [UInt8], after index: Int) -> Int? {
        var end = index + 1
        while end < bytes.count, ASCII.isBlank(bytes[end]) { end += 1 }
        if end == bytes.count { return end }
        if bytes[end] == 0x0A { return end + 1 }
        guard bytes[end] == 0x0D, end + 1 < bytes.count, bytes[end + 1] == 0x0A else { return nil }
        return end + 2
    }

    static func decodeBase64(_ text: TemplateText) -> TemplateText {
        var out = TemplateText()
        var group: UInt32 = 0
        var bits = 0
        for index in text.bytes.indices {
            guard let value = base64Value(text.bytes[index]) else { continue }
            group = group << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                out.append(
                    UInt8(truncatingIfNeeded: group >> UInt32(bits)), from: text.origins[index])
            }
        }
        return out
    }

    private static func base64Value(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x41...0x5A: byte - 0x41
        case 0x61...0x7A: byte - 0x47
        case 0x30...0x39: byte + 4
        case 0x2B: 62
        case 0x2F: 63
        default: nil
        }
    }

    /// Undoes encoded-words (RFC 2047) of UTF-8 and US-ASCII; white space between two of them is dropped.
    /// - Returns: nil when one names another charset.
    static func decodeEncodedWords(_ text: TemplateText) -> TemplateText? {
        var out = TemplateText()
        var index = 0
        var afterWord: Int?
        while index < text.count {
            guard let word = encodedWord(text.bytes, at: index) else {
                if let start = afterWord, !ASCII.isWhite(text.bytes[index]) {
                    out.append(text[start..<index])
                    afterWord = nil
                }
                if afterWord == nil { out.append(text[index..<(index + 1)]) }
                index += 1
                continue
            }
            guard word.isUnicode else { return nil }
            let payload = text[word.payload]
            out.append(
                word.isBase64
                    ? decodeBase64(payload) : decodeQuotedPrintable(payload, underscore: true))
            index = word.end
            afterWord = index
        }
        return out
    }

    private struct EncodedWord {
        var payload: Range<Int>
        var end: Int
        var isBase64: Bool
        var isUnicode: Bool
    }

    private static func encodedWord(_ bytes: [UInt8], at index: Int) -> EncodedWord? {
        guard bytes[index] == 0x3D, index + 1 < bytes.count, bytes[index + 1] == 0x3F else {
            return nil
        }
        guard let first = bytes[(index + 2)...].firstIndex(of: 0x3F), first + 2 < bytes.count,
            bytes[first + 2] == 0x3F
        else { return nil }
        let kind = ASCII.lowered(bytes[first + 1])
        guard kind == 0x62 || kind == 0x71 else { return nil }
        var end = first + 3
        // Merge fields may hold a question mark's neighbour in their default text, so look for "?=".
        while end + 1 < bytes.count, !(bytes[end] == 0x3F && bytes[end + 1] == 0x3D) { end += 1 }
        guard end + 1 < bytes.count else { return nil }
        let charset = ASCII.text(bytes[(index + 2)..<first]).lowercased()
        let name = charset.split(separator: "*").first.map(String.init) ?? charset
        return EncodedWord(
            payload: (first + 3)..<end, end: end + 2, isBase64: kind == 0x62,
            isUnicode: name == "utf-8" || name == "us-ascii")
    }
}
