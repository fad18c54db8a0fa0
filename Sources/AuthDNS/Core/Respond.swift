/// Answers one DNS query. Pure: no I/O, no allocation, no clock.
/// - Parameters:
///   - query: the message as received, without UDP header or TCP length; any bytes, hostile.
///   - context: transport, and the random number that decides the order of records.
///   - image: what to answer with.
///   - response: space for the reply, at least 512 octets; its count is the transport's ceiling, which
///     is lowered to 512 or the asker's payload size, at most 1,232 (RFC 6891 §6.2.3).
/// - Returns: octets written, or 0 for "send nothing" (shorter than a header, or itself a response).
///   Malformed input is answered FORMERR, not thrown. RFC 1034 §4.3.2, RFC 2308 §3, RFC 4592.
/// - Complexity: O(octets of query and answer).
public func respond(
    to query: Span<UInt8>, context: QueryContext, from image: ZoneImage,
    into response: inout MutableSpan<UInt8>
) -> Int {
    var facts = Query()
    let form = facts.parse(query)
    if form == .silent || response.count < 512 { return 0 }
    var reply = Reply(query: query, facts: facts, context: context, room: response.count)
    switch form {
    case .silent: return 0
    case .notImplemented: return reply.finishHeaderOnly(.notImplemented, query, &response)
    case .malformed: return reply.finishHeaderOnly(.formatError, query, &response)
    case .malformedTail: reply.code = .formatError
    case .good: image.answer(query, facts, &reply, &response)
    }
    return reply.finish(query, &response)
}

/// Response codes (RFC 1035 §4.1.1, RFC 6891 §9).
enum ResponseCode: UInt16 {
    case noError = 0
    case formatError = 1
    case serverFailure = 2
    case nameError = 3
    case notImplemented = 4
    case refused = 5
    case badVersion = 16
}

/// A reply under construction: how far it is written and what its header will say. The bytes are in
/// the caller's buffer, which every step is handed.
struct Reply {
    let questionEnd: Int
    /// Most octets the whole message may have, the OPT record included.
    let limit: Int
    private(set) var end: Int
    var code = ResponseCode.noError
    var isAuthoritative = false
    var isTruncated = false
    private(set) var answers: UInt16 = 0
    private(set) var authorities: UInt16 = 0
    private(set) var additionals: UInt16 = 0
    var random: UInt64
    private let hasOPT: Bool
    private let wantsDNSSEC: Bool

    enum Section { case answer, authority, additional }

    init(query: Span<UInt8>, facts: Query, context: QueryContext, room: Int) {
        questionEnd = facts.questionEnd
        end = facts.questionEnd
        hasOPT = facts.hasOPT
        wantsDNSSEC = facts.wantsDNSSEC
        // An xorshift state must not be 0.
        random = context.random | 1
        switch context.transport {
        case .tcp: limit = min(room, 65_535)
        case .udp:
            limit = min(room, facts.hasOPT ? min(max(facts.payloadSize, 512), 1_232) : 512)
        }
    }

    /// Whether `count` more octets fit beside the OPT record.
    func fits(_ count: Int) -> Bool { end + count + (hasOPT ? 11 : 0) <= limit }

    mutating func count(_ section: Section, _ number: UInt16) {
        switch section {
        case .answer: answers += number
        case .authority: authorities += number
        case .additional: additionals += number
        }
    }

    /// Drops every record: a truncated answer carries none (RFC 2181 §9).
    mutating func truncate() {
        isTruncated = true
        end = questionEnd
        answers = 0
        authorities = 0
        additionals = 0
    }

    mutating func put(_ octet: UInt8, _ response: inout MutableSpan<UInt8>) {
        response[end] = octet
        end += 1
    }

    mutating func put16(_ value: Int, _ response: inout MutableSpan<UInt8>) {
        put(UInt8(truncatingIfNeeded: value >> 8), &response)
        put(UInt8(truncatingIfNeeded: value), &response)
    }

    mutating func put(
        _ bytes: [UInt8], _ range: Range<Int>, _ response: inout MutableSpan<UInt8>
    ) {
        for index in range {
            response[end] = bytes[index]
            end += 1
        }
    }

    /// A random number below `bound` (xorshift64*, then the high half scaled).
    mutating func draw(below bound: Int) -> Int {
        random ^= random >> 12
        random ^= random << 25
        random ^= random >> 27
        let high = (random &* 0x2545_F491_4F6C_DD1D) >> 32
        return Int((high &* UInt64(bound)) >> 32)
    }

    mutating func finishHeaderOnly(
        _ code: ResponseCode, _ query: Span<UInt8>, _ response: inout MutableSpan<UInt8>
    ) -> Int {
        writeHeader(code, query, questions: 0, &response)
        return 12
    }

    /// Writes the header, the question and the OPT record around the records.
    /// - Returns: the length of the message.
    mutating func finish(_ query: Span<UInt8>, _ response: inout MutableSpan<UInt8>) -> Int {
        for index in 12..<questionEnd { response[index] = query[index] }
        if hasOPT {
            put(0, &response)
            put16(41, &response)
            put16(1_232, &response)
            put(UInt8(truncatingIfNeeded: code.rawValue >> 4), &response)
            put(0, &response)
            put16(wantsDNSSEC ? 0x8000 : 0, &response)
            put16(0, &response)
            additionals += 1
        }
        writeHeader(code, query, questions: 1, &response)
        return end
    }

    private func writeHeader(
        _ code: ResponseCode, _ query: Span<UInt8>, questions: UInt16,
        _ response: inout MutableSpan<UInt8>
    ) {
        response[0] = query[0]
        response[1] = query[1]
        // QR, the opcode and RD as asked, AA, TC; RA and AD stay 0, CD is copied.
        response[2] =
            0x80 | (query[2] & 0x79) | (isAuthoritative ? 0x04 : 0) | (isTruncated ? 0x02 : 0)
        response[3] = (query[3] & 0x10) | UInt8(code.rawValue & 15)
        let counts = [questions, answers, authorities, additionals] as InlineArray<4, UInt16>
        for index in 0..<4 {
            response[4 + index * 2] = UInt8(counts[index] >> 8)
            response[5 + index * 2] = UInt8(counts[index] & 255)
        }
    }
}
