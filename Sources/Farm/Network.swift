/// A block of IPv4 or IPv6 addresses in CIDR notation (RFC 4632, RFC 4291 §2.3).
public struct Network: Hashable, Sendable, CustomStringConvertible {
    public let address: IPAddress
    /// Leading bits that count: 0…32 or 0…128.
    public let prefix: Int

    /// - Parameter text: "192.0.2.0/24", "2001:db8::/32", or an address, which stands for itself alone.
    /// - Returns: nil when it is neither, or has bits set beyond its prefix.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let address = IPAddress(String(parts[0])) else {
            return nil
        }
        let bits = address.octets.count * 8
        var prefix = bits
        if parts.count == 2 {
            guard let number = Int(parts[1]), (0...bits).contains(number),
                parts[1].allSatisfy(\.isNumber)
            else { return nil }
            prefix = number
        }
        self.address = address
        self.prefix = prefix
        guard Network.masked(address.octets, prefix) == address.octets else { return nil }
    }

    /// Whether `other` is one of the block's addresses. An IPv4-mapped IPv6 address is the IPv4 address.
    public func contains(_ other: IPAddress) -> Bool {
        var octets = other.octets
        if octets.count == 16, Array(octets.prefix(12)) == Network.mappedPrefix {
            octets = Array(octets.suffix(4))
        }
        let own = address.octets
        return octets.count == own.count && Network.masked(octets, prefix) == own
    }

    public var description: String { "\(address)/\(prefix)" }

    private static let mappedPrefix: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255]

    private static func masked(_ octets: [UInt8], _ prefix: Int) -> [UInt8] {
        octets.enumerated().map { index, octet in
            let kept = min(max(prefix - index * 8, 0), 8)
            return kept == 0 ? 0 : octet & (0xFF << UInt8(8 - kept))
        }
    }
}
