/// What `respond` must know of a query message: positions and numbers, nothing copied. It says whether
/// the message is one query in good form (RFC 1035 §4.1, RFC 6891), not what the answer is.
struct Query {
    /// Octet behind the question; what is in front of it is echoed.
    var questionEnd = 12
    /// Octets of the question's name.
    var nameLength = 0
    var type = RecordType(rawValue: 0)
    var recordClass: UInt16 = 0
    var hasOPT = false
    /// The asker's UDP payload size, when it has an OPT.
    var payloadSize = 512
    var version: UInt8 = 0
    var wantsDNSSEC = false
    var options = QueryOptions()
    /// Whether it carries a TSIG record, in whatever place.
    var hasSignature = false

    /// Whether it tells of a new version of a zone (RFC 1996).
    var isNotify = false

    /// Whether it is one that other servers send: for a transfer, or signed.
    var isPeers: Bool { hasSignature || type == .axfr || type == .ixfr }

    enum Form {
        case good
        /// No question, only a cookie to be renewed (RFC 7873 §5.4).
        case cookieOnly
        /// Too short or itself a response: no reply at all.
        case silent
        case notImplemented
        /// Nothing but the header is echoed.
        case malformed
        /// The question is in good form, what follows is not.
        case malformedTail
    }

    /// Fills the fields as far as the message goes.
    mutating func parse(_ message: Span<UInt8>) -> Form {
        guard message.count >= 12, message[2] & 0x80 == 0 else { return .silent }
        guard message[2] & 0x78 == 0 else {
            isNotify = message[2] & 0x78 == 0x20
            return .notImplemented
        }
        if number(message, 4) == 0 {
            questionEnd = 12
            return parseTail(message) && options.cookieLength >= 8 ? .cookieOnly : .malformed
        }
        guard number(message, 4) == 1, parseQuestion(message) else { return .malformed }
        return parseTail(message) ? .good : .malformedTail
    }

    private func number(_ message: Span<UInt8>, _ offset: Int) -> Int {
        Int(message[offset]) << 8 | Int(message[offset + 1])
    }

    private mutating func parseQuestion(_ message: Span<UInt8>) -> Bool {
        var offset = 12
        while offset < message.count, message[offset] != 0 {
            // Pointers have nothing to point at in a question.
            guard message[offset] < 64 else { return false }
            offset += Int(message[offset]) + 1
        }
        nameLength = offset + 1 - 12
        guard nameLength <= 255, offset + 5 <= message.count else { return false }
        type = RecordType(rawValue: UInt16(number(message, offset + 1)))
        recordClass = UInt16(number(message, offset + 3))
        questionEnd = offset + 5
        return true
    }

    /// Goes through the other sections in search of the OPT record.
    private mutating func parseTail(_ message: Span<UInt8>) -> Bool {
        let beforeAdditional = number(message, 6) + number(message, 8)
        let total = beforeAdditional + number(message, 10)
        // Real queries carry at most an SOA (IXFR), an OPT and a TSIG.
        guard total <= 8 else { return false }
        var offset = questionEnd
        for index in 0..<total {
            let start = offset
            guard skipName(message, &offset), offset + 10 <= message.count else { return false }
            let end = offset + 10 + number(message, offset + 8)
            guard end <= message.count else { return false }
            if number(message, offset) == TSIGRecord.type { hasSignature = true }
            if number(message, offset) == 41 {
                // One OPT, owned by the root, in the additional section (RFC 6891 §6.1.1).
                guard index >= beforeAdditional, !hasOPT, offset == start + 1 else { return false }
                hasOPT = true
                payloadSize = number(message, offset + 2)
                version = message[offset + 5]
                wantsDNSSEC = message[offset + 6] & 0x80 != 0
                // What the data of another version means is not ours to say (RFC 6891 §6.1.3).
                guard version > 0 || options.parse(message, (offset + 10)..<end) else {
                    return false
                }
            }
            offset = end
        }
        return offset == message.count
    }

    private func skipName(_ message: Span<UInt8>, _ offset: inout Int) -> Bool {
        while offset < message.count {
            let length = message[offset]
            if length == 0 {
                offset += 1
                return true
            }
            if length >= 0xC0 {
                offset += 2
                return offset <= message.count
            }
            guard length < 64 else { return false }
            offset += Int(length) + 1
        }
        return false
    }
}
