import Farm

/// One transfer that comes in: what is asked for, and what the messages that answer amount to (RFC 5936 §2.2, RFC 1995
/// §4). Pure: messages go in without their TCP length, and a version of the zone comes out, whole or as the steps to
/// it; nothing of it counts before the end.
public struct IncomingTransfer: Sendable {
    /// What has come so far.
    public enum State: Sendable {
        case more
        /// There is nothing newer.
        case current
        /// The primary does not answer such a query; the whole zone should be asked for.
        case notIncremental
        case whole(ZoneContent)
        case steps([ZoneDifference])
    }

    private let apex: DomainName
    /// Of the version that is known; nil for none.
    private let known: ResourceRecord?
    private var exchange: TSIGExchange?
    private var id: UInt16 = 0
    private var records: [ResourceRecord] = []
    private var steps: [ZoneDifference] = []
    private var isIncremental = false
    private var isOver = false
    private var octets = 0
    /// More than this is no zone of ours.
    private static let mostOctets = 256 << 20

    /// - Parameters:
    ///   - known: the SOA record of the version that is known; nil asks for the whole zone.
    ///   - key: signs the query, and must have signed what answers it.
    public init(of apex: DomainName, since known: ResourceRecord?, key: TSIGKey?) {
        self.apex = apex
        self.known = known
        exchange = key.map { TSIGExchange($0) }
    }

