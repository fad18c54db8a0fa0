/// One signed exchange with another server: a request and what answers it. It knows what each MAC is made over
/// (RFC 8945 §4.3, §5.3): the first answer over the request's MAC, each later message of a transfer over the MAC
/// before it.
public struct TSIGExchange: Sendable {
    public let key: TSIGKey
    private var lastCode: [UInt8] = []
    private var isFirst = true
    /// Messages since the last signed one, which the next signature is over too, and how many.
    private var pending: (octets: [UInt8], count: Int) = ([], 0)

    /// For a request that is to be sent.
    public init(_ key: TSIGKey) { self.key = key }

    /// What a signature on a query means.
    public enum Verdict: Sendable {
        case unsigned
        case malformed
        /// The query without its signature, and how to sign what answers it.
        case good(query: [UInt8], TSIGExchange)
        /// The whole reply to a query whose signature does not hold.
        case refused(reply: [UInt8])
    }

    /// Octets that the signature of a message takes.
    public var overhead: Int { TSIGRecord.length(key) }

    /// Judges a query (RFC 8945 §5.2).
    /// - Parameters:
    ///   - query: a whole message.
    ///   - unixTime: seconds since 1970.
    public static func judge(_ query: [UInt8], keys: [TSIGKey], unixTime: UInt64) -> Verdict {
        let start: Int
        let record: TSIGRecord
        switch TSIGRecord.find(in: query) {
        case .none: return .unsigned
        case .malformed: return .malformed
        case .found(let found, let said): (start, record) = (found, said)
        }
        let key = keys.first { $0.name == record.key && $0.algorithm.name == record.algorithm }
        guard let key else { return .refused(reply: refusal(query, start, record, .badKey)) }
        guard record.code.count == key.algorithm.length else {
            let isTooShort = record.code.count < max(10, key.algorithm.length / 2)
            if isTooShort || record.code.count > key.algorithm.length { return .malformed }
            return .refused(reply: refusal(query, start, record, .badTruncation))
        }
        let bare = unsigned(query, start, record)
        guard key.isCode(record.code, of: bare + record.digested(isFirst: true)) else {
            return .refused(reply: refusal(query, start, record, .badSignature))
        }
        var exchange = TSIGExchange(key)
        exchange.lastCode = record.code
        guard isNear(record, unixTime) else {
            var reply = refusalHead(query, start)
            exchange.sign(&reply, unixTime: record.time, fault: .badTime, now: unixTime)
            return .refused(reply: reply)
        }
        var stripped = bare
        stripped[0] = query[0]
        stripped[1] = query[1]
        return .good(query: stripped, exchange)
    }

    /// Appends the signature of the next message.
    public mutating func sign(_ message: inout [UInt8], unixTime: UInt64) {
        sign(&message, unixTime: unixTime, fault: .none, now: unixTime)
    }

    /// Whether a message answers the request in good form. A transfer's messages are judged in order.
    /// - Returns: the message without its signature; nil when it does not hold, or has none.
    public mutating func verify(_ message: [UInt8], unixTime: UInt64) -> [UInt8]? {
        guard case .found(let start, let record) = TSIGRecord.find(in: message),
            record.key == key.name, record.algorithm == key.algorithm.name, record.fault == 0,
            record.code.count == key.algorithm.length, TSIGExchange.isNear(record, unixTime)
        else { return nil }
        let bare = TSIGExchange.unsigned(message, start, record)
        guard key.isCode(record.code, of: input(bare, record)) else { return nil }
        lastCode = record.code
        isFirst = false
        pending = ([], 0)
        return bare
    }

    /// Takes a message of a transfer: one of up to a hundred has to be signed, the first and the last among them
    /// (RFC 8945 §5.3.1).
    /// - Returns: as `verify`; one without a signature as it is.
    public mutating func accept(_ message: [UInt8], unixTime: UInt64) -> [UInt8]? {
        guard case .none = TSIGRecord.find(in: message) else {
            return verify(message, unixTime: unixTime)
        }
        guard !isFirst, pending.count < 99 else { return nil }
        pending.octets += message
        pending.count += 1
        return message
    }

    /// Whether the last message was signed.
    public var isSettled: Bool { pending.count == 0 && !isFirst }

    private mutating func sign(
        _ message: inout [UInt8], unixTime: UInt64, fault: TSIGRecord.Fault, now: UInt64
    ) {
        var other: [UInt8] = []
        if fault == .badTime { other.append(now, octets: 6) }
        var record = TSIGRecord(
            key: key.name, algorithm: key.algorithm.name, time: unixTime, code: [],
            originalID: UInt16(message[0]) << 8 | UInt16(message[1]), fault: fault.rawValue,
            other: other)
        record.code = key.code(of: input(message, record))
        // What answers a request is the first of its kind still.
        isFirst = isFirst && lastCode.isEmpty
        lastCode = record.code
        message += record.wire
        TSIGExchange.addToAdditional(1, &message)
    }

    /// A request has no MAC before it.
    private func input(_ message: [UInt8], _ record: TSIGRecord) -> [UInt8] {
        var bytes: [UInt8] = []
        if !lastCode.isEmpty {
            bytes.append(UInt64(lastCode.count), octets: 2)
            bytes += lastCode
        }
        return bytes + pending.octets + message + record.digested(isFirst: isFirst)
    }

    private static func isNear(_ record: TSIGRecord, _ unixTime: UInt64) -> Bool {
        let apart = record.time > unixTime ? record.time - unixTime : unixTime - record.time
        return apart <= UInt64(record.fudge)
    }

    /// The message as it was before it was signed.
    private static func unsigned(
        _ message: [UInt8], _ start: Int, _ record: TSIGRecord
    ) -> [UInt8] {
        var bare = Array(message[..<start])
        bare[0] = UInt8(record.originalID >> 8)
        bare[1] = UInt8(record.originalID & 255)
        addToAdditional(-1, &bare)
        return bare
    }

    private static func addToAdditional(_ count: Int, _ message: inout [UInt8]) {
        let sum = (Int(message[10]) << 8 | Int(message[11])) + count
        message[10] = UInt8(truncatingIfNeeded: sum >> 8)
        message[11] = UInt8(truncatingIfNeeded: sum)
    }

    /// Header and question of a reply NOTAUTH (9).
    private static func refusalHead(_ query: [UInt8], _ start: Int) -> [UInt8] {
        var reader = MessageReader(query)
        let hasQuestion = reader.counts()?[0] == 1 && reader.skipQuestions(1)
        let end = hasQuestion ? min(reader.offset, start) : 12
        var reply = Array(query[..<end])
        reply[2] = 0x80 | (query[2] & 0x79)
        reply[3] = 9
        for index in 4..<12 { reply[index] = 0 }
        reply[5] = hasQuestion ? 1 : 0
        return reply
    }

    /// Without a key that both know there is nothing to sign with (RFC 8945 §5.3.2).
    private static func refusal(
        _ query: [UInt8], _ start: Int, _ record: TSIGRecord, _ fault: TSIGRecord.Fault
    ) -> [UInt8] {
        var reply = refusalHead(query, start)
        var said = record
        said.code = []
        said.fault = fault.rawValue
        said.other = []
        reply += said.wire
        addToAdditional(1, &reply)
        return reply
    }
}
