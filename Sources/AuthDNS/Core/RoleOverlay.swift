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

    /// - Throws: when the membership names an owner that is not a name.
    init(_ membership: Membership, apex: DomainName) throws(ZoneFault) {
        var addresses: [SmurfID: [IPAddress]] = [:]
        for host in membership.hosts {
            let owner = try RoleOverlay.owner(host.id.name, apex)
            addresses[host.id] = host.addresses
            for address in host.addresses {
                records.append(.address(owner, address, ttl: membership.hostTTL))
            }
        }
        for role in membership.records { try add(role, addresses, apex) }
        if !membership.senderOwners.isEmpty {
            let text = SenderPolicy.text(for: membership.senders)
            let ttl = membership.records.map(\.ttl).min() ?? membership.hostTTL
            for name in membership.senderOwners {
                records.append(.text(try RoleOverlay.owner(name, apex), text, ttl: ttl))
            }
        }
    }

    private mutating func add(
        _ role: Membership.RoleRecords, _ addresses: [SmurfID: [IPAddress]], _ apex: DomainName
    ) throws(ZoneFault) {
        let owner = try RoleOverlay.owner(role.owner, apex)
        let before = records.count
        for member in role.members {
            switch role.kind {
            case .address:
                for address in addresses[member] ?? [] {
                    records.append(.address(owner, address, ttl: role.ttl))
                }
            case .mailExchange(let preference):
                // An exchanger without an address would make senders wait for nothing.
                guard addresses[member]?.isEmpty == false else { continue }
                let host = try RoleOverlay.owner(member.name, apex)
                records.append(
                    .mailExchange(owner, preference: preference, host: host, ttl: role.ttl))
            }
        }
        guard records.count == before else { return }
        let types: [RecordType] = role.kind == .address ? [.a, .aaaa] : [.mx]
        empty.append(EmptySet(owner: owner, types: types, answer: role.whenEmpty))
    }

    private static func owner(_ text: String, _ apex: DomainName) throws(ZoneFault) -> DomainName {
        if text == "@" { return apex }
        guard let name = apex.prepending(text) else {
            throw ZoneFault("'\(text)' is not a name under \(apex)")
        }
        return name
    }
}
