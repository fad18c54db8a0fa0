/// The form of a DNS message, read by code that shares nothing with the server: names that end, pointers that go
/// backwards, data within the message.
struct MessageForm {
    private let bytes: [UInt8]
    private(set) var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { offset == bytes.count }

    private func number(_ at: Int) -> Int { Int(bytes[at]) << 8 | Int(bytes[at + 1]) }

    mutating func skipHeaderAndQuestions() -> Bool {
        guard bytes.count >= 12 else { return false }
        offset = 12
        for _ in 0..<number(4) {
            guard skipName(), offset + 4 <= bytes.count else { return false }
            offset += 4
        }
        return true
    }

    /// Every record that the header counts.
    mutating func skipRecords() -> Bool {
        for _ in 0..<(number(6) + number(8) + number(10)) {
            if record() == nil { return false }
        }
        return true
    }

    mutating func record() -> (type: Int, recordClass: Int)? {
        guard skipName(), offset + 10 <= bytes.count else { return nil }
        let start = offset
        offset += 10 + number(start + 8)
        return offset <= bytes.count ? (number(start), number(start + 2)) : nil
    }

    private mutating func skipName() -> Bool {
        var at = offset
        var end: Int?
        var length = 0
        while at < bytes.count, length < 255 {
            let octet = Int(bytes[at])
            if octet == 0 {
                offset = end ?? at + 1
                return true
            }
            if octet >= 0xC0 {
                guard at + 1 < bytes.count, number(at) & 0x3FFF < at else { return false }
                end = end ?? at + 2
                at = number(at) & 0x3FFF
            } else {
                guard octet < 64 else { return false }
                length += octet + 1
                at += octet + 1
            }
        }
        return false
    }
}
