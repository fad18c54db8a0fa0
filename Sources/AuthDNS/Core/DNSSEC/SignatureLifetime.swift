import Farm

/// For how long signatures are good, and when they are made anew.
public struct SignatureLifetime: Hashable, Sendable {
    /// Seconds from now to the end of a new signature, at most; up to a seventh less, so that not all end at once.
    public var validity: UInt32
    /// A signature with less than so many seconds left is made anew. It should be more than the SOA's expire time,
    /// so that a secondary which is cut off never serves signatures that have ended.
    public var refresh: UInt32
    /// Seconds before now at which a signature begins, for clocks that are behind.
    public var skew: UInt32

    public init(
        validity: UInt32 = 21 * 86_400, refresh: UInt32 = 9 * 86_400, skew: UInt32 = 3600
    ) {
        self.validity = validity
        self.refresh = refresh
        self.skew = skew
    }

    func times(of key: SetKey, now: UInt32) -> (inception: UInt32, expiration: UInt32) {
        var hash = ZoneImage.hash(key.owner.wire)
        hash = ZoneImage.hash(UInt8(truncatingIfNeeded: key.type.rawValue), hash)
        hash = ZoneImage.hash(UInt8(truncatingIfNeeded: now >> 12), hash)
        let jitter = UInt32(truncatingIfNeeded: (hash ^ hash >> 29) % UInt64(validity / 7 + 1))
        return (now &- skew, now &+ validity &- jitter)
    }

    /// Whether a signature that ends at `expiration` may stay, by serial arithmetic (RFC 4034 §3.1.5).
    func isFresh(until expiration: UInt32, now: UInt32) -> Bool {
        Serial.isNewer(expiration, than: now &+ refresh)
    }
}
