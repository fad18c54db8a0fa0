/// What is gathered for each name of a zone while a version of it is put together, from the farm first and from the
/// zone file behind it.
struct OwnerDrafts {
    private struct Draft {
        var records: [ResourceRecord] = []
        var failing: [RecordType]?
        /// Types that the farm decides, though it may have no record of them.
        var empty: [RecordType] = []
        var subsets: [RecordType: [Subset]] = [:]

        /// Whole lists are shared, not copied.
        mutating func append(_ more: [ResourceRecord]) {
            if records.isEmpty { records = more } else { records += more }
        }
    }

    private var drafts: [DomainName: Draft] = [:]

    mutating func reserve(_ count: Int) { drafts.reserveCapacity(count) }

    mutating func add(_ record: ResourceRecord) {
        drafts[record.owner, default: Draft()].records.append(record)
    }

    /// - Parameter records: all of this name.
    mutating func add(_ records: [ResourceRecord], at name: DomainName) {
        drafts[name, default: Draft()].append(records)
    }

    /// The sets of these types are empty by policy, and answer SERVFAIL.
    mutating func fail(_ name: DomainName, _ types: [RecordType]) {
        drafts[name, default: Draft()].failing = (drafts[name]?.failing ?? []) + types
    }

    /// What else there is of these types at the name does not count.
    mutating func empty(_ name: DomainName, _ types: [RecordType]) {
        drafts[name, default: Draft()].empty += types
    }

    mutating func choose(among choices: [Subset], for key: SetKey) {
        drafts[key.owner, default: Draft()].subsets[key.type] = choices
    }

    /// Adds the static part, except for sets that are there already.
    mutating func add(below zone: StaticZone) {
        for (name, records) in zone.byName {
            guard let draft = drafts[name] else {
                drafts[name] = Draft(records: records)
                continue
            }
            let decided = Set(draft.records.map(\.type)).union(draft.empty)
            drafts[name]?.records =
                records.filter { !decided.contains($0.type) } + draft.records
        }
    }

    /// - Parameter before: the version before; a name at which nothing has changed is its very object.
    func owners(before: ZoneContent?) -> [OwnerRecords] {
        drafts.map { name, draft in
            if let old = before?.byName[name], old.records == draft.records,
                old.failing == draft.failing, old.subsets == draft.subsets
            {
                return old
            }
            return OwnerRecords(
                name, draft.records, failing: draft.failing, subsets: draft.subsets)
        }
    }
}
