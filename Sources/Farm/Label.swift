/// What a machine says of itself for the policy to go by, "rack=b": a key and a value. It is a word that the operator gave
/// its agent, not something measured, and no name of anything in DNS.
public struct Label: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// "rack=b"
    public let text: String

    /// - Parameter text: KEY=VALUE; each 1…63 letters, digits, '-', '_' and '.'. Case counts.
    /// - Returns: nil for anything else.
    public init?(_ text: String) {
        let parts = text.utf8.split(separator: 0x3D, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        for part in parts {
            guard (1...63).contains(part.count), part.allSatisfy(Label.isAllowed) else {
                return nil
            }
        }
        self.text = text
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
        default: false
        }
    }

    public var description: String { text }

    public static func < (left: Label, right: Label) -> Bool { left.text < right.text }
}
