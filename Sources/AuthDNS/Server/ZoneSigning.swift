import AuthDNSCore
import Farm

/// The zone's keys and signatures as they are now, and when something about them is due. What has to be on disk
/// before it is used is written first.
struct ZoneSigning {
    private let policy: KeyPolicy
    private let lifetime: SignatureLifetime
    private var directory: KeyDirectory
    private let zone: DomainName
    private(set) var keys: [TimedKey]
    private var signingKeys = SigningKeys(published: [], keySigners: [], zoneSigners: [])
    private var nextStep: UInt64?
    private var names = SignedNames()
    /// When the next key step or the next signature is due, in seconds since 1970.
    private(set) var nextDue: UInt64?
    /// Whether the farm's name servers share the keys; and what was made of them last, by `moved`.
    let isShared: Bool
    private var farmVersion: UInt64 = 0
    private(set) var lastMoved: SettledKeys?
    /// Keys that a zone may have, of which all but a few are remembered only: forty years of one a month.
    private static let mostKeys = 512

    /// Reads the keys; none are made before the first step.
    init(
        _ settings: NameServerConfiguration.Signing, zone: DomainName
    ) throws(NameServerError) {
        policy = settings.keys
        lifetime = settings.signatures
        directory = KeyDirectory(
            path: settings.directory, zone: zone, passphrase: settings.passphrase)
        self.zone = zone
        isShared = settings.isShared
        keys = try directory.load()
        if isShared { farmVersion = try directory.farmVersion() }
        try check(keys)
    }

    /// - Throws: when they are not of the kind that the options say.
    private func check(_ keys: [TimedKey]) throws(NameServerError) {
        for key in keys where key.removed == nil {
            guard key.key.algorithm == policy.algorithm else {
                throw NameServerError(
                    "key \(key.key.tag) of \(zone) is \(key.key.algorithm.mnemonic), not "
                        + "\(policy.algorithm.mnemonic): a signed zone keeps its algorithm")
            }
        }
        let hasZoneKeys = keys.contains { !$0.key.isEntryPoint && $0.removed == nil }
        guard keys.allSatisfy({ $0.removed != nil }) || hasZoneKeys == policy.isSplit else {
            throw NameServerError(
                "the zone is signed with \(hasZoneKeys ? "separate keys (split)" : "one key (csk)"): "
                    + "a signed zone keeps its kind of keys")
        }
    }

    /// Keys that the parent should point at now.
    var entryPoints: [ZoneKey] { signingKeys.entryPoints }

    /// Whether a key's secret is encrypted on disk.
    func isEncrypted(_ key: ZoneKey) -> Bool { directory.isEncrypted(key) }

    /// Encrypts the keys that are in the clear on disk.
    /// - Returns: how many were.
    /// - Throws: when there is no passphrase, or the disk does not take one; those before it are encrypted.
    mutating func encryptKeys() throws(NameServerError) -> Int {
        var count = 0
        for key in keys where try directory.encrypt(key) { count += 1 }
        return count
    }

    mutating func take(_ names: SignedNames) { self.names = names }

    /// Moves the keys on as far as time allows, and writes those that moved.
    /// - Throws: when the disk does not take one; those before it are written and the rest stay as they were.
    mutating func step(
        longestTTL: UInt32, unixTime: UInt64, requested: Set<Bool> = []
    ) throws(NameServerError) {
        guard !isShared else {
            (signingKeys, nextStep) = (SigningKeys(of: keys, ttl: policy.keyTTL), nil)
            return
        }
        let roll = roll(
            keys, longestTTL: longestTTL, unixTime: unixTime, requested: requested)
        for key in roll.keys where !keys.contains(key) { try directory.save(key) }
        (keys, signingKeys, nextStep) = (roll.keys, roll.signing, roll.nextStep)
    }

    private func roll(
        _ keys: [TimedKey], longestTTL: UInt32, unixTime: UInt64, requested: Set<Bool>
    ) -> KeyRoll {
        KeyRoll.step(
            keys, policy: policy, longestTTL: longestTTL, now: unixTime, requested: requested
        ) { [zone, policy] isEntryPoint in
            ZoneKey(drawnFor: zone, algorithm: policy.algorithm, isEntryPoint: isEntryPoint)
        }
    }

    // MARK: Keys that the farm's name servers share

    /// Moves keys on as far as time allows, for all name servers of the farm: what comes of it has to be published
    /// everywhere, and is not used here before it was.
    /// - Parameters:
    ///   - shared: the keys as they are now; nil when none were ever shared: then those on this disk begin, if there are any.
    ///   - order: what somebody says about the keys.
    /// - Returns: `shared` itself when nothing moves.
    /// - Throws: when the passphrase does not open a key, or the order makes no sense now.
    mutating func moved(
        _ shared: SealedKeys.Zone?, order: KeyOrder?, longestTTL: UInt32, unixTime: UInt64
    ) throws -> SealedKeys.Zone {
        // Those of a backup may have been followed by others that caches and the parent know.
        let base = shared.flatMap { $0.version < farmVersion ? nil : $0 }
        if let base, order == nil, lastMoved?.holds(base, at: unixTime) == true { return base }
        let before = if let base { try opened(base) } else { keys }
        var noted = before
        let requested = try order.map { try noted.follow($0, now: unixTime) } ?? []
        let roll = roll(
            noted, longestTTL: longestTTL, unixTime: unixTime, requested: requested)
        let version = max(shared?.version ?? 0, farmVersion) + 1
        let next =
            if let base, roll.keys == before { base } else {
                try sealed(roll.keys, version: version)
            }
        lastMoved = SettledKeys(zone: next, until: roll.nextStep)
        return next
    }

