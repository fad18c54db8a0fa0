/// Answers one DNS query. Pure: no I/O, no allocation, no clock.
/// - Parameters:
///   - query: the message as received, without UDP header or TCP length; any bytes, hostile.
///   - context: transport, asker, time, and the random number that decides the order of records.
///   - settings: what the operator wants replies to say about the server itself.
///   - image: what to answer with.
///   - others: what to answer with instead when the name is in one of these; no two zones overlap.
///   - response: space for the reply, at least 512 octets; its count is the transport's ceiling, which
///     is lowered to 512 or the asker's payload size, at most 1,232 (RFC 6891 §6.2.3).
/// - Returns: what was written; its length is 0 for "send nothing" (shorter than a header, or itself a
///   response). Malformed input is answered FORMERR, not thrown. RFC 1034 §4.3.2, RFC 2308 §3,
///   RFC 4592.
/// - Complexity: O(octets of query and answer).
public func respond(
    to query: Span<UInt8>, context: QueryContext, settings: AnswerSettings, from image: ZoneImage,
    beside others: [ZoneImage] = [], into response: inout MutableSpan<UInt8>
) -> Outcome {
    var facts = Query()
    let form = facts.parse(query)
    if form == .silent || response.count < 512 { return Outcome() }
    if context.leavesPeers, facts.isPeers || (facts.isNotify && settings.takesNotify) {
        var outcome = Outcome()
        outcome.isForPeer = true
        return outcome
    }
    for place in others.indices where others[place].isAsked(query, facts) {
        var outcome = reply(
            to: query, facts, form, context, settings, from: others[place], into: &response)
        // Numbers of names are each image's own.
        if outcome.subject > 0 { outcome.subject ^= UInt32(truncatingIfNeeded: place + 1) << 24 }
        return outcome
    }
    return reply(to: query, facts, form, context, settings, from: image, into: &response)
}

private func reply(
    to query: Span<UInt8>, _ facts: Query, _ form: Query.Form, _ context: QueryContext,
    _ settings: AnswerSettings, from image: ZoneImage, into response: inout MutableSpan<UInt8>
) -> Outcome {
    var reply = Reply(
        facts: facts, context: context, identityLength: settings.identity.count,
        room: response.count)
    switch form {
    case .silent: return Outcome()
    case .notImplemented: reply.refuse(.notImplemented)
    case .malformed: reply.refuse(.formatError)
    case .malformedTail: reply.code = .formatError
    case .good, .cookieOnly:
        if facts.version > 0 {
            reply.code = .badVersion
        } else if reply.takesCookie(query, facts, context, settings) {
            if form == .good {
                answer(query, facts, settings, from: image, &reply, &response)
            } else {
                // Nothing was asked but whether the cookie is good (RFC 7873 §5.4).
                reply.code = reply.cookieState == .invalid ? .badCookie : .noError
            }
        }
    }
    let length = reply.finish(query, settings, image, &response)
    return reply.outcome(length, facts)
}

private func answer(
    _ query: Span<UInt8>, _ facts: Query, _ settings: AnswerSettings, from image: ZoneImage,
    _ reply: inout Reply, _ response: inout MutableSpan<UInt8>
) {
    if facts.recordClass == ServerIdentity.chaos {
        ServerIdentity.answer(query, facts, settings, &reply, &response)
    } else if settings.isServing {
        image.answer(query, facts, &reply, &response)
    } else {
        reply.code = .serverFailure
        reply.extendedError = .notReady
    }
}

/// Response codes (RFC 1035 §4.1.1, RFC 6891 §9, RFC 7873 §8).
enum ResponseCode: UInt16 {
    case noError = 0
    case formatError = 1
    case serverFailure = 2
    case nameError = 3
    case notImplemented = 4
    case refused = 5
    case notAuthoritative = 9
    case badVersion = 16
    case badCookie = 23
}

/// Why, beside the response code (RFC 8914 §4).
enum ExtendedError: Int {
    case notReady = 14
    case prohibited = 18
    case notAuthoritative = 20
    case notSupported = 21
}

/// A reply under construction: how far it is written and what its header will say. The bytes are in
/// the caller's buffer, which every step is handed.
struct Reply {
    private(set) var questionEnd: Int
    /// Most octets the whole message may have, the OPT record included.
    let limit: Int
    private(set) var end: Int
    var code = ResponseCode.noError
    var extendedError: ExtendedError?
    var isAuthoritative = false
    private(set) var isTruncated = false
    private(set) var answers: UInt16 = 0
    private(set) var authorities: UInt16 = 0
    private(set) var additionals: UInt16 = 0
    var random: UInt64
    /// What the answer is about, for rate limiting.
    var kind = Outcome.Kind.error
    var subject: UInt32 = 0
    private(set) var cookieState = CookieState.none
    /// What the OPT record will hold, and how many octets are kept for it.
    var opt: OptRecord
    private var questions: UInt16 = 1
    /// Whether signatures and proofs are wanted and there are any (RFC 3225).
    private(set) var wantsProof: Bool
    /// Where the zone's name stands in the question, as a compression pointer.
    private(set) var apexPointer = 0
    /// Nodes whose NSEC records the reply needs; a chain of aliases needs few.
    private var denials = InlineArray<8, Int32>(repeating: -1)
    private var denialCount = 0
    private var denialsWritten = 0

    enum Section { case answer, authority, additional }

