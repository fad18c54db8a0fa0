/// A transfer on its way: the messages that carry a zone, or what changed in it, one after the other (RFC 5936
/// §2.2, RFC 1995 §4). It holds one version of the zone for as long as the transfer takes. Owners are compressed
/// against the question, record data are not.
public struct TransferStream: Sendable {
    /// Octets of one message, about: large enough to be few, small enough to be made between other work.
    static let messageSize = 16_384

    /// Header and question of every message.
    private let head: [UInt8]
    private let apex: DomainName
    private let hasOPT: Bool
    private let records: [ResourceRecord]
    private var next = 0
    private var exchange: TSIGExchange?

    /// What the transfer is made of, in order, from the newest SOA record to the newest SOA record.
    init(
        _ records: [ResourceRecord], apex: DomainName, head: [UInt8], hasOPT: Bool,
        exchange: TSIGExchange?
    ) {
        self.records = records
        self.apex = apex
        self.head = head
        self.hasOPT = hasOPT
        self.exchange = exchange
    }

    public var isAtEnd: Bool { next == records.count }

    /// The next message, signed when the query was; nil behind the last.
    /// - Parameter unixTime: seconds since 1970.
    /// - Complexity: O(octets of the message).
    public mutating func message(unixTime: UInt64) -> [UInt8]? {
        if isAtEnd { return nil }
        let isFirst = next == 0
        var message = head
        let reserved = (exchange?.overhead ?? 0) + 11
        var count = 0
        while next < records.count {
            let before = message.count
            append(records[next], to: &message)
            let isTooLong =
                message.count + reserved > 65_535
                || (count > 0 && message.count > TransferStream.messageSize)
            if isTooLong && count > 0 {
                message.removeLast(message.count - before)
                break
            }
            next += 1
            count += 1
        }
        message[6] = UInt8(count >> 8)
        message[7] = UInt8(count & 255)
        if isFirst && hasOPT {
            message += OptRecord.plain
            message[11] = 1
        }
        exchange?.sign(&message, unixTime: unixTime)
        return message
    }

    private func append(_ record: ResourceRecord, to message: inout [UInt8]) {
        let wire = record.owner.wire
        if record.owner.isWithin(apex) {
            message += wire.dropLast(apex.wire.count)
            message += [0xC0, 12]
        } else {
            message += wire
        }
        message.append(UInt64(record.type.rawValue), octets: 2)
        message.append(1, octets: 2)
        message.append(UInt64(record.ttl), octets: 4)
        message.append(UInt64(record.data.count), octets: 2)
        message += record.data
    }
}