    /// The query: IXFR when a version is known, else AXFR.
    /// - Parameter id: drawn at random.
    public mutating func request(id: UInt16, unixTime: UInt64) -> [UInt8] {
        self.id = id
        var message: [UInt8] = [UInt8(id >> 8), UInt8(id & 255), 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        message += apex.wire
        message.append(UInt64((known == nil ? RecordType.axfr : .ixfr).rawValue), octets: 2)
        message.append(1, octets: 2)
        if let known {
            message[9] = 1
            message += [0xC0, 12, 0, 6, 0, 1]
            message.append(UInt64(known.ttl), octets: 4)
            message.append(UInt64(known.data.count), octets: 2)
            message += known.data
        }
        exchange?.sign(&message, unixTime: unixTime)
        return message
    }

    /// Takes the next message.
    /// - Parameter message: hostile; never traps.
    /// - Throws: when it is no answer to the query, its signature does not hold, or it makes no zone.
    public mutating func take(
        _ message: [UInt8], unixTime: UInt64
    ) throws(ZoneFault) -> State {
        octets += message.count
        guard octets <= IncomingTransfer.mostOctets, !isOver else {
            throw ZoneFault("the transfer does not end")
        }
        var bare = message
        if exchange != nil {
            guard let good = exchange?.accept(message, unixTime: unixTime) else {
                throw ZoneFault("the primary's signature (TSIG) is missing or does not hold")
            }
            bare = good
        }
        if try isRefusal(bare) { return .notIncremental }
        for record in try answers(bare) { try take(record) }
        guard let state = try end() else { return .more }
        guard exchange?.isSettled ?? true else {
            throw ZoneFault("the last message of the transfer is not signed")
        }
        return state
    }

    /// - Returns: true when an incremental transfer is not possible with this primary.
    private func isRefusal(_ message: [UInt8]) throws(ZoneFault) -> Bool {
        guard message.count >= 12, message[2] & 0xF8 == 0x80,
            UInt16(message[0]) << 8 | UInt16(message[1]) == id
        else { throw ZoneFault("the primary's message is not an answer to what was asked") }
        let code = message[3] & 15
        // FORMERR and NOTIMP are what those say who do not know it.
        if [1, 4].contains(code), known != nil, records.isEmpty { return true }
        guard code == 0 else { throw ZoneFault("the primary answers with response code \(code)") }
        return false
    }

    private func answers(_ message: [UInt8]) throws(ZoneFault) -> [ResourceRecord] {
        var reader = MessageReader(message)
        guard let counts = reader.counts(), reader.skipQuestions(counts[0]) else {
            throw ZoneFault("a message of the transfer is malformed")
        }
        var found: [ResourceRecord] = []
        for _ in 0..<counts[1] {
            guard let record = reader.resourceRecord() else {
                throw ZoneFault("a record of the transfer is malformed")
            }
            guard record.owner.isWithin(apex) else {
                throw ZoneFault("the transfer has \(record.owner), which is not within \(apex)")
            }
            found.append(record)
        }
        return found
    }

    /// Everything up to the last SOA record is kept in order.
    private mutating func take(_ record: ResourceRecord) throws(ZoneFault) {
        guard !isOver else { throw ZoneFault("the transfer goes on behind its end") }
        if records.isEmpty {
            guard record.type == .soa, record.owner == apex, SOAData(record.data) != nil else {
                throw ZoneFault("the transfer does not begin with the zone's SOA record")
            }
        } else if record.type == .soa {
            guard record.owner == apex, let soa = SOAData(record.data) else {
                throw ZoneFault("the transfer has an SOA record that is not the zone's")
            }
            if records.count == 1, let known, soa.serial == SOAData(known.data)?.serial {
                isIncremental = true
            }
            let isNewest = soa.serial == SOAData(records[0].data)?.serial
            // The newest stands before what its step adds, and once more at the end.
            let seen = records.dropFirst().count { $0.type == .soa && $0.data == record.data }
            isOver = isNewest && (!isIncremental || seen == 1)
        }
        records.append(record)
    }

    /// What it all amounts to; nil while more must come.
    private func end() throws(ZoneFault) -> State? {
        if records.count == 1, let known, let own = SOAData(known.data),
            let newest = SOAData(records[0].data),
            !Serial.isNewer(newest.serial, than: own.serial)
        {
            return .current
        }
        guard isOver else { return nil }
        if isIncremental { return .steps(try IncomingTransfer.steps(records)) }
        return .whole(
            ZoneContent(
                apex: apex, version: 0, records: Array(records.dropLast()), failing: [:],
                subsets: [:]))
    }

    /// - Parameter records: from the newest SOA record to the newest SOA record.
    private static func steps(
        _ records: [ResourceRecord]
    ) throws(ZoneFault) -> [ZoneDifference] {
        var steps: [ZoneDifference] = []
        var rest = records.dropFirst().dropLast()
        while let from = rest.first {
            let removed = rest.dropFirst().prefix { $0.type != .soa }
            guard let to = rest.dropFirst(1 + removed.count).first else {
                throw ZoneFault("a step of the transfer has no end")
            }
            let added = rest.dropFirst(2 + removed.count).prefix { $0.type != .soa }
            steps.append(
                ZoneDifference(from: from, to: to, removed: Array(removed), added: Array(added)))
            rest = rest.dropFirst(2 + removed.count + added.count)
        }
        return steps
    }
}

extension MessageReader {
    /// One record of class IN with the names in its data as they are written without compression (RFC 3597 §4); nil
    /// when it is malformed.
    mutating func resourceRecord() -> ResourceRecord? {
        guard let owner = name(), let type = number(2), number(2) == 1, let ttl = number(4),
            let length = number(2)
        else { return nil }
        let start = offset
        guard let data = octets(Int(length)) else { return nil }
        let end = offset
        let kind = RecordType(rawValue: UInt16(type))
        let (before, names) = kind.compressibleNames
        var record = ResourceRecord(
            owner: owner, type: kind, ttl: ttl < 1 << 31 ? UInt32(ttl) : 0, data: data)
        guard names > 0 else { return record }
        guard data.count >= before else { return nil }
        record.data = Array(data[..<before])
        offset = start + before
        for _ in 0..<names {
            guard let name = name(), offset <= end else { return nil }
            record.data += name.wire
        }
        guard let rest = octets(end - offset) else { return nil }
        record.data += rest
        return record
    }
}
