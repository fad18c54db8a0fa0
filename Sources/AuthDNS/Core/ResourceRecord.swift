public import Farm

/// One resource record of class IN in wire form, outside any message: no compression, names of the
/// well-known types lower-cased by whoever read them.
public struct ResourceRecord: Hashable, Sendable {
    public var owner: DomainName
    public var type: RecordType
    /// Seconds, below 2^31 (RFC 2181 §8).
    public var ttl: UInt32
    /// At most 65,535 octets.
    public var data: [UInt8]

    public init(owner: DomainName, type: RecordType, ttl: UInt32, data: [UInt8]) {
        self.owner = owner
        self.type = type
        self.ttl = ttl
        self.data = data
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(owner)
        hasher.combine(type)
        // Safe: the hasher reads the octets before the call returns.
        unsafe data.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
    }

    /// A or AAAA.
    public static func address(_ owner: DomainName, _ address: IPAddress, ttl: UInt32) -> Self {
        let type: RecordType =
            switch address {
            case .v4: .a
            case .v6: .aaaa
            }
        return ResourceRecord(owner: owner, type: type, ttl: ttl, data: address.octets)
    }

    /// MX (RFC 1035 §3.3.9).
    public static func mailExchange(
        _ owner: DomainName, preference: UInt16, host: DomainName, ttl: UInt32
    ) -> Self {
        naming(host, .mx, owner, [preference], ttl)
    }

    /// SRV (RFC 2782).
    public static func service(
        _ owner: DomainName, priority: UInt16, weight: UInt16, port: UInt16, host: DomainName,
        ttl: UInt32
    ) -> Self {
        naming(host, .srv, owner, [priority, weight, port], ttl)
    }

    /// HTTPS in service mode without parameters (RFC 9460 §9): where the origin is served, on its usual port.
    public static func https(
        _ owner: DomainName, priority: UInt16, host: DomainName, ttl: UInt32
    ) -> Self {
        naming(host, .https, owner, [priority], ttl)
    }

    /// Numbers and, behind them, a host.
    private static func naming(
        _ host: DomainName, _ type: RecordType, _ owner: DomainName, _ numbers: [UInt16],
        _ ttl: UInt32
    ) -> Self {
        var data: [UInt8] = []
        for number in numbers { data.append(UInt64(number), octets: 2) }
        return ResourceRecord(owner: owner, type: type, ttl: ttl, data: data + host.wire)
    }

    /// TXT of one or more character strings of at most 255 octets each (RFC 1035 §3.3.14).
    public static func text(_ owner: DomainName, _ text: String, ttl: UInt32) -> Self {
        var data: [UInt8] = []
        var rest = Array(text.utf8)[...]
        repeat {
            let piece = rest.prefix(255)
            data.append(UInt8(piece.count))
            data.append(contentsOf: piece)
            rest = rest.dropFirst(255)
        } while !rest.isEmpty
        return ResourceRecord(owner: owner, type: .txt, ttl: ttl, data: data)
    }
}

/// A record type by its number; types without a name here are served all the same (RFC 3597).
public struct RecordType: RawRepresentable, Hashable, Comparable, Sendable {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let a = RecordType(rawValue: 1)
    public static let ns = RecordType(rawValue: 2)
    public static let cname = RecordType(rawValue: 5)
    public static let soa = RecordType(rawValue: 6)
    public static let ptr = RecordType(rawValue: 12)
    public static let mx = RecordType(rawValue: 15)
    public static let txt = RecordType(rawValue: 16)
    public static let aaaa = RecordType(rawValue: 28)
    public static let srv = RecordType(rawValue: 33)
    public static let https = RecordType(rawValue: 65)
    public static let dname = RecordType(rawValue: 39)
    public static let opt = RecordType(rawValue: 41)
    public static let ds = RecordType(rawValue: 43)
    public static let rrsig = RecordType(rawValue: 46)
    public static let nsec = RecordType(rawValue: 47)
    public static let dnskey = RecordType(rawValue: 48)
    public static let tlsa = RecordType(rawValue: 52)
    public static let cds = RecordType(rawValue: 59)
    public static let cdnskey = RecordType(rawValue: 60)
    public static let ixfr = RecordType(rawValue: 251)
    public static let axfr = RecordType(rawValue: 252)
    public static let any = RecordType(rawValue: 255)

    var number: Int { Int(rawValue) }

    /// Where names that may be compressed begin and how many there are (RFC 3597 §4).
    var compressibleNames: (offset: Int, count: Int) {
        switch self {
        case .ns, .cname, .ptr: (0, 1)
        case .mx: (2, 1)
        case .soa: (0, 2)
        default: (0, 0)
        }
    }

    public static func < (left: RecordType, right: RecordType) -> Bool {
        left.rawValue < right.rawValue
    }
}
