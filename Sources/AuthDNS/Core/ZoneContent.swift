public import Farm

/// The records of a zone at one moment, before they are laid out: the static part with the farm's in place of what
/// they replace. A value without serial: two of the same zone and membership are equal.
public struct ZoneContent: Hashable, Sendable {
    public let apex: DomainName
    /// Version of the membership it was made of; 0 for none.
    public let version: UInt64
    /// SOA first; without duplicates, every set with one TTL (RFC 2181 §5.2).
    public var records: [ResourceRecord]
    /// Names whose set is empty by policy, with the types concerned: they answer SERVFAIL.
    public let failing: [DomainName: [RecordType]]
    /// Choices of what to answer for sets of which an answer holds only some.
    var subsets: [SetKey: [Subset]] = [:]

    /// - Parameters:
    ///   - zone: the static part.
    ///   - membership: nil before the first is known.
    /// - Throws: when membership and zone contradict each other.
    /// - Complexity: O(n) in the number of records.
    public init(zone: StaticZone, membership: Membership?) throws(ZoneFault) {
        let overlay = try membership.map { value throws(ZoneFault) in
            try RoleOverlay(value, apex: zone.apex)
        }
        let added = overlay?.records ?? []
        var replaced = Set(added.map(\.key))
        var failing: [DomainName: [RecordType]] = [:]
        for set in overlay?.empty ?? [] {
            for type in set.types { replaced.insert(SetKey(owner: set.owner, type: type)) }
            failing[set.owner] = set.answer == .servfail ? set.types : []
        }
        let kept = zone.records.filter { !replaced.contains($0.key) }
        self.init(
            apex: zone.apex, version: membership?.version ?? 0, records: kept + added,
            failing: failing)
        subsets = overlay?.subsets ?? [:]
    }

    /// What an image was made of, without what signing added.
    public init(of image: ZoneImage) {
        apex = image.apex
        version = image.membershipVersion
        failing = image.failing
        records = image.records.filter { !RecordType.ofSigning.contains($0.type) }
        subsets = image.subsets.mapValues { $0.map { Subset(records: $0.records) } }
    }

    /// The same with another serial in the SOA.
    public func numbered(_ serial: UInt32) -> ZoneContent {
        var copy = self
        copy.records[0].data = SOAData.data(records[0].data, serial: serial)
        return copy
    }

    /// The same with more records, or those that it has already.
    public func adding(_ more: [ResourceRecord]) -> ZoneContent {
        if more.isEmpty { return self }
        var whole = ZoneContent(
            apex: apex, version: version, records: records + more, failing: failing)
        whole.subsets = subsets
        return whole
    }

    /// The same without some records.
    public func without(_ some: [ResourceRecord]) -> ZoneContent {
        var copy = self
        copy.records.removeAll { some.contains($0) }
        return copy
    }

    /// The longest time for which a cache may keep any of it, in seconds.
    public var longestTTL: UInt32 { records.map(\.ttl).max() ?? 0 }

    init(
        apex: DomainName, version: UInt64, records: [ResourceRecord],
        failing: [DomainName: [RecordType]]
    ) {
        self.apex = apex
        self.version = version
        self.failing = failing
        var lowest: [SetKey: UInt32] = [:]
        for record in records { lowest[record.key] = min(lowest[record.key] ?? .max, record.ttl) }
        var seen = Set<ResourceRecord>()
        self.records = records.compactMap { record in
            var record = record
            record.ttl = lowest[record.key] ?? record.ttl
            return seen.insert(record).inserted ? record : nil
        }
    }
}

/// What names a set of records: owner and type; the class is always IN.
struct SetKey: Hashable {
    var owner: DomainName
    var type: RecordType
}

extension ResourceRecord {
    var key: SetKey { SetKey(owner: owner, type: type) }
}
