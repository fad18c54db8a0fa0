/// A key with the moments of its life so far, in seconds since 1970 (RFC 7583 §3.1). A moment that has not come is
/// nil: what comes next is the roll's to say.
public struct TimedKey: Hashable, Sendable {
    public let key: ZoneKey
    public var created: UInt64
    /// In the DNSKEY set since.
    public var published: UInt64?
    /// The parent was asked to point at it (CDS, CDNSKEY) since; entry points alone.
    public var announced: UInt64?
    /// The parent was seen to point at it first.
    public var delegated: UInt64?
    /// Signs what it is for since.
    public var activated: UInt64?
    /// Signs nothing but keys since; its signatures live on in caches.
    public var retired: UInt64?
    /// The parent was asked to point at none of the zone's keys since; entry points alone.
    public var withdrawn: UInt64?
    /// The parent was seen to point at none first, after that.
    public var undelegated: UInt64?
    /// Out of the DNSKEY set since.
    public var removed: UInt64?

    public init(_ key: ZoneKey, created: UInt64) {
        self.key = key
        self.created = created
    }

    /// In the DNSKEY set.
    public var isPublished: Bool { published != nil && removed == nil }
    /// Signs what it is for.
    public var isActive: Bool { isPublished && activated != nil && retired == nil }

    /// The parent was asked to point at it, and is not known to.
    public var awaitsDelegation: Bool {
        isPublished && announced != nil && delegated == nil && withdrawn == nil
    }

    /// What people call its state.
    public var state: String {
        if removed != nil { return "removed" }
        if undelegated != nil { return "waiting for caches to forget the parent's DS" }
        if withdrawn != nil { return "waiting for the parent to remove its DS" }
        if retired != nil { return "retiring" }
        if activated != nil { return "active" }
        if delegated != nil { return "waiting for caches of the parent's DS" }
        if announced != nil { return "waiting for the parent's DS" }
        return published != nil ? "waiting for caches" : "new"
    }
}

/// How the zone's keys live: one value, read from the operator's options.
public struct KeyPolicy: Hashable, Sendable {
    /// One key for everything (CSK), or one that the parent knows and one that signs the zone.
    public var isSplit: Bool
    public var algorithm: ZoneKey.Algorithm
    /// Seconds that a key signs; 0 for ever.
    public var entryLifetime: UInt64
    public var zoneKeyLifetime: UInt64
    /// Seconds that all secondaries need to have a change.
    public var propagation: UInt64
    /// Seconds that caches may keep a DNSKEY set.
    public var keyTTL: UInt32
    /// Seconds that caches may keep the parent's DS set, with the time its own servers need.
    public var delegationTTL: UInt64

    public init(
        isSplit: Bool = false, algorithm: ZoneKey.Algorithm = .ecdsaP256SHA256,
        entryLifetime: UInt64 = 0, zoneKeyLifetime: UInt64 = 90 * 86_400,
        propagation: UInt64 = 300, keyTTL: UInt32 = 3600, delegationTTL: UInt64 = 86_400 + 3600
    ) {
        self.isSplit = isSplit
        self.algorithm = algorithm
        self.entryLifetime = entryLifetime
        self.zoneKeyLifetime = zoneKeyLifetime
        self.propagation = propagation
        self.keyTTL = keyTTL
        self.delegationTTL = delegationTTL
    }
}
