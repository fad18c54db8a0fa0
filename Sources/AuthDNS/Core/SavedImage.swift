/// The bytes of an image on disk: magic, serial, membership version, records, and a checksum over all
/// of it. It holds records, not the packed form, so that a newer program can read an older one's.
public enum SavedImage {
    private static let magic = Array("SMURFZ2\n".utf8)
    /// Of files without choices.
    private static let firstMagic = Array("SMURFZ1\n".utf8)

    public static func encode(_ image: ZoneImage) -> [UInt8] {
        var out = SavedOctets(magic)
        out.append(UInt64(image.serial), 4)
        out.append(image.membershipVersion, 8)
        out.append(octets: image.apex.wire)
        out.append(image.records)
        let failing = image.failing.sorted {
            $0.key.wire.lexicographicallyPrecedes($1.key.wire)
        }
        out.append(UInt64(failing.count), 4)
        for (name, types) in failing {
            out.append(octets: name.wire)
            out.append(UInt64(types.count), 2)
            for type in types { out.append(UInt64(type.rawValue), 2) }
        }
        append(image.content.owners, &out)
        out.append(SavedOctets.checksum(out.bytes[...]), 8)
        return out.bytes
    }

    /// - Parameter bytes: hostile; a torn or foreign file is a fault, never a trap.
    public static func decode(_ bytes: [UInt8]) throws(ZoneFault) -> ZoneImage {
        guard bytes.count > magic.count + 8,
            bytes.starts(with: magic) || bytes.starts(with: firstMagic)
        else {
            throw ZoneFault("this is no saved zone image")
        }
        var tail = SavedReader(bytes: bytes, offset: bytes.count - 8)
        guard try tail.number(8) == SavedOctets.checksum(bytes.dropLast(8)) else {
            throw ZoneFault("the saved zone image is damaged: its checksum is wrong")
        }
        var reader = SavedReader(bytes: Array(bytes.dropLast(8)), offset: magic.count)
        let serial = UInt32(try reader.number(4))
        let version = try reader.number(8)
        let apex = try reader.name()
        let records = try reader.records()
        var failing: [DomainName: [RecordType]] = [:]
        for _ in 0..<(try reader.number(4)) {
            let name = try reader.name()
            var types: [RecordType] = []
            for _ in 0..<(try reader.number(2)) { types.append(try reader.type()) }
            failing[name] = types
        }
        let subsets = bytes.starts(with: magic) ? try readSubsets(&reader) : [:]
        guard records.first?.type == .soa, records.allSatisfy({ $0.owner.isWithin(apex) }) else {
            throw ZoneFault("the saved zone image has no SOA record in front")
        }
        return try ZoneImage(
            ZoneContent(
                apex: apex, version: version, records: records, failing: failing, subsets: subsets),
            serial: serial)
    }

    private static func append(_ owners: [OwnerRecords], _ out: inout SavedOctets) {
        out.append(UInt64(owners.reduce(0) { $0 + $1.subsets.count }), 4)
        for owner in owners {
            for (type, choices) in owner.subsets {
                out.append(octets: owner.name.wire)
                out.append(UInt64(type.rawValue), 2)
                out.append(UInt64(choices.count), 4)
                for choice in choices {
                    out.append(choice.records)
                    out.append(choice.signatures)
                }
            }
        }
    }

    private static func readSubsets(
        _ reader: inout SavedReader
    ) throws(ZoneFault) -> [SetKey: [Subset]] {
        var subsets: [SetKey: [Subset]] = [:]
        for _ in 0..<(try reader.number(4)) {
            let key = SetKey(owner: try reader.name(), type: try reader.type())
            for _ in 0..<(try reader.number(4)) {
                let (records, signatures) = (try reader.records(), try reader.records())
                guard !records.isEmpty else { throw ZoneFault("the saved data have an empty set") }
                subsets[key, default: []].append(
                    Subset(records: records, signatures: signatures))
            }
        }
        return subsets
    }

}
