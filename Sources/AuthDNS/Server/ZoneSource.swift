import AuthDNSCore
import Farm
import Logging

/// What the served zone is made of, and how the next version of it is made: the static part, the membership, the
/// keys, and the last serial ever given out. A value: a change is tried on a copy, which takes the original's place
/// once the new image is on disk.
struct ZoneSource {
    private(set) var zone: StaticZone
    /// The network whose reverse zone it is, beside `zone`; nil for the farm's own zone.
    private let network: Network?
    private var membership: Membership?
    /// The zone without signatures. Until a membership is known, that of the saved image.
    private var base: ZoneContent
    private(set) var serial: UInt32
    /// The serial that others have given to what is known now.
    private var given: UInt32?
    private(set) var history: ZoneHistory
    private let journal: Journal
    private(set) var signing: ZoneSigning?
    private var requested: Set<Bool> = []
    /// Whether a version was saved by an earlier run or has come from others in this one: until then there is none that a
    /// serial would have to lead on from, and a secondary has nothing to answer with.
    var hasCome: Bool

    init(
        _ zone: StaticZone, reverseOf network: Network?, saved: ZoneImage?, serial: UInt32,
        journal: Journal, signing: ZoneSigning?
    ) throws(NameServerError) {
        self.zone = zone
        self.network = network
        self.serial = serial
        self.journal = journal
        self.signing = signing
        hasCome = saved != nil
        history = ZoneHistory()
        if let saved, signing?.isShared != true { history = journal.load(upTo: saved.serial) }
        if let saved {
            base = ZoneContent(of: saved)
            self.signing?.take(SignedNames(of: saved))
        } else {
            do throws(ZoneFault) {
                base = try ZoneSource.content(of: zone, reverseOf: network)
            } catch {
                throw NameServerError(error.description)
            }
        }
    }

    /// Whether other name servers sign the same versions themselves. Their signatures are others, so that a step from one
    /// version to the next fits only who has the first from here: secondaries are given the whole.
    private var isSharedSigned: Bool { signing?.isShared == true }

    /// When something has to be made anew though nothing was changed, in seconds since 1970.
    var nextDue: UInt64? { signing?.nextDue }

    /// - Throws: when membership and zone contradict each other, or the zone cannot be signed with the keys.
    mutating func take(_ change: ChangeWindow.Change) throws {
        if let keys = change.keys { try signing?.adopt(keys) }
        let membership = change.membership
        // Roles do not matter to a reverse zone.
        if network != nil, let known = self.membership, known.hosts == membership.hosts,
            known.hostTTL == membership.hostTTL
        {
            return
        }
        self.membership = membership
        given = change.serial
        base = try ZoneSource.content(
            of: zone, reverseOf: network, membership: membership, before: base)
    }

    /// The zone without signatures.
    static func content(
        of zone: StaticZone, reverseOf network: Network?, membership: Membership? = nil,
        before: ZoneContent? = nil
    ) throws(ZoneFault) -> ZoneContent {
        guard let network else {
            return try ZoneContent(zone: zone, membership: membership, before: before)
        }
        return try ZoneContent(
            reverseOf: network, beside: zone, membership: membership, before: before)
    }

    /// Replaces the static part. While the members of a saved image are all that is known, it waits for them.
    mutating func take(_ zone: StaticZone) throws(ZoneFault) {
        self.zone = zone
        if membership != nil || base.version == 0 {
            base = try ZoneSource.content(
                of: zone, reverseOf: network, membership: membership, before: base)
        }
    }

    /// Goes on behind `serial` if that is newer: another process has published it.
    mutating func skip(to serial: UInt32) {
        if Serial.isNewer(serial, than: self.serial) { self.serial = serial }
    }

    /// Encrypts keys that are in the clear on disk.
    /// - Returns: how many there were.
    mutating func encryptKeys() throws(NameServerError) -> Int {
        try signing?.encryptKeys() ?? 0
    }

    /// Notes what somebody says about the keys.
    mutating func follow(_ order: KeyOrder, unixTime: UInt64) throws {
        guard signing != nil else { throw NameServerError.unsigned }
        if let kinds = try signing?.follow(order, unixTime: unixTime) { requested.formUnion(kinds) }
    }

    /// As `ZoneSigning.moved`; nil for a zone that this server does not sign.
    mutating func moved(
        _ shared: SealedKeys.Zone?, order: KeyOrder?, unixTime: UInt64
    ) throws -> SealedKeys.Zone? {
        try signing?.moved(
            shared, order: order, longestTTL: base.longestTTL, unixTime: unixTime)
    }

    /// Opens the keys that the farm's name servers share, so that taking them takes no time.
    /// - Throws: when this server cannot sign with them.
    mutating func prepare(_ shared: SealedKeys.Zone) throws(NameServerError) {
        guard signing != nil else {
            guard shared.isUnsigned else { throw NameServerError.unshared }
            return
        }
        _ = try signing?.opened(shared)
    }

    /// Makes the image of what is known now.
    /// - Parameters:
    ///   - current: what is served; nil when nothing is.
    ///   - isSameEnough: whether an image that would say the same need not be made.
    /// - Returns: nil when it would say the same as `current`.
    mutating func image(
        unixTime: UInt64, after current: ZoneImage?, isSameEnough: Bool = true
    ) throws(NameServerError) -> ZoneImage? {
        if var signing {
            try signing.step(
                longestTTL: base.longestTTL, unixTime: unixTime, requested: requested)
            self.signing = signing
        }
        requested = []
        do throws(ZoneFault) {
            // Whatever has not changed keeps its signatures, so that two equal zones are equal.
            let last = current?.serial ?? serial
            let same = try signing?.sign(base, serial: last, unixTime: unixTime) ?? base
            let others = takeGiven()
            if isSameEnough, others == nil, let current, current.says(same.numbered(last)) {
                return nil
            }
            serial =
                others
                ?? Serial.next(after: serial, unixTime: UInt32(truncatingIfNeeded: unixTime))
            let next = try signing?.renumber(same, serial: serial, unixTime: unixTime) ?? same
            return try ZoneImage(next, serial: serial, before: current)
        } catch {
            throw NameServerError(error.description)
        }
    }

    /// The serial that others have given, if it leads on from this server's own.
    private mutating func takeGiven() -> UInt32? {
        defer { given = nil }
        guard let given, !hasCome || Serial.isNewer(given, than: serial) else { return nil }
        hasCome = true
        return given
    }

    /// Makes the files as they were: what was to be published with them was not.
    /// - Parameter before: what this was made of.
    func takeBack(to before: ZoneSource) {
        if let old = before.signing { signing?.takeBack(to: old) }
    }

    /// Keeps the step for transfers. A disk that does not take it costs secondaries a whole transfer, no more.
    mutating func remember(_ step: ZoneDifference, _ logger: Logger) {
        guard !isSharedSigned else { return }
        history.append(step)
        do {
            try journal.append(step, of: history)
        } catch {
            logger.error("cannot write the zone's journal: \(error)")
        }
    }
}
