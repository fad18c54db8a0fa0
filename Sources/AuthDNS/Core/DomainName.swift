/// A domain name in wire form (RFC 1035 §3.1), lower-cased, uncompressed, at most 255 octets. It is
/// what zones and images are keyed by; the case that an asker used stays in the asker's own question.
public struct DomainName: Hashable, Sendable {
    /// Length-prefixed labels and the root's zero octet.
    public let wire: [UInt8]

    /// The root.
    public static let root = DomainName(uncheckedWire: [0])

    /// - Parameter wire: one whole uncompressed name and nothing behind it.
    /// - Returns: nil when it is not that, or longer than 255 octets.
    public init?(wire: [UInt8]) {
        guard (1...255).contains(wire.count) else { return nil }
        var offset = 0
        while wire[offset] != 0 {
            let next = offset + Int(wire[offset]) + 1
            guard wire[offset] < 64, next < wire.count else { return nil }
            offset = next
        }
        guard offset == wire.count - 1 else { return nil }
        self.wire = DomainName.lowered(wire)
    }

    /// - Parameter text: labels between dots, absolute with or without the last dot; `\.` and
    ///   `\DDD` escapes of RFC 1035 §5.1 are understood. "." is the root.
    public init?(_ text: String) {
        if text == "." {
            self = .root
            return
        }
        guard let labels = DomainName.labels(in: Array(text.utf8)) else { return nil }
        var wire: [UInt8] = []
        for label in labels { wire += [UInt8(label.count)] + label }
        wire.append(0)
        guard wire.count <= 255 else { return nil }
        self.wire = DomainName.lowered(wire)
    }

    private init(uncheckedWire: [UInt8]) { wire = uncheckedWire }

    /// Where each label begins in `wire`, without the root's.
    var labelOffsets: [Int] {
        var offsets: [Int] = []
        var offset = 0
        while wire[offset] != 0 {
            offsets.append(offset)
            offset += Int(wire[offset]) + 1
        }
        return offsets
    }

    /// The name without its first label; nil for the root.
    public var parent: DomainName? {
        guard wire[0] != 0 else { return nil }
        return DomainName(uncheckedWire: Array(wire[(Int(wire[0]) + 1)...]))
    }

    /// Whether the first label is "*" (RFC 4592).
    public var isWildcard: Bool { wire.count > 2 && wire[0] == 1 && wire[1] == 0x2A }

    /// Whether the name is `other` or below it.
    public func isWithin(_ other: DomainName) -> Bool {
        guard wire.count >= other.wire.count else { return false }
        let start = wire.count - other.wire.count
        guard start == 0 || labelOffsets.contains(start) || other.wire.count == 1 else {
            return false
        }
        return wire[start...].elementsEqual(other.wire)
    }

    /// The name made of `labels` (as text, relative) and this one; nil when it is not a name.
    public func prepending(_ labels: String) -> DomainName? {
        guard let front = DomainName(labels), front.wire.count > 1 else { return nil }
        return DomainName(wire: Array(front.wire.dropLast()) + wire)
    }

    private static func lowered(_ bytes: [UInt8]) -> [UInt8] {
        // Length octets are below 64 and so never taken for letters.
        bytes.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
    }

    private static func labels(in text: [UInt8]) -> [[UInt8]]? {
        var labels: [[UInt8]] = [[]]
        var index = 0
        while index < text.count {
            let byte = text[index]
            index += 1
            switch byte {
            case 0x2E:
                if index == text.count { return valid(labels) }
                labels.append([])
            case 0x5C:
                guard let octet = escaped(text, &index) else { return nil }
                labels[labels.count - 1].append(octet)
            default: labels[labels.count - 1].append(byte)
            }
        }
        return valid(labels)
    }

    private static func valid(_ labels: [[UInt8]]) -> [[UInt8]]? {
        labels.allSatisfy { (1...63).contains($0.count) } ? labels : nil
    }

    /// Reads what follows a backslash.
    private static func escaped(_ text: [UInt8], _ index: inout Int) -> UInt8? {
        guard index < text.count else { return nil }
        guard (0x30...0x39).contains(text[index]) else {
            index += 1
            return text[index - 1]
        }
        guard index + 3 <= text.count,
            let value = UInt8(String(decoding: text[index..<(index + 3)], as: UTF8.self))
        else { return nil }
        index += 3
        return value
    }
}

extension DomainName {
    /// All octets at once: zones are full of dictionaries by name.
    public func hash(into hasher: inout Hasher) {
        // Safe: the hasher reads the octets before the call returns.
        unsafe wire.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
    }
}

extension DomainName: CustomStringConvertible {
    /// Presentation form without the last dot, except for the root; odd octets as `\DDD`.
    public var description: String {
        if wire.count == 1 { return "." }
        return labelOffsets.map { offset in
            let label = wire[(offset + 1)..<(offset + 1 + Int(wire[offset]))]
            return label.map(DomainName.presented).joined()
        }.joined(separator: ".")
    }

    private static func presented(_ octet: UInt8) -> String {
        switch octet {
        case 0x2E, 0x5C: return "\\" + String(UnicodeScalar(octet))
        case 0x21...0x7E: return String(UnicodeScalar(octet))
        default:
            let digits = String(octet)
            return "\\" + String(repeating: "0", count: 3 - digits.count) + digits
        }
    }
}
