import Farm

/// The key of server cookies: 128 bits that every server of a zone shares (RFC 9018 §4.4).
public struct CookieSecret: Hashable, Sendable {
    let k0: UInt64
    let k1: UInt64

    /// - Parameters: both halves as little-endian numbers, for a secret that is drawn at random.
    public init(_ k0: UInt64, _ k1: UInt64) {
        self.k0 = k0
        self.k1 = k1
    }

    /// - Parameter hex: 32 hexadecimal digits, as NSD's and BIND's files have them; nil for others.
    public init?(hex: String) {
        let digits = Array(hex.utf8)
        guard digits.count == 32 else { return nil }
        var halves: [UInt64] = [0, 0]
        for index in 0..<16 {
            guard let high = CookieSecret.value(digits[index * 2]),
                let low = CookieSecret.value(digits[index * 2 + 1])
            else { return nil }
            halves[index / 8] |= (high << 4 | low) << UInt64(index % 8 * 8)
        }
        self.init(halves[0], halves[1])
    }

    private static func value(_ digit: UInt8) -> UInt64? {
        switch digit {
        case 0x30...0x39: UInt64(digit - 0x30)
        case 0x41...0x46: UInt64(digit - 0x37)
        case 0x61...0x66: UInt64(digit - 0x57)
        default: nil
        }
    }
}

/// What a query's COOKIE option proves.
public enum CookieState: UInt8, Sendable {
    /// There is none, or cookies are off.
    case none
    /// A client cookie alone: the asker supports cookies and has not shown any of ours.
    case client
    /// One of ours, for this client and of this hour: the address is not forged.
    case valid
    /// Not one of ours, or not any more.
    case invalid
}

/// Server cookies of RFC 9018: made of the client's cookie, its address and the time, so that nothing is
/// stored about anybody. The first secret makes them; the second is accepted too, while one follows the
/// other (RFC 9018 §5).
public struct ServerCookies: Hashable, Sendable {
    public var active: CookieSecret
    /// The one before, or the one that comes next; nil most of the time.
    public var other: CookieSecret?
    /// Whether UDP clients with a cookie of their own must show one of ours (RFC 7873 §5.2.3, §5.2.4).
    public var isRequired: Bool

    public init(active: CookieSecret, other: CookieSecret? = nil, isRequired: Bool = false) {
        self.active = active
        self.other = other
        self.isRequired = isRequired
    }

    /// A server cookie without its hash, and its hash.
    struct Cookie: Equatable {
        /// The client's eight octets, little-endian.
        var client: UInt64
        /// Version, three reserved octets and the timestamp, in network order.
        var head: UInt64
        var hash: UInt64
    }

    /// Judges the cookie of a query.
    /// - Parameters:
    ///   - start: of the option's data, which has `length` octets, within the message.
    ///   - now: seconds since 1970 modulo 2^32.
    /// - Returns: what it proves, and the cookie for the reply.
    func judge(
        _ message: Span<UInt8>, _ start: Int, _ length: Int, _ address: IPAddress, _ now: UInt32
    ) -> (CookieState, Cookie) {
        let client = ServerCookies.word(message, start).byteSwapped
        guard length > 8 else { return (.client, fresh(client, address, now)) }
        guard length == 24 else { return (.invalid, fresh(client, address, now)) }
        let head = ServerCookies.word(message, start + 8)
        let given = Cookie(
            client: client, head: head,
            hash: ServerCookies.word(message, start + 16).byteSwapped)
        // At most an hour old, at most five minutes ahead, on a circle of 2^32 (RFC 9018 §4.3).
        let age = Int32(bitPattern: now &- UInt32(truncatingIfNeeded: head))
        guard head >> 56 == 1, (-300...3_600).contains(age) else {
            return (.invalid, fresh(client, address, now))
        }
        if ServerCookies.hash(client, head, address, active) == given.hash {
            return (.valid, age < 1_800 ? given : fresh(client, address, now))
        }
        if let other, ServerCookies.hash(client, head, address, other) == given.hash {
            return (.valid, fresh(client, address, now))
        }
        return (.invalid, fresh(client, address, now))
    }

    private func fresh(_ client: UInt64, _ address: IPAddress, _ now: UInt32) -> Cookie {
        let head = 1 << 56 | UInt64(now)
        return Cookie(
            client: client, head: head, hash: ServerCookies.hash(client, head, address, active))
    }

    private static func hash(
        _ client: UInt64, _ head: UInt64, _ address: IPAddress, _ secret: CookieSecret
    ) -> UInt64 {
        var state = SipHash(secret.k0, secret.k1)
        state.take(client)
        state.take(head.byteSwapped)
        switch address {
        case .v4(let value): return state.finish(rest: UInt64(value.byteSwapped), length: 20)
        case .v6(let high, let low):
            state.take(high.byteSwapped)
            state.take(low.byteSwapped)
            return state.finish(rest: 0, length: 32)
        }
    }

    /// Eight octets in network order.
    private static func word(_ message: Span<UInt8>, _ start: Int) -> UInt64 {
        var word: UInt64 = 0
        for index in start..<(start + 8) { word = word << 8 | UInt64(message[index]) }
        return word
    }
}
