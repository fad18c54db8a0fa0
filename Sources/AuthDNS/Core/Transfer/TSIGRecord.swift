/// The TSIG record at the end of a message (RFC 8945 §4.2): read from any bytes, and written. What a MAC is made
/// over is decided by `TSIGExchange`.
struct TSIGRecord: Hashable, Sendable {
    static let type = 250

    /// Extended codes of its own (RFC 8945 §3).
    enum Fault: UInt16, Sendable {
        case none = 0
        case badSignature = 16
        case badKey = 17
        case badTime = 18
        case badTruncation = 22
    }

    var key: DomainName
    var algorithm: DomainName
    /// Seconds since 1970, 48 bits.
    var time: UInt64
    /// Seconds by which clocks may differ.
    var fudge: UInt16 = 300
    var code: [UInt8]
    var originalID: UInt16
    var fault: UInt16 = 0
    var other: [UInt8] = []

    /// Octets of a record with these names and so long a MAC.
    static func length(_ key: TSIGKey) -> Int {
        key.name.wire.count + 10 + key.algorithm.name.wire.count + 16 + key.algorithm.length
    }

    /// Octets: the whole record, names not compressed.
    var wire: [UInt8] {
        var data = algorithm.wire
        data.append(time, octets: 6)
        data.append(UInt64(fudge), octets: 2)
        data.append(UInt64(code.count), octets: 2)
        data += code
        data.append(UInt64(originalID), octets: 2)
        data.append(UInt64(fault), octets: 2)
        data.append(UInt64(other.count), octets: 2)
        data += other
        var out = key.wire
        out.append(UInt64(TSIGRecord.type), octets: 2)
        out.append(255, octets: 2)
        out.append(0, octets: 4)
        out.append(UInt64(data.count), octets: 2)
        return out + data
    }

    /// What of it goes into a MAC beside the message: everything of the first message of an exchange, time and
    /// fudge alone of the later ones (RFC 8945 §4.3.3, §5.3.1).
    func digested(isFirst: Bool) -> [UInt8] {
        var out: [UInt8] = []
        if isFirst {
            out += key.wire
            out.append(255, octets: 2)
            out.append(0, octets: 4)
            out += algorithm.wire
        }
        out.append(time, octets: 6)
        out.append(UInt64(fudge), octets: 2)
        if isFirst {
            out.append(UInt64(fault), octets: 2)
            out.append(UInt64(other.count), octets: 2)
            out += other
        }
        return out
    }

    enum Finding: Hashable, Sendable {
        /// The message has none.
        case none
        /// It is not the last record, there are two, or it is malformed: FORMERR (RFC 8945 §5.2).
        case malformed
        /// Where it begins, and what it says.
        case found(Int, TSIGRecord)
    }

    /// Looks for it in a whole message.
    static func find(in message: [UInt8]) -> Finding {
        var reader = MessageReader(message)
        guard let counts = reader.counts(), reader.skipQuestions(counts[0]) else {
            return .malformed
        }
        let total = counts[1] + counts[2] + counts[3]
        var found = Finding.none
        for index in 0..<total {
            let start = reader.offset
            guard let (owner, type, data) = reader.record() else { return .malformed }
            guard Int(type) == TSIGRecord.type else { continue }
            guard index == total - 1, index >= counts[1] + counts[2],
                let record = TSIGRecord(owner, Array(message[data]))
            else { return .malformed }
            found = .found(start, record)
        }
        return reader.offset == message.count ? found : .malformed
    }
}

extension TSIGRecord {
    /// Reads the data of a record; nil when they are malformed.
    fileprivate init?(_ owner: DomainName, _ data: [UInt8]) {
        var reader = MessageReader(data)
        guard let algorithm = reader.name(isPlain: true), let time = reader.number(6),
            let fudge = reader.number(2), let length = reader.number(2),
            let code = reader.octets(Int(length)), let id = reader.number(2),
            let fault = reader.number(2), let rest = reader.number(2),
            let other = reader.octets(Int(rest)), reader.offset == data.count
        else { return nil }
        self.init(
            key: owner, algorithm: algorithm, time: time, fudge: UInt16(fudge), code: code,
            originalID: UInt16(id), fault: UInt16(fault), other: other)
    }
}
