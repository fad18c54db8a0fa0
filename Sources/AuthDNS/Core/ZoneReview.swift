public import Farm

/// What a reader who knows the rules would say of a zone file that can be served: targets that lead
/// nowhere, and what it and the farm's own names do to each other. It finds nothing that the parser or
/// the image refuse.
public struct ZoneReview: Sendable {
    /// In no order.
    public private(set) var findings: [Finding] = []
    private let zone: StaticZone
    private var types: [DomainName: [RecordType: ResourceRecord]] = [:]
    /// Names that the farm gives addresses to.
    private var farmHosts: Set<DomainName> = []

    /// One remark about one record.
    public struct Finding: Hashable, Sendable {
        public var record: ResourceRecord
        public var text: String
        /// Whether zone and farm contradict each other: such a zone must not be served.
        public var isError: Bool
    }

    /// Looks at the zone alone.
    public init(_ zone: StaticZone) {
        self.zone = zone
        for record in zone.records where types[record.owner]?[record.type] == nil {
            types[record.owner, default: [:]][record.type] = record
        }
        reviewTargets()
    }

    /// Looks at the zone and at every name that the farm publishes in it.
    /// - Throws: when the membership names an owner that is not a name.
    public init(_ zone: StaticZone, beside names: Membership) throws(ZoneFault) {
        self.init(zone)
        findings = []
        for host in names.hosts {
            let owner = try name(host.id.name)
            farmHosts.insert(owner)
            if let record = types[owner]?.values.min(by: { $0.type < $1.type }) {
                add(record, "\(owner) has records here and is the host name of member '\(host.id)'")
            }
            reviewPath(to: owner, "the host name of member '\(host.id)'")
        }
        for role in names.records {
            let owner = try name(role.owner)
            if role.kind == .address { farmHosts.insert(owner) }
            reviewPath(to: owner, "a name of a role")
            reviewReplaced(
                owner, role.kind.types, "the members of the role with this name replace it")
        }
        for text in names.senderOwners {
            let owner = try name(text)
            reviewPath(to: owner, "a name with the farm's SPF record")
            reviewReplaced(owner, [.txt], "the farm's SPF record replaces it")
        }
        reviewTargets()
    }

    private func name(_ text: String) throws(ZoneFault) -> DomainName {
        if text == "@" { return zone.apex }
        guard let name = zone.apex.prepending(text) else {
            throw ZoneFault("'\(text)' is not a name under \(zone.apex)")
        }
        return name
    }

    private mutating func add(_ record: ResourceRecord, _ text: String) {
        findings.append(Finding(record: record, text: text + ": rename one", isError: true))
    }

    /// What makes `owner` another name's, another server's, or nobody's.
    private mutating func reviewPath(to owner: DomainName, _ what: String) {
        if let alias = types[owner]?[.cname] { add(alias, "\(owner) is an alias here and \(what)") }
        var current: DomainName? = owner
        while let here = current, here.isWithin(zone.apex) {
            if here != zone.apex, let cut = types[here]?[.ns] {
                add(cut, "\(here) is delegated to another server, and \(owner) is \(what)")
            }
            current = here.parent
        }
    }

    private mutating func reviewReplaced(
        _ owner: DomainName, _ replaced: [RecordType], _ why: String
    ) {
        for record in zone.records where record.owner == owner && replaced.contains(record.type) {
            findings.append(
                Finding(record: record, text: "never answered: \(why)", isError: false))
        }
    }

    /// RFC 2181 §10.3: what MX, NS and SRV name must have addresses and be no alias.
    private mutating func reviewTargets() {
        for record in zone.records {
            guard let target = record.target, target.isWithin(zone.apex) else { continue }
            if types[target]?[.cname] != nil {
                warn(
                    record, "\(target) is an alias (CNAME); name its target (RFC 2181 section 10.3)"
                )
            } else if !hasAddress(target) {
                warn(record, "\(target) has no address in this zone")
            }
        }
    }

    private mutating func warn(_ record: ResourceRecord, _ text: String) {
        findings.append(Finding(record: record, text: text, isError: false))
    }

    /// Whether somebody can find an address for it: here, by the farm, by a wildcard, or beyond a cut.
    private func hasAddress(_ target: DomainName) -> Bool {
        if farmHosts.contains(target) { return true }
        if let own = types[target] {
            return own[.a] != nil || own[.aaaa] != nil || isDelegated(target)
        }
        let exists = types.keys.contains { $0.isWithin(target) }
        return isDelegated(target) || (!exists && isCoveredByWildcard(target))
    }

    private func isDelegated(_ target: DomainName) -> Bool {
        var current: DomainName? = target
        while let here = current, here.isWithin(zone.apex), here != zone.apex {
            if types[here]?[.ns] != nil { return true }
            current = here.parent
        }
        return false
    }

    private func isCoveredByWildcard(_ target: DomainName) -> Bool {
        var current = target.parent
        while let here = current, here.isWithin(zone.apex) {
            if let star = here.prepending("*"), let own = types[star] {
                return own[.a] != nil || own[.aaaa] != nil || own[.cname] != nil
            }
            current = here.parent
        }
        return false
    }
}

extension ResourceRecord {
    /// The host that an NS, MX or SRV record names; nil for other types and for "." (none).
    fileprivate var target: DomainName? {
        let skip: Int
        switch type {
        case .ns: skip = 0
        case .mx: skip = 2
        case .srv: skip = 6
        default: return nil
        }
        guard data.count > skip, let name = DomainName(wire: Array(data[skip...])), name != .root
        else { return nil }
        return name
    }
}
