/// The head of an HTTP/1.1 reply and where its body ends (RFC 9112 §6): enough to know whether a request
/// was obeyed and whether the connection can be used again. Octets are hostile.
struct WebReply: Hashable, Sendable {
    var status: Int
    /// Seconds; a date is not understood.
    var retryAfter: Double?
    /// Another request may follow on this connection.
    var keepsOpen: Bool

    enum Parsed: Hashable, Sendable {
        case needMore
        case reply(WebReply)
        case garbage(String)
    }

    /// A head and a body together are not longer: an instrument reads no large pages.
    static let longest = 1 << 20

    /// - Parameter isEnd: the server has closed the connection.
    static func read(_ bytes: [UInt8], isEnd: Bool) -> Parsed {
        guard bytes.count <= longest else { return .garbage("a reply of more than 1 MiB") }
        return read(bytes[...], isEnd: isEnd, interim: 0)
    }

    /// - Parameter interim: replies 1xx that came before.
    private static func read(_ bytes: ArraySlice<UInt8>, isEnd: Bool, interim: Int) -> Parsed {
        guard let end = headEnd(bytes) else {
            return isEnd ? .garbage("the connection was lost") : .needMore
        }
        let lines = String(decoding: bytes[..<end], as: UTF8.self)
            .split(whereSeparator: \.isNewline)
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].count == 3,
            let status = Int(words[1])
        else { return .garbage("the reply is no HTTP") }
        if (100..<200).contains(status), interim < 8 {
            return read(bytes[end...], isEnd: isEnd, interim: interim + 1)
        }
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            fields[line[..<colon].lowercased()] = value.lowercased()
        }
        let reply = WebReply(
            status: status,
            retryAfter: fields["retry-after"].flatMap(Double.init).flatMap {
                $0.isFinite && $0 >= 0 ? min($0, 3600) : nil
            },
            keepsOpen: words[0] == "HTTP/1.1" && fields["connection"] != "close")
        return body(bytes[end...], reply, fields, isEnd: isEnd)
    }

    private static func body(
        _ body: ArraySlice<UInt8>, _ reply: WebReply, _ fields: [String: String], isEnd: Bool
    ) -> Parsed {
        let lost = Parsed.garbage("the connection was lost within a reply")
        if reply.status == 204 || reply.status == 304 { return .reply(reply) }
        if fields["transfer-encoding"]?.hasSuffix("chunked") == true {
            switch chunksEnd(body) {
            case .some(true): return .reply(reply)
            case .some(false): return .garbage("a chunk is no chunk")
            case .none: return isEnd ? lost : .needMore
            }
        }
        if let told = fields["content-length"] {
            guard let length = Int(told), (0...longest).contains(length) else {
                return .garbage("a Content-Length of '\(told.prefix(40))'")
            }
            return body.count >= length ? .reply(reply) : isEnd ? lost : .needMore
        }
        var last = reply
        last.keepsOpen = false
        return isEnd ? .reply(last) : .needMore
    }

    /// The index after the empty line.
    private static func headEnd(_ bytes: ArraySlice<UInt8>) -> Int? {
        var lineLength = 0
        for index in bytes.indices {
            switch bytes[index] {
            case 0x0D: continue
            case 0x0A:
                if lineLength == 0 { return index + 1 }
                lineLength = 0
            default: lineLength += 1
            }
        }
        return nil
    }

    /// - Returns: true when the last chunk is there, false for what is no chunk, nil for more to come.
    private static func chunksEnd(_ body: ArraySlice<UInt8>) -> Bool? {
        var index = body.startIndex
        while true {
            guard let end = body[index...].firstIndex(of: 0x0A) else { return nil }
            let digits = body[index..<end].prefix { $0 != 0x3B && $0 != 0x0D && $0 != 0x20 }
            guard let size = Int(String(decoding: digits, as: UTF8.self), radix: 16),
                (0...longest).contains(size)
            else { return false }
            // Trailers are read with the next lines; the empty one ends the body.
            if size == 0 {
                return headEnd(body[(end + 1)...]) == nil ? nil : true
            }
            index = end + 1 + size
            guard index + 2 <= body.endIndex else { return nil }
            guard body[index] == 0x0D, body[index + 1] == 0x0A else { return false }
            index += 2
        }
    }
}
