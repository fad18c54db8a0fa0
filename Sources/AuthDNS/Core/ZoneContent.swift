public import Farm

/// The records of a zone at one moment, before they are laid out: the static part with the farm's in place of what
/// they replace. A value without serial: two of the same zone and membership are equal.
public struct ZoneContent: Sendable {
    public let apex: DomainName
    /// Version of the membership it was made of; 0 for none.
    public let version: UInt64
    /// In canonical order, hence the apex first.
    private(set) var owners: [OwnerRecords]
    /// The same by name.
    private(set) var byName: [DomainName: OwnerRecords]
    /// What was made of the machines, to be taken over by the next.
    private var hosts = HostRecords()

    /// - Parameters:
    ///   - zone: the static part.
    ///   - membership: nil before the first is known.
    ///   - before: the version before, with whose names those that have not changed are shared.
    /// - Throws: when membership and zone contradict each other.
    /// - Complexity: O(n) in the names, with little for those that have not changed.
    public init(
        zone: StaticZone, membership: Membership?, before: ZoneContent? = nil
    ) throws(ZoneFault) {
        var names = OwnerDrafts()
        var hosts = before?.hosts ?? HostRecords()
        if let membership {
            let overlay = try RoleOverlay(membership, zone: zone, hosts: hosts)
            (names, hosts) = (overlay.names, overlay.hosts)
        }
        names.add(below: zone)
        self.init(
            apex: zone.apex, version: membership?.version ?? 0, names.owners(before: before),
            before: before)
        self.hosts = hosts
    }

    /// What an image was made of, without what signing added.
    public init(of image: ZoneImage) {
        let unsigned = image.content.owners.map(\.unsigned)
        self.init(apex: image.apex, version: image.membershipVersion, unsigned, before: nil)
    }

    /// - Parameters:
    ///   - records: SOA first, every owner within `apex`.
    ///   - before: the version before, with whose names those that have not changed are shared.
    init(
        apex: DomainName, version: UInt64, records: [ResourceRecord],
        failing: [DomainName: [RecordType]] = [:], subsets: [SetKey: [Subset]] = [:],
        before: ZoneContent? = nil
    ) {
        var names = OwnerDrafts()
        for record in records { names.add(record) }
        for (name, types) in failing { names.fail(name, types) }
        for (key, choices) in subsets { names.choose(among: choices, for: key) }
        self.init(apex: apex, version: version, names.owners(before: before), before: before)
    }

    /// - Parameter owners: in any order.
    private init(
        apex: DomainName, version: UInt64, _ owners: [OwnerRecords], before: ZoneContent?
    ) {
        self.apex = apex
        self.version = version
        byName = Dictionary(minimumCapacity: owners.count)
        for owner in owners { byName[owner.name] = owner }
        self.owners = ZoneContent.ordered(byName, before: before)
    }

    /// Most names were there before, and in order: only new ones are sorted.
    private static func ordered(
        _ names: [DomainName: OwnerRecords], before: ZoneContent?
    ) -> [OwnerRecords] {
        let old = before?.owners.compactMap { names[$0.name] } ?? []
        if old.count == names.count { return old }
        let new = names.values.filter { before?.byName[$0.name] == nil }
        return merged(old, new.sorted { $0.key.lexicographicallyPrecedes($1.key) })
    }

    /// Two lists in canonical order as one.
    static func merged(_ left: [OwnerRecords], _ right: [OwnerRecords]) -> [OwnerRecords] {
        var result: [OwnerRecords] = []
        result.reserveCapacity(left.count + right.count)
        var rest = right[...]
        for owner in left {
            while let first = rest.first, first.key.lexicographicallyPrecedes(owner.key) {
                result.append(first)
                rest = rest.dropFirst()
            }
            result.append(owner)
        }
        return result + rest
    }

    /// Every record, SOA first.
    /// - Complexity: O(n).
    public var records: [ResourceRecord] { owners.flatMap(\.records) }

