import Farm

/// Turns a membership into records: what the zone file does not say and the farm does. It replaces the
/// static records of the same owner and type, and nothing else.
struct RoleOverlay {
    private(set) var names = OwnerDrafts()
    /// The machines' own names, for the next overlay.
    private(set) var hosts: HostRecords

    /// - Parameters:
    ///   - zone: the static part, of which its apex and its TLSA data are of interest.
    ///   - hosts: of the overlay before; empty for none.
    /// - Throws: when the membership names an owner that is not a name.
    init(
        _ membership: Membership, zone: StaticZone, hosts: HostRecords = HostRecords()
    ) throws(ZoneFault) {
        let apex = zone.apex
        self.hosts = hosts
        try self.hosts.take(membership, apex: apex)
        names.reserve(membership.hosts.count + membership.records.count)
        for host in self.hosts.all where !host.records.isEmpty {
            names.add(host.records, at: host.name)
        }
        for role in membership.records { try add(role, apex) }
        if !zone.associations.isEmpty { try addAssociations(zone.associations, membership) }
        for text in membership.texts ?? [] { try add(text, zone) }
        if !membership.senderOwners.isEmpty {
            let text = SenderPolicy.text(for: membership.senders)
            let ttl = membership.records.map(\.ttl).min() ?? membership.hostTTL
            for name in membership.senderOwners {
                names.add(.text(try RoleOverlay.owner(name, apex), text, ttl: ttl))
            }
        }
    }

    /// Seconds; nobody should keep a text that goes soon.
    private static let textTTL: UInt32 = 10

    /// What the zone cannot have is left out: a zone file that was changed since must not keep roles from changing.
    private mutating func add(_ text: Membership.Text, _ zone: StaticZone) throws(ZoneFault) {
        let owner = try RoleOverlay.owner(text.owner, zone.apex)
        guard zone.canAnswerText(at: owner) else { return }
        names.add(.text(owner, text.value, ttl: RoleOverlay.textTTL))
    }

    private mutating func add(
        _ role: Membership.RoleRecords, _ apex: DomainName
    ) throws(ZoneFault) {
        let owner = try RoleOverlay.owner(role.owner, apex)
        var members: [MemberRing.Member] = []
        for id in role.members {
            // A target without an address would make askers wait for nothing.
            guard let host = hosts[id], !host.records.isEmpty else { continue }
            members.append(
                MemberRing.Member(
                    name: host.name, weight: min(max(host.host.weight, 1), 100),
                    quarters: min(max(role.ramping?[id] ?? 4, 1), 4),
                    records: RoleOverlay.records(role, owner, host.name, host.host)))
        }
        names.add(members.flatMap(\.records), at: owner)
        let types = role.kind.types
        if members.isEmpty {
            names.empty(owner, types)
            return names.fail(owner, role.whenEmpty == .servfail ? types : [])
        }
        guard role.limit > 0 || role.ramping != nil else { return }
        for type in types { addSubsets(SetKey(owner: owner, type: type), members, role.limit) }
    }

    /// Which keys each machine that an MX record names may show.
    private mutating func addAssociations(
        _ data: [[UInt8]], _ membership: Membership
    ) throws(ZoneFault) {
        var exchangers: Set<SmurfID> = []
        for role in membership.records {
            if case .mailExchange = role.kind { exchangers.formUnion(role.members) }
        }
        for id in exchangers {
            guard let host = hosts[id], !host.records.isEmpty else { continue }
            guard let owner = host.name.prepending("_25._tcp") else {
                throw ZoneFault("the name \(host.name) is too long for a TLSA record below it")
            }
            names.add(
                data.map {
                    ResourceRecord(owner: owner, type: .tlsa, ttl: membership.hostTTL, data: $0)
                }, at: owner)
        }
    }

    private static func records(
        _ role: Membership.RoleRecords, _ owner: DomainName, _ name: DomainName,
        _ host: Membership.Host
    ) -> [ResourceRecord] {
        switch role.kind {
        case .address: host.addresses.map { .address(owner, $0, ttl: role.ttl) }
        case .mailExchange(let preference):
            [.mailExchange(owner, preference: preference, host: name, ttl: role.ttl)]
        case .service(let priority, let port):
            [
                .service(
                    owner, priority: priority, weight: UInt16(clamping: host.weight), port: port,
                    host: name, ttl: role.ttl)
            ]
        case .https(let priority):
            [.https(owner, priority: priority, host: name, ttl: role.ttl)]
        }
    }

    /// Members that have nothing of this type (no IPv6 address, say) are in none of its choices.
    private mutating func addSubsets(_ key: SetKey, _ members: [MemberRing.Member], _ limit: Int) {
        let able = members.compactMap { member -> MemberRing.Member? in
            var member = member
            member.records.removeAll { $0.type != key.type }
            return member.records.isEmpty ? nil : member
        }
        if limit > 0, able.count > limit {
            names.choose(among: MemberRing(able).choices(of: limit), for: key)
        } else if able.contains(where: { $0.quarters < 4 }) {
            names.choose(among: MemberRing.quarters(of: able), for: key)
        }
    }

    static func owner(_ text: String, _ apex: DomainName) throws(ZoneFault) -> DomainName {
        if text == "@" { return apex }
        guard let name = apex.prepending(text) else {
            throw ZoneFault("'\(text)' is not a name under \(apex)")
        }
        return name
    }
}

extension Membership.RoleRecords.Kind {
    /// Types of the records that follow from it.
    var types: [RecordType] {
        switch self {
        case .address: [.a, .aaaa]
        case .mailExchange: [.mx]
        case .service: [.srv]
        case .https: [.https]
        }
    }
}
