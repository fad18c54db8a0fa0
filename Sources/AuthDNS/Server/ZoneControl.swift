public import AuthDNSCore
import Synchronization

/// What an operator may know and say about the zone beside its files: above all the keys of a signed one.
extension ServedZone {
    /// Every key of the zone that is known, in the order of creation; empty for an unsigned zone.
    public var keys: [TimedKey] { source.withLock { $0.signing?.keys ?? [] } }

    /// Keys that the parent should point at now (DS).
    public var entryPoints: [ZoneKey] { source.withLock { $0.signing?.entryPoints ?? [] } }

    /// Those of them whose secret is encrypted on disk.
    public var encryptedKeys: Set<ZoneKey> {
        source.withLock { source in
            Set(source.signing.map { $0.keys.map(\.key).filter($0.isEncrypted) } ?? [])
        }
    }

    /// Begins to replace a kind of key: the successor is published now and takes over when caches allow.
    /// - Parameter isEntryPoint: the key that the parent points at, or the one that signs the zone.
    /// - Throws: when the zone is not signed, has no such key, or is replacing it already.
    public func replaceKey(isEntryPoint: Bool) throws(NameServerError) {
        let own = keys.filter { $0.key.isEntryPoint == isEntryPoint && $0.isPublished }
        guard !keys.isEmpty else { throw NameServerError.unsigned }
        guard keys.withdrawal == .none else {
            throw NameServerError("the zone is on its way out of DNSSEC: 'smurf zone sign' first")
        }
        guard !own.isEmpty else {
            throw NameServerError(
                "the zone is signed with one key for everything (csk): replace that one")
        }
        guard own.count == 1 else {
            let newest = own.last.map { "\($0.key.tag) (\($0.state))" } ?? ""
            throw NameServerError("a key of this kind is being replaced already: see \(newest)")
        }
        try rebuild { $0.replaceKey(isEntryPoint: isEntryPoint) }
    }

    /// Takes notice that the parent's servers all give the DS record of the key that they were asked for.
    /// - Parameter tag: of the key; nil for the one that is waited for.
    /// - Returns: the key.
    /// - Throws: when none is waited for, or the disk does not take it.
    @discardableResult
    public func noteDelegation(of tag: UInt16? = nil) throws(NameServerError) -> TimedKey {
        guard !keys.isEmpty else { throw NameServerError.unsigned }
        var noted: TimedKey?
        try rebuild { noted = try $0.noteDelegation(of: tag, unixTime: Clock.unixTime()) }
        guard let noted else {
            throw NameServerError("no key waits for the parent's DS record now")
        }
        return noted
    }

    /// Begins to leave DNSSEC: the parent is asked to remove its DS records; the zone stays signed.
    /// - Throws: when the zone is not signed, or on that way already.
    public func unsign() throws(NameServerError) {
        guard !keys.isEmpty, keys.withdrawal != .done else { throw NameServerError.unsigned }
        guard keys.withdrawal == .none else {
            throw NameServerError(
                "the parent was asked already to remove its DS records: see 'smurf zone keys'")
        }
        try rebuild { try $0.changeKeys { $0.withdraw(now: Clock.unixTime()) } }
    }

    /// Takes notice of whether the parent's servers have DS records, on the way out of DNSSEC: from the first moment
    /// on at which they have none, caches are waited for.
    /// - Throws: when the zone is not on that way.
    public func noteUndelegation(_ isSo: Bool = true) throws(NameServerError) {
        switch keys.withdrawal {
        case .asked, .undelegated:
            let now = isSo ? Clock.unixTime() : nil
            try rebuild { try $0.changeKeys { $0.noteUndelegation(now: now) } }
        case .none, .done:
            throw NameServerError(
                "the parent was not asked to remove DS records: 'smurf zone unsign' does that")
        }
    }

    /// Takes `unsign` back; a zone that is no longer signed gets new keys.
    /// - Throws: when nothing was to be taken back.
    public func sign() throws(NameServerError) {
        guard keys.withdrawal != .none else {
            throw keys.isEmpty ? NameServerError.unsigned : NameServerError("the zone is signed")
        }
        try rebuild { try $0.changeKeys { $0.signAgain() } }
    }

    /// Whether the zone file leaves room for a TXT record at a name of the zone.
    public func canAnswerText(at owner: DomainName) -> Bool {
        source.withLock { $0.zone.canAnswerText(at: owner) }
    }
}

extension NameServerError {
    static let replaced = NameServerError("this server is being replaced")
    static let unsigned = NameServerError("the zone is not signed: start serve with --dnssec")
}