    /// Names whose set is empty by policy, with the types concerned: they answer SERVFAIL.
    public var failing: [DomainName: [RecordType]] {
        var result: [DomainName: [RecordType]] = [:]
        for owner in owners { if let types = owner.failing { result[owner.name] = types } }
        return result
    }

    /// The SOA record; nil when there is none at the apex.
    var soa: ResourceRecord? { owners.first?.records.first { $0.type == .soa } }

    /// The SOA record's serial; nil when there is none.
    public var serial: UInt32? { soa.flatMap { SOAData($0.data)?.serial } }

    /// The same with another serial in the SOA.
    public func numbered(_ serial: UInt32) -> ZoneContent {
        guard let first = owners.first else { return self }
        let numbered = first.numbered(serial)
        return numbered === first ? self : replacing([numbered])
    }

    /// The same with more records, or those that it has already.
    public func adding(_ more: [ResourceRecord]) -> ZoneContent {
        replacing(
            Dictionary(grouping: more, by: \.owner).map { name, more in
                guard let old = byName[name] else { return OwnerRecords(name, more) }
                return old.with(old.records + more)
            })
    }

    /// The next version, by what leads to it (RFC 1995 §4).
    /// - Throws: when it does not lead from this version.
    public func applying(_ step: ZoneDifference) throws(ZoneFault) -> ZoneContent {
        guard let soa, SOAData(soa.data)?.serial == step.fromSerial else {
            throw ZoneFault("the step leads from version \(step.fromSerial), which this is not")
        }
        let removed = Dictionary(grouping: step.removed, by: \.owner)
        let added = Dictionary(grouping: step.added, by: \.owner)
        var changed: [OwnerRecords] = []
        for name in Set(removed.keys).union(added.keys).union([apex]) {
            // A set has one TTL here, whatever the others think.
            let gone = Set((removed[name] ?? []).map { [UInt8](type: $0.type) + $0.data })
            let old = byName[name]?.records ?? []
            var kept = old.filter {
                $0.type != .soa && !gone.contains([UInt8](type: $0.type) + $0.data)
            }
            guard old.count - kept.count == gone.count + (name == apex ? 1 : 0) else {
                throw ZoneFault("the step takes records away from \(name) that are not there")
            }
            kept += added[name] ?? []
            changed.append(OwnerRecords(name, (name == apex ? [step.to] : []) + kept))
        }
        return replacing(changed)
    }

    /// The same with these in place of what is at their names.
    /// - Parameter changed: few.
    func replacing(_ changed: [OwnerRecords]) -> ZoneContent {
        var copy = self
        for owner in changed {
            let place = copy.place(of: owner)
            let isThere = copy.byName[owner.name] != nil
            let new = owner.isNothing ? [] : [owner]
            copy.owners.replaceSubrange(place..<(place + (isThere ? 1 : 0)), with: new)
            copy.byName[owner.name] = new.first
        }
        return copy
    }

    /// Where the name stands, or would.
    private func place(of owner: OwnerRecords) -> Int {
        var (low, high) = (0, owners.count)
        while low < high {
            let middle = (low + high) / 2
            if owners[middle].key.lexicographicallyPrecedes(owner.key) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// The same with one for each of `owners`, in their order.
    func with(_ owners: [OwnerRecords]) -> ZoneContent {
        var copy = self
        copy.owners = owners
        for owner in owners where copy.byName[owner.name] !== owner {
            copy.byName[owner.name] = owner
        }
        return copy
    }

    /// The longest time for which a cache may keep any of it, in seconds.
    public var longestTTL: UInt32 {
        owners.reduce(0) { longest, owner in
            owner.records.reduce(longest) { max($0, $1.ttl) }
        }
    }
}

extension ZoneContent: Equatable {
    public static func == (left: ZoneContent, right: ZoneContent) -> Bool {
        left.apex == right.apex && left.owners == right.owners
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

extension [UInt8] {
    fileprivate init(type: RecordType) {
        self = [UInt8(type.rawValue >> 8), UInt8(type.rawValue & 255)]
    }
}
