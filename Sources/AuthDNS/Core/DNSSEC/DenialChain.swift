/// The NSEC records of a zone (RFC 4034 §4): each name that is the zone's own names the next one and its types, so
/// that any name in between is proven not to exist.
enum DenialChain {
    /// - Parameters:
    ///   - sets: every set of the zone that is not glue, by owner: the types there.
    ///   - failing: names whose sets are empty by policy. Their types are said to exist, since a resolver that
    ///     proves their absence by itself (RFC 8198) would turn "try again" into "does not exist".
    ///   - ttl: the lesser of the SOA's TTL and its minimum (RFC 9077 §3).
    /// - Complexity: O(n log n) in the names.
    static func records(
        types: [DomainName: Set<RecordType>], failing: [DomainName: [RecordType]], ttl: UInt32
    ) -> [ResourceRecord] {
        var all = types
        for (name, missing) in failing { all[name, default: []].formUnion(missing) }
        let ordered = all.map { (key: CanonicalOrder.key($0.key), name: $0.key, types: $0.value) }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
        return ordered.indices.map { index in
            let own = ordered[index]
            let next = ordered[(index + 1) % ordered.count].name
            return ResourceRecord(
                owner: own.name, type: .nsec, ttl: ttl,
                data: next.wire + bitmap(own.types.union([.nsec, .rrsig])))
        }
    }

    /// Types as windows of 256 bits without trailing zeros (RFC 4034 §4.1.2).
    static func bitmap(_ types: Set<RecordType>) -> [UInt8] {
        var out: [UInt8] = []
        var rest = types.map(\.rawValue).sorted()[...]
        while let first = rest.first {
            let window = rest.prefix { $0 >> 8 == first >> 8 }
            var bits = [UInt8](repeating: 0, count: Int(window[window.endIndex - 1] & 255) / 8 + 1)
            for type in window { bits[Int(type & 255) / 8] |= 0x80 >> UInt8(type & 7) }
            out += [UInt8(first >> 8), UInt8(bits.count)] + bits
            rest = rest[window.endIndex...]
        }
        return out
    }
}
