import Farm

/// The stable host names of the farm's machines with their addresses. Most machines are as they were in the
/// membership before; their names and records are taken over.
struct HostRecords {
    /// One machine.
    struct Entry {
        var host: Membership.Host
        var name: DomainName
        /// Its A and AAAA records.
        var records: [ResourceRecord]
    }

    private var entries: [SmurfID: Entry] = [:]
    private var hosts: [Membership.Host] = []
    private var ttl: UInt32 = 0

    subscript(id: SmurfID) -> Entry? { entries[id] }

    var all: some Collection<Entry> { entries.values }

    /// Makes them those of `membership`.
    /// - Throws: when a machine's name is no name under the apex.
    mutating func take(_ membership: Membership, apex: DomainName) throws(ZoneFault) {
        if membership.hostTTL == ttl && membership.hosts == hosts { return }
        var next: [SmurfID: Entry] = Dictionary(minimumCapacity: membership.hosts.count)
        for host in membership.hosts {
            if membership.hostTTL == ttl, let old = entries[host.id], old.host == host {
                next[host.id] = old
                continue
            }
            let name = try RoleOverlay.owner(host.id.name, apex)
            next[host.id] = Entry(
                host: host, name: name,
                records: host.addresses.map { .address(name, $0, ttl: membership.hostTTL) })
        }
        (entries, hosts, ttl) = (next, membership.hosts, membership.hostTTL)
    }
}
