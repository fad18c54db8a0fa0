/// All that one version of a zone has at one owner name (RFC 9499 §2). It never changes: where two versions hold the
/// same object, nothing has changed at that name, and whatever was made of it, signatures and layout, is taken over.
/// That keeps a change of membership in a zone of thousands of names as cheap as the few names it touches.
final class OwnerRecords: Sendable {
    let name: DomainName
    /// Without duplicates, every set with one TTL; at the apex the SOA first.
    let records: [ResourceRecord]
    /// Types whose set is empty by policy: they answer SERVFAIL. Nil when no set is; the name exists even with none.
    let failing: [RecordType]?
    /// Choices of what to answer for sets of which an answer holds only some.
    let subsets: [RecordType: [Subset]]
    /// The name in canonical order (RFC 4034 §6.1).
    let key: [UInt8]
    /// Whether it has NS records: elsewhere than at the apex it is a zone cut.
    let hasServers: Bool

    init(
        _ name: DomainName, _ records: [ResourceRecord], failing: [RecordType]? = nil,
        subsets: [RecordType: [Subset]] = [:]
    ) {
        self.name = name
        self.records = OwnerRecords.normal(records)
        self.failing = failing
        self.subsets = subsets
        key = CanonicalOrder.key(name)
        hasServers = self.records.contains { $0.type == .ns }
    }

    /// One TTL per set, the lowest (RFC 2181 §5.2), and no record twice. Signatures are no set of their own.
    private static func normal(_ records: [ResourceRecord]) -> [ResourceRecord] {
        var lowest: [RecordType: UInt32] = [:]
        var isMixed = false
        for record in records where record.type != .rrsig {
            let known = lowest[record.type] ?? record.ttl
            isMixed = isMixed || known != record.ttl
            lowest[record.type] = min(known, record.ttl)
        }
        var seen = Set<ResourceRecord>(minimumCapacity: records.count)
        if !isMixed, records.allSatisfy({ seen.insert($0).inserted }) { return records }
        seen.removeAll()
        return records.compactMap { record in
            var record = record
            if record.type != .rrsig { record.ttl = lowest[record.type] ?? record.ttl }
            return seen.insert(record).inserted ? record : nil
        }
    }

    /// The same at this name with other records.
    func with(_ records: [ResourceRecord]) -> OwnerRecords {
        OwnerRecords(name, records, failing: failing, subsets: subsets)
    }

    /// The same with another serial in the SOA record, if that is the first.
    func numbered(_ serial: UInt32) -> OwnerRecords {
        guard let soa = records.first, soa.type == .soa else { return self }
        let data = SOAData.data(soa.data, serial: serial)
        if data == soa.data { return self }
        var changed = records
        changed[0].data = data
        return with(changed)
    }

    /// Without what signing added.
    var unsigned: OwnerRecords {
        OwnerRecords(
            name, records.filter { !RecordType.ofSigning.contains($0.type) }, failing: failing,
            subsets: subsets.mapValues { $0.map { Subset(records: $0.records) } })
    }

    /// Whether a zone that has these has nothing at the name.
    var isNothing: Bool { records.isEmpty && failing == nil }
}

extension OwnerRecords: Equatable {
    static func == (left: OwnerRecords, right: OwnerRecords) -> Bool {
        left === right
            || left.name == right.name && left.records == right.records
                && left.failing == right.failing && left.subsets == right.subsets
    }
}
