import AuthDNSCore

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

    /// Reads the keys; none are made before the first step.
    init(
        _ settings: NameServerConfiguration.Signing, zone: DomainName
    ) throws(NameServerError) {
        policy = settings.keys
        lifetime = settings.signatures
        directory = KeyDirectory(
            path: settings.directory, zone: zone, passphrase: settings.passphrase)
        self.zone = zone
        keys = try directory.load()
        for key in keys where key.removed == nil {
            guard key.key.algorithm == policy.algorithm else {
                throw NameServerError(
                    "key \(key.key.tag) in \(settings.directory) is \(key.key.algorithm.mnemonic), not "
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
        let roll = KeyRoll.step(
            keys, policy: policy, longestTTL: longestTTL, now: unixTime, requested: requested
        ) { [zone, policy] isEntryPoint in
            ZoneKey(drawnFor: zone, algorithm: policy.algorithm, isEntryPoint: isEntryPoint)
        }
        for key in roll.keys where !keys.contains(key) { try directory.save(key) }
        (keys, signingKeys, nextStep) = (roll.keys, roll.signing, roll.nextStep)
    }

    /// Makes the files of keys as they were before: what was to be published with them was not.
    func takeBack(to before: ZoneSigning) {
        var then = before.directory
        for key in keys where !before.keys.contains(key) {
            if let old = before.keys.first(where: { $0.key == key.key }) {
                try? then.save(old)
            } else {
                directory.remove(key.key)
            }
        }
    }

    /// The parent points at what it was asked to point at.
    /// - Returns: the key; nil when none is waited for.
    mutating func noteDelegation(of tag: UInt16?, unixTime: UInt64) throws(NameServerError)
        -> TimedKey?
    {
        guard
            // The newest: one before it may never have been told of, and no longer matters.
            let index = keys.lastIndex(where: {
                $0.awaitsDelegation && (tag == nil || $0.key.tag == tag)
            })
        else { return nil }
        var key = keys[index]
        key.delegated = unixTime
        try directory.save(key)
        keys[index] = key
        return key
    }

    /// Changes keys, and writes those that are not as they were.
    /// - Throws: when the disk does not take one; those before it are written.
    mutating func change(_ body: (inout [TimedKey]) -> Void) throws(NameServerError) {
        var next = keys
        body(&next)
        for (index, key) in next.enumerated() where key != keys[index] {
            try directory.save(key)
            keys[index] = key
        }
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
