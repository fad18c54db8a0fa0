/// Moves a zone's keys through their lives, so that at no moment a resolver's cache holds a signature without the
/// key, or a DS record without either: pre-publication for zone keys, a double signature over the keys for entry
/// points (RFC 7583 §3.2.1, §3.3.1; RFC 6781 §4.1). Pure: a step looks at the clock it is given and says what is so
/// now; taking a step again changes nothing.
public struct KeyRoll {
    public private(set) var keys: [TimedKey]
    public let policy: KeyPolicy
    /// The longest TTL in the zone, in seconds: for so long caches keep a signature.
    private let longestTTL: UInt64
    private let now: UInt64
    /// Draws a key; true for an entry point.
    private let draw: (Bool) -> ZoneKey
    /// The next moment at which a step may change something; nil when only somebody else can.
    public private(set) var nextStep: UInt64?

    /// - Parameters:
    ///   - keys: all that are known, removed ones too; empty for a zone that was never signed.
    ///   - requested: kinds of key that an operator wants replaced now; true for the entry point.
    ///   - draw: makes a new key; asked when one is due.
    public static func step(
        _ keys: [TimedKey], policy: KeyPolicy, longestTTL: UInt32, now: UInt64,
        requested: Set<Bool> = [], draw: @escaping (Bool) -> ZoneKey
    ) -> KeyRoll {
        var roll = KeyRoll(
            keys: keys, policy: policy, longestTTL: UInt64(longestTTL), now: now, draw: draw)
        switch keys.withdrawal {
        case .none: roll.move(entry: true, isRequested: requested.contains(true))
        // What the parent knows stays as it is meanwhile.
        case .asked: break
        case .undelegated(let since): roll.leave(since)
        case .done: return roll
        }
        guard roll.keys.withdrawal != .done else { return roll }
        if policy.isSplit || roll.keys.contains(where: { !$0.key.isEntryPoint && $0.isPublished }) {
            roll.move(entry: false, isRequested: requested.contains(false))
        }
        return roll
    }

    /// Signatures are of no use any more when no cache has a DS record: they and the keys may go at once.
    private mutating func leave(_ undelegated: UInt64) {
        guard hasPassed(undelegated + policy.delegationTTL) else { return }
        for index in keys.indices where keys[index].isPublished {
            keys[index].retired = keys[index].retired ?? now
            keys[index].removed = now
        }
    }

    private mutating func move(entry: Bool, isRequested: Bool) {
        let own = keys.indices.filter { keys[$0].key.isEntryPoint == entry && keys[$0].isPublished }
        guard let current = own.first(where: { keys[$0].isActive }) else {
            return begin(entry: entry)
        }
        for old in own where keys[old].retired != nil { remove(old) }
        if let successor = own.last(where: { keys[$0].activated == nil }) {
            advance(successor, from: current)
        } else if isRequested || isOld(current, entry) {
            publishNew(entry: entry)
        }
        if entry { announceFirst(current) }
    }

    /// The first key of its kind signs at once: there is nothing in caches that it could contradict.
    private mutating func begin(entry: Bool) {
        guard entry || policy.isSplit else { return }
        let index = publishNew(entry: entry)
        keys[index].activated = now
        if entry { announceFirst(index) }
    }

    @discardableResult
    private mutating func publishNew(entry: Bool) -> Int {
        var drawn = draw(entry)
        // Files and signatures know keys by tag: one that another has by chance is drawn again.
        while keys.contains(where: { $0.key.tag == drawn.tag }) { drawn = draw(entry) }
        var key = TimedKey(drawn, created: now)
        key.published = now
        keys.append(key)
        wait(until: now + policy.propagation + UInt64(policy.keyTTL))
        return keys.count - 1
    }

    /// The parent may point at the zone once no cache holds what was there before signatures were.
    private mutating func announceFirst(_ index: Int) {
        guard keys[index].announced == nil, let since = keys[index].activated else { return }
        let hasOther = keys.contains {
            $0.key.isEntryPoint && $0.announced != nil && $0.isPublished
        }
        if !hasOther, hasPassed(since + policy.propagation + longestTTL) {
            keys[index].announced = now
        }
    }

    private mutating func advance(_ successor: Int, from old: Int) {
        let since = keys[successor].published ?? now
        guard hasPassed(since + policy.propagation + UInt64(policy.keyTTL)) else { return }
        if keys[successor].key.isEntryPoint {
            if keys[successor].announced == nil { keys[successor].announced = now }
            guard let seen = keys[successor].delegated, hasPassed(seen + policy.delegationTTL)
            else {
                return
            }
        }
        keys[successor].activated = now
        keys[old].retired = now
        remove(old)
    }

    private mutating func remove(_ old: Int) {
        guard let retired = keys[old].retired else { return }
        // A key-signing key's signatures were over keys alone, and those are in caches with its successor's.
        let lingers =
            keys[old].key.isEntryPoint && policy.isSplit
            ? UInt64(policy.keyTTL) : longestTTL
        if hasPassed(retired + policy.propagation + lingers) { keys[old].removed = now }
    }

    private mutating func isOld(_ index: Int, _ entry: Bool) -> Bool {
        let lifetime = entry ? policy.entryLifetime : policy.zoneKeyLifetime
        guard lifetime > 0, let since = keys[index].activated else { return false }
        return hasPassed(since + lifetime)
    }

    private mutating func hasPassed(_ moment: UInt64) -> Bool {
        // Moments are whole seconds: one more, so that a time that was rounded down has passed as well.
        if moment < now { return true }
        wait(until: moment + 1)
        return false
    }

    private mutating func wait(until moment: UInt64) {
        nextStep = min(nextStep ?? moment, moment)
    }

    /// What is published and signs now.
    public var signing: SigningKeys { SigningKeys(of: keys, ttl: policy.keyTTL) }
}

extension SigningKeys {
    /// What keys are used for at the moments that are noted of them.
    /// - Parameter ttl: in seconds.
    public init(of keys: [TimedKey], ttl: UInt32) {
        let published = keys.filter(\.isPublished)
        let entries = published.filter(\.key.isEntryPoint)
        let active = published.filter(\.isActive)
        let zoneKeys = active.filter { !$0.key.isEntryPoint }
        let withdraws = keys.withdrawal != .none && !entries.isEmpty
        let announced = entries.filter { $0.announced != nil && $0.retired == nil }
            .max { ($0.announced ?? 0) < ($1.announced ?? 0) }
        self.init(
            published: published.map(\.key), keySigners: entries.map(\.key),
            zoneSigners: (zoneKeys.isEmpty ? active : zoneKeys).map(\.key),
            announced: withdraws ? nil : announced.map { [$0.key] }, withdraws: withdraws,
            ttl: ttl)
    }
}
