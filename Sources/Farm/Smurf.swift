/// The name of one machine of the farm: a single lower-case LDH label (RFC 1123 §2.1), because it is
/// also the machine's stable host name under the zone. It says nothing of what the machine does now;
/// that is its `Role`.
public struct SmurfID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let name: String

    /// - Parameter name: 1…63 letters, digits and inner hyphens; upper case is lowered.
    /// - Returns: nil when `name` is not such a label.
    public init?(_ name: String) {
        guard let label = ldhLabel(name) else { return nil }
        self.name = label
    }

    public var description: String { name }

    public static func < (left: SmurfID, right: SmurfID) -> Bool { left.name < right.name }
}

/// The name of what a smurf does now, as the policy file spells it ("smtp-out", "web", …). Roles are
/// data: nothing in the program knows a list of them.
public struct Role: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let name: String

    /// - Parameter name: 1…63 letters, digits and inner hyphens; upper case is lowered.
    /// - Returns: nil when `name` is not such a label, or is "idle", which means "no role".
    public init?(_ name: String) {
        guard let label = ldhLabel(name), label != "idle" else { return nil }
        self.name = label
    }

    public var description: String { name }

    public static func < (left: Role, right: Role) -> Bool { left.name < right.name }
}

/// Lowers `text` and checks that it is one LDH label.
private func ldhLabel(_ text: String) -> String? {
    let bytes = Array(text.utf8)
    guard (1...63).contains(bytes.count), bytes.first != 0x2D, bytes.last != 0x2D else {
        return nil
    }
    for byte in bytes {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D: continue
        default: return nil
        }
    }
    return text.lowercased()
}
