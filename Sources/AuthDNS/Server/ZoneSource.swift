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
    /// Whether nothing was ever answered or saved.
    private var isFresh: Bool
    private(set) var history: ZoneHistory
    private let journal: Journal
    private(set) var signing: ZoneSigning?
    private var requested: Set<Bool> = []
    /// Whether the zone has come, in this run or an earlier one; for a secondary.
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
        isFresh = saved == nil
        hasCome = saved != nil
        history = saved.map { journal.load(upTo: $0.serial) } ?? ZoneHistory()
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

    /// When something has to be made anew though nothing was changed, in seconds since 1970.
    var nextDue: UInt64? { signing?.nextDue }

    /// - Parameter serial: given by others to what this makes; nil when this server numbers its versions itself.
    /// - Throws: when membership and zone contradict each other.
    mutating func take(_ membership: Membership, serial: UInt32? = nil) throws(ZoneFault) {
        // Roles do not matter to a reverse zone.
        if network != nil, let known = self.membership, known.hosts == membership.hosts,
            known.hostTTL == membership.hostTTL
        {
            return
        }
        self.membership = membership
        given = serial
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

    /// An operator wants a kind of key replaced; true for the entry point.
    mutating func replaceKey(isEntryPoint: Bool) { requested.insert(isEntryPoint) }

    /// Encrypts keys that are in the clear on disk.
    /// - Returns: how many there were.
    mutating func encryptKeys() throws(NameServerError) -> Int {
        try signing?.encryptKeys() ?? 0
    }

    /// Changes what is noted of the keys.
    mutating func changeKeys(_ body: (inout [TimedKey]) -> Void) throws(NameServerError) {
        try signing?.change(body)
    }

    /// The parent points at the key of this tag, or at whichever it was asked to point at.
    /// - Returns: the key; nil when none is waited for.
    mutating func noteDelegation(
        of tag: UInt16?, unixTime: UInt64
    ) throws(NameServerError) -> TimedKey? {
        try signing?.noteDelegation(of: tag, unixTime: unixTime)
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
        guard let given, isFresh || Serial.isNewer(given, than: serial) else { return nil }
        isFresh = false
        return given
    }

    /// Makes the files as they were: what was to be published with them was not.
    /// - Parameter before: what this was made of.
    func takeBack(to before: ZoneSource) {
        if let old = before.signing { signing?.takeBack(to: old) }
    }

    /// Keeps the step for transfers. A disk that does not take it costs secondaries a whole transfer, no more.
    mutating func remember(_ step: ZoneDifference, _ logger: Logger) {
        history.append(step)
        do {
            try journal.append(step, of: history)
        } catch {
            logger.error("cannot write the zone's journal: \(error)")
        }
    }
}
