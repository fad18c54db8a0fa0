/// What leads from one version of a zone to a later one: records that went and records that came (RFC 1995 §4).
/// The SOA records of both versions are named apart. Order does not matter within either set.
public struct ZoneDifference: Hashable, Sendable {
    /// SOA of the version it leads from.
    public let from: ResourceRecord
    /// SOA of the version it leads to.
    public let to: ResourceRecord
    /// Without the SOA.
    public let removed: [ResourceRecord]
    /// Without the SOA.
    public let added: [ResourceRecord]

    /// Serials of the two versions.
    public var fromSerial: UInt32 { SOAData(from.data)?.serial ?? 0 }
    public var toSerial: UInt32 { SOAData(to.data)?.serial ?? 0 }

    /// - Complexity: O(n) in the names of both images, and in the records of those that differ.
    public init(from old: ZoneImage, to new: ZoneImage) {
        var (removed, added): ([ResourceRecord], [ResourceRecord]) = ([], [])
        for owner in new.content.owners {
            let before = old.content.byName[owner.name]
            if before === owner { continue }
            let (was, now) = (Set(before?.records ?? []), Set(owner.records))
            removed += was.subtracting(now)
            added += now.subtracting(was)
        }
        for owner in old.content.owners where new.content.byName[owner.name] == nil {
            removed += owner.records
        }
        self.init(
            from: old.soa, to: new.soa, removed: removed.filter { $0.type != .soa },
            added: added.filter { $0.type != .soa })
    }

    init(
        from: ResourceRecord, to: ResourceRecord, removed: [ResourceRecord],
        added: [ResourceRecord]
    ) {
        self.from = from
        self.to = to
        self.removed = removed
        self.added = added
    }

    /// One difference in place of several that follow each other: what came and went again is in neither set
    /// (RFC 1995 §5).
    /// - Parameter steps: at least one; each begins where the one before ends.
    public static func condensed(_ steps: ArraySlice<ZoneDifference>) -> ZoneDifference? {
        guard let first = steps.first, let last = steps.last else { return nil }
        if steps.count == 1 { return first }
        var removed = Set<ResourceRecord>()
        var added = Set<ResourceRecord>()
        for step in steps {
            for record in step.removed where added.remove(record) == nil { removed.insert(record) }
            for record in step.added where removed.remove(record) == nil { added.insert(record) }
        }
        return ZoneDifference(
            from: first.from, to: last.to, removed: Array(removed), added: Array(added))
    }
}
