public import AuthDNSCore
import Synchronization

/// What an operator may know and say about the zone beside its files: above all the keys of a signed one.
extension NameServer {
    /// Every key of the zone that is known, in the order of creation; empty for an unsigned zone.
    public var keys: [TimedKey] { zone.source.withLock { $0.signing?.keys ?? [] } }

    /// Keys that the parent should point at now (DS).
    public var entryPoints: [ZoneKey] { zone.source.withLock { $0.signing?.entryPoints ?? [] } }

    /// Those of them whose secret is encrypted on disk.
    public var encryptedKeys: Set<ZoneKey> {
        zone.source.withLock { source in
            Set(source.signing.map { $0.keys.map(\.key).filter($0.isEncrypted) } ?? [])
        }
    }

    /// Encrypts the keys that are in the clear on disk. It takes some tenths of a second for each.
    /// - Returns: how many were.
    /// - Throws: when the zone is not signed, there is no passphrase, or the disk does not take them.
    public func encryptKeys() throws(NameServerError) -> Int {
        guard !keys.isEmpty else { throw NameServerError.unsigned }
        // No new version comes of it, and none may fail because of it.
        let result: Result<Int, NameServerError> = zone.source.withLock { source in
            guard !zone.isPaused.load(ordering: .relaxed) else { return .failure(.replaced) }
            do throws(NameServerError) {
                return .success(try source.encryptKeys())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Begins to replace a kind of key: the successor is published now and takes over when caches allow.
    /// - Parameter isEntryPoint: the key that the parent points at, or the one that signs the zone.
    /// - Throws: when the zone is not signed, has no such key, or is replacing it already.
    public func replaceKey(isEntryPoint: Bool) throws(NameServerError) {
        let own = keys.filter { $0.key.isEntryPoint == isEntryPoint && $0.isPublished }
        guard !keys.isEmpty else { throw NameServerError.unsigned }
        guard !own.isEmpty else {
            throw NameServerError(
                "the zone is signed with one key for everything (csk): replace that one")
        }
        guard own.count == 1 else {
            let newest = own.last.map { "\($0.key.tag) (\($0.state))" } ?? ""
            throw NameServerError("a key of this kind is being replaced already: see \(newest)")
        }
        try zone.rebuild { $0.replaceKey(isEntryPoint: isEntryPoint) }
    }

    /// Takes notice that the parent's servers all give the DS record of the key that they were asked for.
    /// - Parameter tag: of the key; nil for the one that is waited for.
    /// - Returns: the key.
    /// - Throws: when none is waited for, or the disk does not take it.
    @discardableResult
    public func noteDelegation(of tag: UInt16? = nil) throws(NameServerError) -> TimedKey {
        guard !keys.isEmpty else { throw NameServerError.unsigned }
        var noted: TimedKey?
        try zone.rebuild { noted = try $0.noteDelegation(of: tag, unixTime: Clock.unixTime()) }
        guard let noted else {
            throw NameServerError("no key waits for the parent's DS record now")
        }
        return noted
    }

    /// Whether the zone file leaves room for a TXT record at a name of the zone.
    public func canAnswerText(at owner: DomainName) -> Bool {
        zone.source.withLock { $0.zone.canAnswerText(at: owner) }
    }
}

extension NameServerError {
    static let replaced = NameServerError("this server is being replaced")
    static let unsigned = NameServerError("the zone is not signed: start serve with --dnssec")
}
