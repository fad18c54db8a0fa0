/// What is wrong with a message's form. Written apart from the code that makes messages, so that both are
/// not wrong together: header fields, MIME boundaries, transfer encodings, charset, and the agreement of
/// Message-ID, envelope sender and unsubscribe link.
struct MessageCheck {
    private(set) var messageID = ""
    private(set) var faults: [String] = []
    /// The first http or https link of List-Unsubscribe (RFC 2369 §3.2).
    private(set) var link: String?

    init(_ message: SinkMessage) {
        let content = message.content
        if content.count < 100 || content.count > 10 << 20 {
            faults.append("size of \(content.count) octets")
        }
        var previous: UInt8 = 0
        for byte in content {
            if byte == 0x0A && previous != 0x0D {
                faults.append("bare line feed")
                break
            }
            previous = byte
        }
        let (fields, body) = MessageCheck.fields(content[...])
        for name in ["from", "to", "subject", "date", "message-id", "mime-version"]
        where (fields[name] ?? "").isEmpty { faults.append("no \(name) field") }
        messageID = fields["message-id"] ?? ""
        link = MessageCheck.webLink(fields["list-unsubscribe"] ?? "")
        checkToken(message.sender, fields)
        part(fields, body, depth: 0)
    }

    private static func webLink(_ value: String) -> String? {
        value.split(separator: "<").compactMap { piece in
            piece.firstIndex(of: ">").map { String(piece[..<$0]) }
        }.first { $0.lowercased().hasPrefix("http://") || $0.lowercased().hasPrefix("https://") }
    }

    /// The token of the envelope sender stands in the Message-ID and in the unsubscribe link.
    private mutating func checkToken(_ sender: String, _ fields: [String: String]) {
        let local = sender.prefix { $0 != "@" }
        guard local.hasPrefix("b-") else { return faults.append("envelope sender without token") }
        let token = local.dropFirst(2)
        if !messageID.hasPrefix("<\(token)@") {
            faults.append("Message-ID and envelope sender differ")
        }
        guard let link = fields["list-unsubscribe"] else {
            return faults.append("no List-Unsubscribe field")
        }
        if !link.contains("/\(token)>") { faults.append("List-Unsubscribe has another token") }
        if fields["list-unsubscribe-post"] != "List-Unsubscribe=One-Click" {
            faults.append("no List-Unsubscribe-Post field")
        }
    }

    private mutating func part(_ fields: [String: String], _ body: ArraySlice<UInt8>, depth: Int) {
        guard depth < 8 else { return faults.append("parts nested too deeply") }
        let type = fields["content-type"] ?? "text/plain; charset=us-ascii"
        if type.lowercased().hasPrefix("multipart/") {
            guard let boundary = MessageCheck.parameter("boundary", of: type) else {
                return faults.append("multipart without boundary")
            }
            return parts(body, boundary: boundary, depth: depth)
        }
        let encoding = (fields["content-transfer-encoding"] ?? "7bit").lowercased()
        var decoded = Array(body)
        switch encoding {
        case "7bit": if body.contains(where: { $0 > 0x7F }) { faults.append("8-bit data in 7bit") }
        case "8bit", "binary": break
        case "quoted-printable":
            guard let text = MessageCheck.quotedPrintable(body) else {
                return faults.append("bad quoted-printable")
            }
            decoded = text
        case "base64":
            guard MessageCheck.isBase64(body) else { return faults.append("bad base64") }
            return
        default: return faults.append("unknown transfer encoding \(encoding)")
        }
        guard type.lowercased().hasPrefix("text/") else { return }
        if String(validating: decoded, as: UTF8.self) == nil {
            faults.append("text is not UTF-8")
        } else if depth > 0, decoded.allSatisfy({ $0 <= 0x20 }) {
            faults.append("empty part")
        }
    }

    private mutating func parts(_ body: ArraySlice<UInt8>, boundary: String, depth: Int) {
        let mark = Array("--\(boundary)".utf8)
        var start: Int?
        var isClosed = false
        var line = body.startIndex
        while line < body.endIndex, !isClosed {
            let end = body[line...].firstIndex(of: 0x0A).map { $0 + 1 } ?? body.endIndex
            if body[line..<end].starts(with: mark) {
                if let start, start <= line {
                    let (fields, rest) = MessageCheck.fields(body[start..<line])
                    part(fields, rest, depth: depth + 1)
                }
                start = end
                isClosed = body[(line + mark.count)..<end].starts(with: [0x2D, 0x2D])
            }
            line = end
        }
        if start == nil { faults.append("no part of the multipart") }
        if !isClosed { faults.append("boundary is not closed") }
    }

    /// Unfolded fields by lower-case name, and what comes after the empty line.
    static func fields(_ text: ArraySlice<UInt8>) -> ([String: String], ArraySlice<UInt8>) {
        var fields: [String: String] = [:]
        var name = ""
        var line = text.startIndex
        while line < text.endIndex {
            let end = text[line...].firstIndex(of: 0x0A).map { $0 + 1 } ?? text.endIndex
            var bytes = text[line..<end]
            while let last = bytes.last, last == 0x0A || last == 0x0D { bytes.removeLast() }
            line = end
            if bytes.isEmpty { return (fields, text[line...]) }
            let said = String(decoding: bytes, as: UTF8.self)
            if said.first == " " || said.first == "\t" {
                fields[name, default: ""] += " " + said.drop { $0 == " " || $0 == "\t" }
            } else if let colon = said.firstIndex(of: ":") {
                name = said[..<colon].lowercased()
                fields[name] = String(said[said.index(after: colon)...].drop { $0 == " " })
            }
        }
        return (fields, text[text.endIndex...])
    }

    static func parameter(_ name: String, of value: String) -> String? {
        for piece in value.split(separator: ";").dropFirst() {
            let pair = piece.drop { $0 == " " }.split(separator: "=", maxSplits: 1)
            guard pair.count == 2, pair[0].lowercased() == name else { continue }
            return pair[1].filter { $0 != "\"" }.split(separator: " ").first.map(String.init)
        }
        return nil
    }

    /// RFC 2045 §6.7; nil when it breaks the rules.
    static func quotedPrintable(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var out: [UInt8] = []
        out.reserveCapacity(text.count)
        var index = text.startIndex
        var column = 0
        while index < text.endIndex {
            let byte = text[index]
            column = byte == 0x0A ? 0 : column + 1
            // 76 characters and the line end.
            if column > 77 || byte > 0x7E { return nil }
            index += 1
            guard byte == 0x3D else {
                out.append(byte)
                continue
            }
            guard index + 1 < text.endIndex else { return nil }
            if text[index] == 0x0D, text[index + 1] == 0x0A {
                column = 0
            } else {
                guard let high = hex(text[index]), let low = hex(text[index + 1]) else {
                    return nil
                }
                out.append(high << 4 | low)
                column += 2
            }
            index += 2
        }
        return out
    }

    private static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        default: nil
        }
    }

    private static func isBase64(_ text: ArraySlice<UInt8>) -> Bool {
        let letters = text.filter { $0 != 0x0D && $0 != 0x0A }
        let padding = letters.reversed().prefix { $0 == 0x3D }.count
        return letters.count % 4 == 0 && padding <= 2
            && letters.dropLast(padding).allSatisfy {
                switch $0 {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2F: true
                default: false
                }
            }
    }
}
