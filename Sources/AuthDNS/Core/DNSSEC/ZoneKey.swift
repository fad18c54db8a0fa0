import Crypto

/// One DNSSEC key pair of the zone: what signs, and the records by which others know it (RFC 4034 §2, §5). When a
/// key is used for what is the roll's to say (`KeyRoll`), not the key's.
public struct ZoneKey: Sendable {
    /// RFC 8624 recommends these two for new zones.
    public enum Algorithm: UInt8, CaseIterable, Sendable {
        case ecdsaP256SHA256 = 13
        case ed25519 = 15

        /// As written in key files and by `dig` (IANA's mnemonic).
        public var mnemonic: String {
            switch self {
            case .ecdsaP256SHA256: "ECDSAP256SHA256"
            case .ed25519: "ED25519"
            }
        }
    }

    private enum Pair: Sendable {
        case p256(P256.Signing.PrivateKey)
        case ed25519(Curve25519.Signing.PrivateKey)
    }

    public let zone: DomainName
    /// Whether the parent's DS record points at it: a key-signing or combined key (SEP flag, RFC 4034 §2.1.1).
    public let isEntryPoint: Bool
    /// Short name of the key in signatures and DS records; two keys may share one by chance (RFC 4034 §5.1).
    public let tag: UInt16
    /// Data of its DNSKEY record, 68 or 36 octets.
    public let publicData: [UInt8]
    private let pair: Pair

    public var algorithm: Algorithm {
        switch pair {
        case .p256: .ecdsaP256SHA256
        case .ed25519: .ed25519
        }
    }

    /// 32 octets that nobody else may see.
    public var secret: [UInt8] {
        switch pair {
        case .p256(let key): Array(key.rawRepresentation)
        case .ed25519(let key): Array(key.rawRepresentation)
        }
    }

    /// - Parameter secret: 32 octets; nil when they are no key.
    public init?(
        zone: DomainName, algorithm: Algorithm, isEntryPoint: Bool, secret: [UInt8]
    ) {
        switch algorithm {
        case .ecdsaP256SHA256:
            guard let key = try? P256.Signing.PrivateKey(rawRepresentation: secret) else {
                return nil
            }
            self.init(zone, isEntryPoint, .p256(key), Array(key.publicKey.rawRepresentation))
        case .ed25519:
            guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: secret) else {
                return nil
            }
            self.init(zone, isEntryPoint, .ed25519(key), Array(key.publicKey.rawRepresentation))
        }
    }

    /// A new pair, drawn from the system's source of secrets.
    public init(drawnFor zone: DomainName, algorithm: Algorithm, isEntryPoint: Bool) {
        switch algorithm {
        case .ecdsaP256SHA256:
            let key = P256.Signing.PrivateKey()
            self.init(zone, isEntryPoint, .p256(key), Array(key.publicKey.rawRepresentation))
        case .ed25519:
            let key = Curve25519.Signing.PrivateKey()
            self.init(zone, isEntryPoint, .ed25519(key), Array(key.publicKey.rawRepresentation))
        }
    }

    private init(_ zone: DomainName, _ isEntryPoint: Bool, _ pair: Pair, _ point: [UInt8]) {
        self.zone = zone
        self.isEntryPoint = isEntryPoint
        self.pair = pair
        let number: UInt8
        switch pair {
        case .p256: number = Algorithm.ecdsaP256SHA256.rawValue
        case .ed25519: number = Algorithm.ed25519.rawValue
        }
        // Flags (ZONE, perhaps SEP), protocol 3, algorithm, the key itself.
        publicData = [1, isEntryPoint ? 1 : 0, 3, number] + point
        tag = ZoneKey.tag(of: publicData)
    }

    /// Signs octets as RRSIG records hold it: 64 octets (RFC 6605 §4, RFC 8080 §4). P-256 draws a nonce.
    func signature(of octets: [UInt8]) throws(ZoneFault) -> [UInt8] {
        do {
            switch pair {
            case .p256(let key): return Array(try key.signature(for: octets).rawRepresentation)
            case .ed25519(let key): return Array(try key.signature(for: octets))
            }
        } catch {
            throw ZoneFault("key \(tag) of \(zone) cannot sign: \(error)")
        }
    }

    /// Data of the DS record that the parent should have: tag, algorithm, digest type 2 (SHA-256), digest of
    /// owner and DNSKEY data (RFC 4034 §5.1.4, RFC 4509).
    public var delegationData: [UInt8] {
        [UInt8(tag >> 8), UInt8(tag & 255), algorithm.rawValue, 2]
            + Array(SHA256.hash(data: zone.wire + publicData))
    }

    /// RFC 4034 appendix B.
    static func tag(of data: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for (index, octet) in data.enumerated() {
            sum &+= index & 1 == 0 ? UInt32(octet) << 8 : UInt32(octet)
        }
        sum &+= sum >> 16 & 0xFFFF
        return UInt16(truncatingIfNeeded: sum)
    }
}

extension ZoneKey: Hashable {
    public static func == (left: ZoneKey, right: ZoneKey) -> Bool {
        left.zone == right.zone && left.publicData == right.publicData
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(zone)
        hasher.combine(publicData)
    }
}
