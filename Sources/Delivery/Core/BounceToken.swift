import Crypto

/// What a bounce, an unsubscribe link or a complaint says of itself: which recipient of which mailing, and
/// until when it is believed. 10 octets; no personal data. The signed text form is made and read by
/// `TokenMint`.
public struct BounceToken: Hashable, Sendable {
    public var mailing: UInt32
    public var recipient: UInt32
    /// Last day on which it is valid, in days since 1970-01-01 (UTC).
    public var expiryDay: UInt16

    public init(mailing: UInt32, recipient: UInt32, expiryDay: UInt16) {
        self.mailing = mailing
        self.recipient = recipient
        self.expiryDay = expiryDay
    }

    fileprivate var octets: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(TokenMint.octetCount)
        for number in [mailing, recipient] {
            for shift in [24, 16, 8, 0] {
                out.append(UInt8(truncatingIfNeeded: number >> UInt32(shift)))
            }
        }
        out.append(UInt8(truncatingIfNeeded: expiryDay >> 8))
        out.append(UInt8(truncatingIfNeeded: expiryDay))
        return out
    }
}

/// Makes and verifies the 32 lower-case base32 letters (RFC 4648 §6) that stand in the envelope sender, the
/// Message-ID and the unsubscribe link: 10 octets of `BounceToken`, then 80 bits of their HMAC-SHA256.
/// The first key signs, all keys verify, so that keys can be changed without losing bounces.
public struct TokenMint: Sendable {
    /// Letters of a token.
    public static let length = 32
    /// What stands before the token in a local part.
    public static let prefix = "b-"
    static let octetCount = 20
    private let keys: [SymmetricKey]

    /// - Parameter keys: at least one, each of at least 16 octets (32 is usual).
    /// - Returns: nil when there is no key or one is too short.
    public init?(keys: [[UInt8]]) {
        guard !keys.isEmpty, keys.allSatisfy({ $0.count >= 16 }) else { return nil }
        self.keys = keys.map { SymmetricKey(data: $0) }
    }

    /// - Returns: 32 ASCII octets, the same for the same token and key.
    public func mint(_ token: BounceToken) -> [UInt8] {
        let payload = token.octets
        return Base32.encode(payload + TokenMint.tag(of: payload, with: keys[0]))
    }

    /// As `mint(_:)`.
    public func mint(mailing: UInt32, recipient: UInt32, expiryDay: UInt16) -> [UInt8] {
        mint(BounceToken(mailing: mailing, recipient: recipient, expiryDay: expiryDay))
    }

    /// - Parameters:
    ///   - text: 32 letters in any case; hostile.
    ///   - today: days since 1970-01-01.
    /// - Returns: nil when it was not signed by one of the keys or has expired.
    public func verify(_ text: some Collection<UInt8>, today: UInt16) -> BounceToken? {
        guard text.count == TokenMint.length, let octets = Base32.decode(Array(text)) else {
            return nil
        }
        let payload = Array(octets[..<10])
        var genuine = false
        // Every key is tried and every octet compared, so that time tells nothing.
        for key in keys {
            let tag = TokenMint.tag(of: payload, with: key)
            let difference = zip(tag, octets[10...]).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) }
            if difference == 0 { genuine = true }
        }
        func number(_ range: Range<Int>) -> UInt32 {
            payload[range].reduce(0) { $0 << 8 | UInt32($1) }
        }
        let day = UInt16(truncatingIfNeeded: number(8..<10))
        guard genuine, day >= today else { return nil }
        return BounceToken(mailing: number(0..<4), recipient: number(4..<8), expiryDay: day)
    }

    /// As `verify(_:today:)`.
    public func verify(_ text: String, today: UInt16) -> BounceToken? {
        verify(Array(text.utf8), today: today)
    }

    /// Verifies the local part of a bounce address: `b-<token>`, optionally with `+detail`.
    /// - Returns: nil when it is no such local part or the token is not genuine.
    public func verify(localPart: String, today: UInt16) -> BounceToken? {
        guard let token = TokenMint.token(inLocalPart: localPart) else { return nil }
        return verify(token, today: today)
    }

    /// The local part that carries `token`; 34 octets.
    public static func localPart(_ token: [UInt8]) -> String { prefix + ASCII.text(token) }

    /// The token in `b-<token>` or `b-<token>+detail`, not verified; nil when the form is another.
    public static func token(inLocalPart text: String) -> String? {
        let bytes = Array(text.utf8)
        let end = prefix.utf8.count + length
        guard ASCII.hasPrefixIgnoringCase(bytes[...], prefix), bytes.count >= end,
            bytes.count == end || bytes[end] == 0x2B
        else { return nil }
        return ASCII.text(bytes[prefix.utf8.count..<end])
    }

    private static func tag(of payload: [UInt8], with key: SymmetricKey) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: payload, using: key).prefix(10))
    }
}

/// Base32 (RFC 4648 §6) in lower case and without padding, for whole groups of 5 octets only.
enum Base32 {
    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

    static func encode(_ octets: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(octets.count / 5 * 8)
        for start in stride(from: 0, to: octets.count - octets.count % 5, by: 5) {
            let group = octets[start..<(start + 5)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            for shift in stride(from: 35, through: 0, by: -5) {
                out.append(alphabet[Int(group >> UInt64(shift)) & 31])
            }
        }
        return out
    }

    static func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count % 8 == 0 else { return nil }
        var out: [UInt8] = []
        for start in stride(from: 0, to: text.count, by: 8) {
            var group: UInt64 = 0
            for byte in text[start..<(start + 8)] {
                switch ASCII.lowered(byte) {
                case let letter where letter &- 0x61 < 26:
                    group = group << 5 | UInt64(letter - 0x61)
                case let digit where digit &- 0x32 < 6: group = group << 5 | UInt64(digit - 0x18)
                default: return nil
                }
            }
            for shift in stride(from: 32, through: 0, by: -8) {
                out.append(UInt8(truncatingIfNeeded: group >> UInt64(shift)))
            }
        }
        return out
    }
}
