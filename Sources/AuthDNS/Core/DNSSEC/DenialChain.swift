/// The NSEC records of a zone (RFC 4034 §4): each name that is the zone's own names the next one and its types, so
/// that any name in between is proven not to exist.
enum DenialChain {
    /// - Parameters:
    ///   - owner: a name that is the zone's own. Types whose sets are empty by policy are said to exist, since a
    ///     resolver that proves their absence by itself (RFC 8198) would turn "try again" into "does not exist".
    ///   - next: the one behind it in canonical order, behind the last the first.
    ///   - isCut: whether all but NS and DS is another zone's.
    ///   - ttl: the lesser of the SOA's TTL and its minimum (RFC 9077 §3).
    static func record(
        _ owner: OwnerRecords, next: DomainName, isCut: Bool, ttl: UInt32
    ) -> ResourceRecord {
        var types: Set<RecordType> = [.nsec, .rrsig]
        types.formUnion(owner.records.lazy.map(\.type).filter { !isCut || $0 == .ns || $0 == .ds })
        types.formUnion(owner.failing ?? [])
        return ResourceRecord(
            owner: owner.name, type: .nsec, ttl: ttl, data: next.wire + bitmap(types))
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
