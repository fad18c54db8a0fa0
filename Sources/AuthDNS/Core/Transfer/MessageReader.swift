/// Reads a DNS message piece by piece where speed does not matter: signed queries, replies to what this server
/// asked, transfers that come in. Whatever the bytes are, a step that is not possible gives nil.
struct MessageReader {
    private let bytes: [UInt8]
    var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The four counts of the header; goes behind it.
    mutating func counts() -> [Int]? {
        guard bytes.count >= 12 else { return nil }
        offset = 12
        return (0..<4).map { Int(bytes[4 + 2 * $0]) << 8 | Int(bytes[5 + 2 * $0]) }
    }

    mutating func skipQuestions(_ count: Int) -> Bool {
        for _ in 0..<count { guard name() != nil, octets(4) != nil else { return false } }
        return true
    }

    /// One record: owner, type, and where its data are.
    mutating func record() -> (owner: DomainName, type: UInt16, data: Range<Int>)? {
        guard let owner = name(), let type = number(2), octets(6) != nil, let length = number(2)
        else { return nil }
        let start = offset
        guard octets(Int(length)) != nil else { return nil }
        return (owner, UInt16(type), start..<offset)
    }

    mutating func number(_ count: Int) -> UInt64? {
        octets(count).map { $0.reduce(0) { $0 << 8 | UInt64($1) } }
    }

    mutating func octets(_ count: Int) -> [UInt8]? {
        guard count >= 0, bytes.count - offset >= count else { return nil }
        defer { offset += count }
        return Array(bytes[offset..<(offset + count)])
    }

    /// - Parameter isPlain: pointers are not allowed.
    mutating func name(isPlain: Bool = false) -> DomainName? {
        var wire: [UInt8] = []
        var at = offset
        var end: Int?
        var jumps = 0
        while at < bytes.count {
            let length = Int(bytes[at])
            if length == 0 {
                offset = end ?? at + 1
                return DomainName(wire: wire + [0])
            }
            if length >= 0xC0 {
                // A pointer goes backwards; each name has fewer of them than labels.
                guard !isPlain, at + 1 < bytes.count, jumps < 128 else { return nil }
                let target = (length & 0x3F) << 8 | Int(bytes[at + 1])
                guard target < at else { return nil }
                end = end ?? at + 2
                at = target
                jumps += 1
                continue
            }
            guard length < 64, at + length < bytes.count, wire.count + length < 255 else {
                return nil
            }
            wire += bytes[at...(at + length)]
            at += length + 1
        }
        return nil
    }
}
