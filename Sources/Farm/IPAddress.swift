/// An IPv4 or IPv6 address as a value: what an A or AAAA record carries. Parses and prints without
/// the C library; no zone identifiers, no ports, no names.
public enum IPAddress: Hashable, Sendable, Comparable {
    case v4(UInt32)
    case v6(high: UInt64, low: UInt64)

    /// - Parameter text: dotted decimal, or any form of RFC 4291 §2.2.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        if bytes.contains(0x3A) {
            guard let address = IPAddress.parseV6(bytes) else { return nil }
            self = address
        } else {
            guard let value = IPAddress.parseV4(bytes[...]) else { return nil }
            self = .v4(value)
        }
    }

    /// - Parameter bytes: 4 or 16 octets in network order.
    public init?(octets bytes: [UInt8]) {
        func number(_ range: Range<Int>) -> UInt64 {
            bytes[range].reduce(0) { $0 << 8 | UInt64($1) }
        }
        switch bytes.count {
        case 4: self = .v4(UInt32(number(0..<4)))
        case 16: self = .v6(high: number(0..<8), low: number(8..<16))
        default: return nil
        }
    }

    /// The address in network order: 4 or 16 octets.
    public var octets: [UInt8] {
        func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64((count - 1 - $0) * 8)) }
        }
        switch self {
        case .v4(let value): return bytes(UInt64(value), 4)
        case .v6(let high, let low): return bytes(high, 8) + bytes(low, 8)
        }
    }

    /// Whether packets to it stay on this machine (127.0.0.0/8, ::1).
    public var isLoopback: Bool {
        switch self {
        case .v4(let value): value >> 24 == 127
        case .v6(let high, let low): high == 0 && low == 1
        }
    }

    /// Whether it stands for every address of a machine (0.0.0.0, ::).
    public var isUnspecified: Bool { self == .v4(0) || self == .v6(high: 0, low: 0) }

    /// IPv4 before IPv6, then by value.
    public static func < (left: IPAddress, right: IPAddress) -> Bool {
        switch (left, right) {
        case (.v4(let a), .v4(let b)): a < b
        case (.v4, .v6): true
        case (.v6, .v4): false
        case (.v6(let ah, let al), .v6(let bh, let bl)): (ah, al) < (bh, bl)
        }
    }

    private static func parseV4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        let parts = bytes.split(separator: 0x2E, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy({ (0x30...0x39).contains($0) }),
                part.count == 1 || part.first != 0x30
            else { return nil }
            let number = part.reduce(UInt32(0)) { $0 * 10 + UInt32($1 - 0x30) }
            guard number <= 255 else { return nil }
            value = value << 8 | number
        }
        return value
    }

    private static func parseV6(_ bytes: [UInt8]) -> IPAddress? {
        var text = bytes[...]
        var tail: [UInt16] = []
        if bytes.contains(0x2E) {
            guard let colon = bytes.lastIndex(of: 0x3A),
                let value = parseV4(bytes[(colon + 1)...])
            else { return nil }
            tail = [UInt16(value >> 16), UInt16(value & 0xFFFF)]
            // Keep the colon when it closes a "::".
            let closes = colon > 0 && bytes[colon - 1] == 0x3A
            text = bytes[..<(closes ? colon + 1 : colon)]
        }
        guard let gap = doubleColon(in: text) else {
            guard let groups = parseGroups(text), groups.count + tail.count == 8 else { return nil }
            return IPAddress(groups: groups + tail)
        }
        guard let front = parseGroups(text[..<gap]), let back = parseGroups(text[(gap + 2)...])
        else { return nil }
        let missing = 8 - front.count - back.count - tail.count
        guard missing >= 1 else { return nil }
        return IPAddress(groups: front + Array(repeating: 0, count: missing) + back + tail)
    }

    private static func doubleColon(in text: ArraySlice<UInt8>) -> Int? {
        text.indices.first { $0 + 1 < text.endIndex && text[$0] == 0x3A && text[$0 + 1] == 0x3A }
    }

    private static func parseGroups(_ text: ArraySlice<UInt8>) -> [UInt16]? {
        if text.isEmpty { return [] }
        var groups: [UInt16] = []
        for part in text.split(separator: 0x3A, omittingEmptySubsequences: false) {
            guard (1...4).contains(part.count),
                let value = UInt16(String(decoding: part, as: UTF8.self), radix: 16),
                part.first != 0x2B, part.first != 0x2D
            else { return nil }
            groups.append(value)
        }
        return groups
    }

    private init(groups: [UInt16]) {
        self = .v6(
            high: groups[0..<4].reduce(0) { $0 << 16 | UInt64($1) },
            low: groups[4..<8].reduce(0) { $0 << 16 | UInt64($1) })
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted decimal, or RFC 5952.
    public var description: String {
        switch self {
        case .v4: return octets.map(String.init).joined(separator: ".")
        case .v6(let high, let low):
            let groups = [high, low].flatMap { half in
                stride(from: 48, through: 0, by: -16).map {
                    UInt16(truncatingIfNeeded: half >> UInt64($0))
                }
            }
            return IPAddress.compressed(groups)
        }
    }

    private static func compressed(_ groups: [UInt16]) -> String {
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8 && groups[end] == 0 { end += 1 }
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start + 1)
        }
        func text(_ part: ArraySlice<UInt16>) -> String {
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard !best.isEmpty else { return text(groups[...]) }
        return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
    }
}
