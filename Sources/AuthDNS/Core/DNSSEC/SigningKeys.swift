/// Which of the zone's keys are used for what at one moment: who is named in the DNSKEY set, who signs, and which
/// keys the parent is told of (RFC 7344). `KeyRoll` says it for a moment; nothing here knows time.
public struct SigningKeys: Hashable, Sendable {
    public var published: [ZoneKey]
    /// Sign DNSKEY, CDS and CDNSKEY.
    public var keySigners: [ZoneKey]
    /// Sign everything else.
    public var zoneSigners: [ZoneKey]
    /// What the parent's DS set should point at; nil when it shall be left as it is.
    public var announced: [ZoneKey]?
    /// Whether the parent shall have no DS record: it is asked to remove them (RFC 8078 §4).
    public var withdraws: Bool
    /// Seconds.
    public var ttl: UInt32

    public init(
        published: [ZoneKey], keySigners: [ZoneKey], zoneSigners: [ZoneKey],
        announced: [ZoneKey]? = nil, withdraws: Bool = false, ttl: UInt32 = 3600
    ) {
        self.published = published
        self.keySigners = keySigners
        self.zoneSigners = zoneSigners
        self.announced = announced
        self.withdraws = withdraws
        self.ttl = ttl
    }

    /// What the parent should point at now or, before it was ever asked, will be asked to.
    public var entryPoints: [ZoneKey] { withdraws ? [] : announced ?? keySigners }

    func records(at apex: DomainName) -> [ResourceRecord] {
        var records = published.map {
            ResourceRecord(owner: apex, type: .dnskey, ttl: ttl, data: $0.publicData)
        }
        for key in announced ?? [] {
            records.append(
                ResourceRecord(owner: apex, type: .cds, ttl: ttl, data: key.delegationData))
            records.append(
                ResourceRecord(owner: apex, type: .cdnskey, ttl: ttl, data: key.publicData))
        }
        if withdraws {
            records.append(
                ResourceRecord(owner: apex, type: .cds, ttl: ttl, data: [0, 0, 0, 0, 0]))
            records.append(
                ResourceRecord(owner: apex, type: .cdnskey, ttl: ttl, data: [0, 0, 3, 0, 0]))
        }
        return records
    }
}