    private mutating func sealed(
        _ keys: [TimedKey], version: UInt64
    ) throws(NameServerError) -> SealedKeys.Zone {
        var texts: [SealedKeys.Key] = []
        for key in keys {
            let text = try directory.sharedText(key)
            texts.append(.init(open: text.open, closed: text.closed))
        }
        return SealedKeys.Zone(
            version: version, keys: texts, isUnsigned: keys.withdrawal == .done)
    }

    /// The keys that the farm's name servers share. It takes some tenths of a second for each that was never seen.
    /// - Throws: when the passphrase does not open one, they are of another kind than the options say, or they are not
    ///   what any name server of this farm has written.
    mutating func opened(_ shared: SealedKeys.Zone) throws(NameServerError) -> [TimedKey] {
        guard shared.keys.count <= Self.mostKeys else {
            throw NameServerError(
                "the farm has \(shared.keys.count) keys for \(zone), and no zone has so many")
        }
        var keys: [TimedKey] = []
        var known: Set<ZoneKey> = []
        for key in shared.keys {
            let opened = try directory.sharedKey(
                KeyText(open: key.open, closed: key.closed))
            guard known.insert(opened.key).inserted else {
                throw NameServerError("the farm has key \(opened.key.tag) of \(zone) twice")
            }
            keys.append(opened)
        }
        try check(keys)
        return keys
    }

    /// Signs with what the farm's name servers share from now on, and keeps a copy on disk. Older ones than those that
    /// were taken before, as of a backup, change nothing.
    mutating func adopt(_ shared: SealedKeys.Zone) throws(NameServerError) {
        guard isShared, shared.version > farmVersion else { return }
        let next = try opened(shared)
        for key in next where !keys.contains(key) { try directory.save(key) }
        for old in keys where !next.contains(where: { $0.key == old.key }) {
            directory.setAside(old.key)
        }
        try directory.save(farmVersion: shared.version)
        (keys, farmVersion) = (next, shared.version)
    }

    /// Makes the files of keys as they were before: what was to be published with them was not.
    func takeBack(to before: ZoneSigning) {
        var then = before.directory
        if farmVersion != before.farmVersion { try? then.save(farmVersion: before.farmVersion) }
        for old in before.keys where !keys.contains(where: { $0.key == old.key }) {
            try? then.save(old)
        }
        for key in keys where !before.keys.contains(key) {
            if let old = before.keys.first(where: { $0.key == key.key }) {
                try? then.save(old)
            } else {
                directory.remove(key.key)
            }
        }
    }

    /// Notes an order about the keys, and writes those that are not as they were.
    /// - Returns: kinds of key that the next step has to replace.
    /// - Throws: when the order makes no sense now, or the disk does not take a key; those before it are written.
    mutating func follow(
        _ order: KeyOrder, unixTime: UInt64
    ) throws -> Set<Bool> {
        var next = keys
        let requested = try next.follow(order, now: unixTime)
        for (index, key) in next.enumerated() where key != keys[index] {
            try directory.save(key)
            keys[index] = key
        }
        return requested
    }

    mutating func sign(
        _ content: ZoneContent, serial: UInt32, unixTime: UInt64
    ) throws(ZoneFault) -> ZoneContent {
        guard !signingKeys.published.isEmpty else {
            (names, nextDue) = (SignedNames(), nextStep)
            return content
        }
        let now = UInt32(truncatingIfNeeded: unixTime)
        let signer = ZoneSigner(keys: signingKeys, lifetime: lifetime)
        let (signed, names) = try signer.sign(content, serial: serial, now: now, before: names)
        self.names = names
        let refresh = names.nextRefresh(lifetime, now: now).map {
            unixTime &+ UInt64(max(Int32(bitPattern: $0 &- now), 1))
        }
        nextDue = [refresh, nextStep].compactMap { $0 }.min()
        return signed
    }

    /// What was signed last, as another version.
    mutating func renumber(
        _ content: ZoneContent, serial: UInt32, unixTime: UInt64
    ) throws(ZoneFault) -> ZoneContent {
        let signer = ZoneSigner(keys: signingKeys, lifetime: lifetime)
        let (signed, names) = try signer.renumbered(
            (content, names), serial: serial, now: UInt32(truncatingIfNeeded: unixTime))
        self.names = names
        return signed
    }
}

/// What was made last of the keys that name servers share, and how long it stays so by itself.
struct SettledKeys: Sendable {
    let zone: SealedKeys.Zone
    /// When something is due, in seconds since 1970; nil: never.
    let until: UInt64?

    func holds(_ keys: SealedKeys.Zone, at unixTime: UInt64) -> Bool {
        unixTime < until ?? .max && zone == keys
    }
}
