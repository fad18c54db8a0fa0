public import AuthDNSCore
public import Farm
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

    /// Notes what somebody says about the keys, and publishes what comes of it.
    /// - Throws: when it makes no sense now, the zone is not signed, or the disk does not take it.
    public func follow(_ order: KeyOrder) throws(NameServerError) {
        try rebuild { try $0.follow(order, unixTime: Clock.unixTime()) }
    }

    /// Moves the keys on that all name servers of the farm sign with, for one that speaks for all of them: what comes of it
    /// is used once it was published (`NameServer.publish`).
    /// - Parameters:
    ///   - shared: as they are; nil when none were ever shared.
    ///   - order: what somebody says about them.
    /// - Returns: `shared` when nothing moves; nil for a zone that is not signed here.
    /// - Throws: when the passphrase does not open them, or the order makes no sense now.
    public func moved(
        _ shared: SealedKeys.Zone?, order: KeyOrder? = nil
    ) throws(NameServerError) -> SealedKeys.Zone? {
        let result: Result<SealedKeys.Zone?, NameServerError> = source.withLock { source in
            do {
                let moved = try source.moved(shared, order: order, unixTime: Clock.unixTime())
                settledKeys.withLock { $0 = source.signing?.lastMoved }
                return .success(moved)
            } catch {
                return .failure(NameServerError("\(error)"))
            }
        }
        return try result.get()
    }

    /// Whether `moved` would give the same keys, without an order: because it did, and nothing is due yet. It waits for
    /// nothing, so that it may be asked on any thread and often.
    public func areSettled(_ shared: SealedKeys.Zone) -> Bool {
        settledKeys.withLock { $0?.holds(shared, at: Clock.unixTime()) ?? false }
    }

    /// Whether the zone file leaves room for a TXT record at a name of the zone.
    public func canAnswerText(at owner: DomainName) -> Bool {
        source.withLock { $0.zone.canAnswerText(at: owner) }
    }
}

extension NameServerError {
    static let replaced = NameServerError("this server is being replaced")
    static let unshared = NameServerError(
        "the farm's name servers sign the zone: start serve with --dnssec and --keys-passphrase here too"
    )
    public static let unsigned = NameServerError(
        "the zone is not signed: start serve with --dnssec")
}