    init(facts: Query, context: QueryContext, identityLength: Int, room: Int) {
        questionEnd = facts.questionEnd
        end = facts.questionEnd
        if facts.questionEnd == 12 { questions = 0 }
        opt = OptRecord(facts, context, identityLength: identityLength)
        wantsProof = facts.wantsDNSSEC
        // An xorshift state must not be 0.
        random = context.random | 1
        switch context.transport {
        case .tcp: limit = min(room, 65_535)
        case .udp:
            limit = min(room, facts.hasOPT ? min(max(facts.payloadSize, 512), 1_232) : 512)
        }
    }

    /// Judges the query's cookie, and whether it may be answered at all.
    /// - Returns: false when the reply is complete: FORMERR, BADCOOKIE, or "come back by TCP".
    mutating func takesCookie(
        _ query: Span<UInt8>, _ facts: Query, _ context: QueryContext, _ settings: AnswerSettings
    ) -> Bool {
        guard let cookies = settings.cookies, let client = context.client else {
            if context.isLimited { isTruncated = true }
            return !context.isLimited
        }
        if facts.options.hasMalformedCookie {
            code = .formatError
            return false
        }
        if facts.options.cookieLength >= 0 {
            let (state, cookie) = cookies.judge(
                query, facts.options.cookieStart, facts.options.cookieLength, client,
                context.unixTime)
            cookieState = state
            opt.take(cookie)
        }
        let mustProve = context.isLimited || (cookies.isRequired && context.transport == .udp)
        if mustProve, facts.questionEnd > 12, cookieState == .client || cookieState == .invalid {
            code = .badCookie
            return false
        }
        guard context.isLimited, cookieState != .valid else { return true }
        isTruncated = true
        return false
    }

    /// The question is for this zone.
    mutating func enter(_ image: ZoneImage, apexAt offset: Int) {
        wantsProof = wantsProof && image.isSigned
        apexPointer = 0xC000 | offset
    }

    /// Notes a node whose NSEC record must be in the reply.
    mutating func noteDenial(_ node: Int32) {
        for index in 0..<denialCount where denials[index] == node { return }
        guard denialCount < 8 else { return }
        denials[denialCount] = node
        denialCount += 1
    }

    /// The next of those nodes that is not written yet.
    mutating func nextDenial() -> Int? {
        guard denialsWritten < denialCount else { return nil }
        denialsWritten += 1
        return Int(denials[denialsWritten - 1])
    }

    /// Whether `count` more octets fit beside the OPT record.
    func fits(_ count: Int) -> Bool { end + count + opt.length <= limit }

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
        dropRecords()
    }

    /// Drops every record.
    mutating func dropRecords() {
        end = questionEnd
        answers = 0
        authorities = 0
        additionals = 0
        denialCount = 0
        denialsWritten = 0
    }

    /// Answers with a code and, beside it, why.
    mutating func refuse(_ code: ResponseCode, _ why: ExtendedError) {
        self.code = code
        extendedError = why
        kind = .error
        subject = 0
        isAuthoritative = false
    }

    /// Answers with nothing but a header: the question cannot be told.
    mutating func refuse(_ code: ResponseCode) {
        self.code = code
        questions = 0
        questionEnd = 12
        end = 12
        opt.isPresent = false
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
        let target = end..<(end + range.count)
        precondition(range.upperBound <= bytes.count && target.upperBound <= response.count)
        // Safe: both ranges are within their buffers, which are not the same. Octet by octet with a check for each
        // this is a third of the time that an answer takes.
        unsafe bytes.withUnsafeBufferPointer { source in
            unsafe response.withUnsafeMutableBufferPointer { room in
                guard let from = source.baseAddress, let to = room.baseAddress else {
                    return
                }
                unsafe (to + target.lowerBound).update(
                    from: from + range.lowerBound, count: range.count)
            }
        }
        end = target.upperBound
    }

    /// A random number below `bound` (xorshift64*, then the high half scaled).
    mutating func draw(below bound: Int) -> Int {
        random ^= random >> 12
        random ^= random << 25
        random ^= random >> 27
        let high = (random &* 0x2545_F491_4F6C_DD1D) >> 32
        return Int((high &* UInt64(bound)) >> 32)
    }

    /// Writes the header, the question and the OPT record around the records.
    /// - Returns: the length of the message.
    mutating func finish(
        _ query: Span<UInt8>, _ settings: AnswerSettings, _ image: ZoneImage,
        _ response: inout MutableSpan<UInt8>
    ) -> Int {
        for index in 12..<questionEnd { response[index] = query[index] }
        if opt.isPresent {
            putOpt(settings, image, &response)
            additionals += 1
        }
        writeHeader(query, &response)
        return end
    }

    private func writeHeader(_ query: Span<UInt8>, _ response: inout MutableSpan<UInt8>) {
        response[0] = query[0]
        response[1] = query[1]
        // QR, the opcode and RD as asked, AA, TC; RA, AD and CD stay 0 (RFC 4035 §3.1.6).
        response[2] =
            0x80 | (query[2] & 0x79) | (isAuthoritative ? 0x04 : 0) | (isTruncated ? 0x02 : 0)
        response[3] = UInt8(code.rawValue & 15)
        let counts = [questions, answers, authorities, additionals] as InlineArray<4, UInt16>
        for index in 0..<4 {
            response[4 + index * 2] = UInt8(counts[index] >> 8)
            response[5 + index * 2] = UInt8(counts[index] & 255)
        }
    }

    func outcome(_ length: Int, _ facts: Query) -> Outcome {
        var outcome = Outcome()
        outcome.length = length
        outcome.code = code.rawValue
        outcome.type = facts.type
        outcome.kind = kind
        outcome.subject = subject
        outcome.isTruncated = isTruncated
        outcome.cookie = cookieState
        outcome.hasOPT = facts.hasOPT
        outcome.wantsDNSSEC = facts.wantsDNSSEC
        return outcome
    }
}
