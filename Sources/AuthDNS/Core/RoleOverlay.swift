import Farm

/// Turns a membership into records: what the zone file does not say and the farm does. It replaces the
/// static records of the same owner and type, and nothing else.
struct RoleOverlay {
    private(set) var records: [ResourceRecord] = []
    /// Owner and types whose set is empty, with what to answer.
    private(set) var empty: [EmptySet] = []

    /// A name that has no member now.
    struct EmptySet {
        var owner: DomainName
        var types: [RecordType]
        var answer: Membership.EmptyAnswer
    }

    /// Choices for sets of which an answer holds only some.
    private(set) var subsets: [SetKey: [Subset]] = [:]

    /// - Throws: when the membership names an owner that is not a name.
    init(_ membership: Membership, apex: DomainName) throws(ZoneFault) {
        var hosts: [SmurfID: Membership.Host] = [:]
        for host in membership.hosts {
            let owner = try RoleOverlay.owner(host.id.name, apex)
            hosts[host.id] = host
            for address in host.addresses {
                records.append(.address(owner, address, ttl: membership.hostTTL))
            }
        }
        for role in membership.records { try add(role, hosts, apex) }
        if !membership.senderOwners.isEmpty {
            let text = SenderPolicy.text(for: membership.senders)
            let ttl = membership.records.map(\.ttl).min() ?? membership.hostTTL
            for name in membership.senderOwners {
                records.append(.text(try RoleOverlay.owner(name, apex), text, ttl: ttl))
            }
        }
    }

    private mutating func add(
        _ role: Membership.RoleRecords, _ hosts: [SmurfID: Membership.Host], _ apex: DomainName
    ) throws(ZoneFault) {
        let owner = try RoleOverlay.owner(role.owner, apex)
        var members: [MemberRing.Member] = []
        for id in role.members {
            // A target without an address would make askers wait for nothing.
            guard let host = hosts[id], !host.addresses.isEmpty else { continue }
            let name = try RoleOverlay.owner(id.name, apex)
            members.append(
                MemberRing.Member(
                    name: name, weight: min(max(host.weight, 1), 100),
                    records: RoleOverlay.records(role, owner, name, host)))
        }
        records += members.flatMap(\.records)
        let types = role.kind.types
        if members.isEmpty {
            return empty.append(EmptySet(owner: owner, types: types, answer: role.whenEmpty))
        }
        guard role.limit > 0 else { return }
        for type in types { addSubsets(SetKey(owner: owner, type: type), members, role.limit) }
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
        if able.count > limit { subsets[key] = MemberRing(able).choices(of: limit) }
    }

    private static func owner(_ text: String, _ apex: DomainName) throws(ZoneFault) -> DomainName {
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
