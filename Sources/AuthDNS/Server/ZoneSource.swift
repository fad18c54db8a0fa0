import AuthDNSCore
import Farm
import Logging

/// What the served zone is made of, and how the next version of it is made: the static part, the membership, the
/// keys, and the last serial ever given out. A value: a change is tried on a copy, which takes the original's place
/// once the new image is on disk.
struct ZoneSource {
    private(set) var zone: StaticZone
    private var membership: Membership?
    /// The zone without challenges and signatures. Until a membership is known, that of the saved image.
    private var base: ZoneContent
    private var challenges: Challenges
    private(set) var serial: UInt32
    private(set) var history: ZoneHistory
    private let journal: Journal
    private(set) var signing: ZoneSigning?
    private var requested: Set<Bool> = []

    init(
        _ zone: StaticZone, saved: ZoneImage?, serial: UInt32, journal: Journal,
        challenges: Challenges, signing: ZoneSigning?
    ) throws(ZoneFault) {
        self.zone = zone
        self.serial = serial
        self.journal = journal
        self.signing = signing
        self.challenges = challenges
        history = saved.map { journal.load(upTo: $0.serial) } ?? ZoneHistory()
        if let saved {
            base = ZoneContent(of: saved).without(challenges.records)
            self.signing?.take(SignedSets(of: saved))
        } else {
            base = try ZoneContent(zone: zone, membership: nil)
        }
    }

    /// The zone without signatures.
    private var content: ZoneContent { base.adding(challenges.records) }

    /// When something has to be made anew though nothing was changed, in seconds since 1970.
    var nextDue: UInt64? { [signing?.nextDue, challenges.nextEnd].compactMap { $0 }.min() }

    /// - Throws: when membership and zone contradict each other.
    mutating func take(_ membership: Membership) throws(ZoneFault) {
        self.membership = membership
        base = try ZoneContent(zone: zone, membership: membership)
    }

    /// Replaces the static part. While the members of a saved image are all that is known, it waits for them.
    mutating func take(_ zone: StaticZone) throws(ZoneFault) {
        self.zone = zone
        if membership != nil || base.version == 0 {
            base = try ZoneContent(zone: zone, membership: membership)
        }
    }

    mutating func change(_ body: (inout Challenges) throws -> Void) rethrows {
        try body(&challenges)
    }

    /// An operator wants a kind of key replaced; true for the entry point.
    mutating func replaceKey(isEntryPoint: Bool) { requested.insert(isEntryPoint) }

    /// The parent points at the key of this tag, or at whichever it was asked to point at.
    /// - Returns: the key; nil when none is waited for.
    mutating func noteDelegation(
        of tag: UInt16?, unixTime: UInt64
    ) throws(NameServerError) -> TimedKey? {
        try signing?.noteDelegation(of: tag, unixTime: unixTime)
    }

    /// Makes the image of what is known now.
    /// - Parameter current: what is served; nil when nothing is.
    /// - Returns: nil when it would say the same as `current`.
    mutating func image(
        unixTime: UInt64, after current: ZoneImage?
    ) throws(NameServerError) -> ZoneImage? {
        challenges.expire(now: unixTime)
        if var signing {
            try signing.step(
                longestTTL: content.longestTTL, unixTime: unixTime, requested: requested)
            self.signing = signing
        }
        requested = []
        do throws(ZoneFault) {
            let now = UInt32(truncatingIfNeeded: unixTime)
            // Whatever has not changed keeps its signatures, so that two equal zones are equal.
            let same = try complete(current?.serial ?? serial, unixTime)
            if let current, current.says(same) { return nil }
            serial = Serial.next(after: serial, unixTime: now)
            return try ZoneImage(renumbered(same, unixTime), serial: serial)
        } catch {
            throw NameServerError(error.description)
        }
    }

    private mutating func complete(
        _ serial: UInt32, _ unixTime: UInt64
    ) throws(ZoneFault) -> ZoneContent {
        guard var signing else { return content.numbered(serial) }
        let signed = try signing.sign(content, serial: serial, unixTime: unixTime)
        self.signing = signing
        return signed
    }

    private mutating func renumbered(
        _ complete: ZoneContent, _ unixTime: UInt64
    ) throws(ZoneFault) -> ZoneContent {
        guard var signing else { return complete.numbered(serial) }
        let signed = try signing.renumber(complete, serial: serial, unixTime: unixTime)
        self.signing = signing
        return signed
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
