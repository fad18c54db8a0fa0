public import Farm

/// The reverse zone of a network, made of the farm's machines: a PTR record for each address, naming the machine's
/// stable host name, as large receivers want it (names that go both ways). It is served beside the farm's zone, or
/// printed for whoever serves it. A network that ends within an octet of an IPv4 address has a zone of its own
/// beside the octet's others, into which the parent points each address (RFC 2317).
public struct ReverseZone: Hashable, Sendable {
    /// Name of the zone, with the last dot.
    public let origin: String
    /// Owner, relative to the origin, and name of the machine with the last dot, in the order of the addresses.
    public let pointers: [Pointer]
    /// Lines for the zone above, of a network that needs them; the name servers are not among them.
    public let parentLines: [String]

    public struct Pointer: Hashable, Sendable {
        public let owner: String
        public let target: String
    }

    /// - Parameters:
    ///   - network: of /8, /16, /24 or /25 to /31 in IPv4, and of /4 to /124 on a nibble's border in IPv6.
    ///   - hosts: machines with their addresses; those that are elsewhere are left out.
    ///   - zone: the farm's, without the last dot.
    /// - Throws: when the network has no reverse zone of its own.
    public init(
        of network: Network, hosts: [(name: String, addresses: [IPAddress])], zone: String
    ) throws(ZoneFault) {
        let isPart = try ReverseZone.isPart(network)
        let isV4 = network.address.octets.count == 4
        let labels = ReverseZone.labels(network.address)
        let kept = network.prefix / (isV4 ? 8 : 4)
        let above = labels.prefix(kept).reversed().joined(separator: ".")
        let suffix = isV4 ? "in-addr.arpa." : "ip6.arpa."
        let own = isPart ? "\(labels[kept])/\(network.prefix)." : ""
        origin = own + above + "." + suffix
        var found: [(octets: [UInt8], pointer: Pointer)] = []
        for host in hosts {
            for address in host.addresses where network.contains(address) {
                let owner = ReverseZone.labels(address).dropFirst(kept).reversed()
                    .joined(separator: ".")
                found.append(
                    (address.octets, Pointer(owner: owner, target: "\(host.name).\(zone).")))
            }
        }
        pointers = found.sorted { $0.octets.lexicographicallyPrecedes($1.octets) }.map(\.pointer)
        let (name, parent) = (origin, above + "." + suffix)
        parentLines =
            isPart
            ? (0..<(1 << (32 - network.prefix))).map {
                let last = Int(network.address.octets[3]) + $0
                return "\(last).\(parent) IN CNAME \(last).\(name)"
            } : []
    }

    /// Whether a network shares its octet with others.
    /// - Throws: when it has no reverse zone of its own.
    private static func isPart(_ network: Network) throws(ZoneFault) -> Bool {
        let isV4 = network.address.octets.count == 4
        if isV4, (25...31).contains(network.prefix) { return true }
        let whole = isV4 ? [8, 16, 24] : Array(stride(from: 4, to: 125, by: 4))
        guard whole.contains(network.prefix) else {
            throw ZoneFault(
                "\(network) has no reverse zone of its own: give an IPv4 network of /8, /16, /24 or, for a part of one "
                    + "(RFC 2317), /25 to /31, or an IPv6 network that ends on a nibble")
        }
        return false
    }

    /// The octets of an IPv4 address, or the nibbles of an IPv6 address, as labels from the left.
    private static func labels(_ address: IPAddress) -> [String] {
        let octets = address.octets
        if octets.count == 4 { return octets.map { String($0) } }
        return octets.flatMap { [String($0 >> 4, radix: 16), String($0 & 15, radix: 16)] }
    }
}

extension ZoneContent {
    /// The reverse zone of a network as the farm's name servers answer it. Its SOA and NS records are those of the
    /// farm's own zone.
    /// - Parameters:
    ///   - network: as `ReverseZone` wants it.
    ///   - zone: the static part of the farm's own zone.
    ///   - membership: nil before the first is known.
    ///   - before: the version before, with whose names those that have not changed are shared.
    /// - Throws: when the network has no reverse zone of its own.
    /// - Complexity: O(n log n) in the machines.
    public init(
        reverseOf network: Network, beside zone: StaticZone, membership: Membership?,
        before: ZoneContent? = nil
    ) throws(ZoneFault) {
        let hosts = membership?.hosts.map { (name: $0.id.name, addresses: $0.addresses) } ?? []
        let reverse = try ReverseZone(of: network, hosts: hosts, zone: zone.apex.description)
        guard let apex = DomainName(reverse.origin) else {
            throw ZoneFault("'\(reverse.origin)' is no name")
        }
        let servers = zone.records.filter { $0.owner == zone.apex && $0.type == .ns }
        var records = ([zone.soa] + servers).map { record in
            ResourceRecord(owner: apex, type: record.type, ttl: record.ttl, data: record.data)
        }
        for pointer in reverse.pointers {
            guard let owner = DomainName("\(pointer.owner).\(reverse.origin)"),
                let target = DomainName(pointer.target)
            else { throw ZoneFault("'\(pointer.target)' is no name") }
            records.append(
                ResourceRecord(
                    owner: owner, type: .ptr, ttl: membership?.hostTTL ?? 0, data: target.wire))
        }
        self.init(
            apex: apex, version: membership?.version ?? 0, records: records, before: before)
    }
}
