/// What a recipient, or its mail system, sent back to a smurf.
public struct AgentFeedback: Hashable, Sendable {
    public enum Kind: UInt8, Sendable {
        case bounce = 1
        case unsubscribe = 2
        case complaint = 3
    }

    public var kind: Kind
    /// From the verified token.
    public var mailing: UInt32
    public var recipient: UInt32
    /// RFC 3463, "5.1.1"; bounces only.
    public var status: String
    /// One line, at most 512 octets.
    public var diagnostic: String
    /// When it was taken.
    public var unixTime: Int64

    public init(
        kind: Kind, mailing: UInt32, recipient: UInt32, status: String = "",
        diagnostic: String = "", unixTime: Int64
    ) {
        self.kind = kind
        self.mailing = mailing
        self.recipient = recipient
        self.status = String(decoding: status.utf8.prefix(16), as: UTF8.self)
        self.diagnostic = String(decoding: diagnostic.utf8.prefix(512), as: UTF8.self)
        self.unixTime = unixTime
    }
}

/// An item of the spool with its number.
public struct SpooledFeedback: Hashable, Sendable {
    /// 1 and up; never used twice by one spool.
    public var sequence: UInt64
    public var feedback: AgentFeedback
}

/// The form of an item on disk:
///
///     record = length (4 octets, of the item) checksum (8 octets, FNV-1a of the item) item
///     item   = sequence (8) kind (1) mailing (4) recipient (4) unix-time (8) status-length (1) status
///              diagnostic
///
/// All numbers are in network order.
enum SpoolRecord {
    private static let longestItem = 2048

    static func encode(_ spooled: SpooledFeedback, into bytes: inout [UInt8]) {
        let feedback = spooled.feedback
        var item: [UInt8] = []
        put(spooled.sequence, 8, &item)
        item.append(feedback.kind.rawValue)
        put(UInt64(feedback.mailing), 4, &item)
        put(UInt64(feedback.recipient), 4, &item)
        put(UInt64(bitPattern: feedback.unixTime), 8, &item)
        let status = Array(feedback.status.utf8.prefix(255))
        item.append(UInt8(status.count))
        item += status
        item += feedback.diagnostic.utf8
        put(UInt64(item.count), 4, &bytes)
        put(checksum(item[...]), 8, &bytes)
        bytes += item
    }

    /// Reads records up to the first that is not whole.
    /// - Returns: the items and how many octets they took.
    static func decode(_ bytes: [UInt8]) -> (items: [SpooledFeedback], length: Int) {
        var items: [SpooledFeedback] = []
        var offset = 0
        while bytes.count - offset >= 12 {
            let length = Int(number(bytes[offset..<(offset + 4)]))
            guard (26...longestItem).contains(length), bytes.count - offset - 12 >= length else {
                break
            }
            let item = bytes[(offset + 12)..<(offset + 12 + length)]
            guard checksum(item) == number(bytes[(offset + 4)..<(offset + 12)]),
                let spooled = decode(item)
            else { break }
            items.append(spooled)
            offset += 12 + length
        }
        return (items, offset)
    }

    private static func decode(_ item: ArraySlice<UInt8>) -> SpooledFeedback? {
        let start = item.startIndex
        let statusLength = Int(item[start + 25])
        guard let kind = AgentFeedback.Kind(rawValue: item[start + 8]),
            item.count >= 26 + statusLength, item[start] < 0x80
        else { return nil }
        let text = item.dropFirst(26)
        return SpooledFeedback(
            sequence: number(item[start..<(start + 8)]),
            feedback: AgentFeedback(
                kind: kind,
                mailing: UInt32(truncatingIfNeeded: number(item[(start + 9)..<(start + 13)])),
                recipient: UInt32(truncatingIfNeeded: number(item[(start + 13)..<(start + 17)])),
                status: String(decoding: text.prefix(statusLength), as: UTF8.self),
                diagnostic: String(decoding: text.dropFirst(statusLength), as: UTF8.self),
                unixTime: Int64(bitPattern: number(item[(start + 17)..<(start + 25)]))))
    }

    private static func put(_ value: UInt64, _ count: Int, _ bytes: inout [UInt8]) {
        for index in (0..<count).reversed() {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(index * 8)))
        }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// FNV-1a, 64 bits: finds torn writes; nobody hostile writes here.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
