/// The bytes of an image on disk: magic, serial, membership version, records, and a checksum over all
/// of it. It holds records, not the packed form, so that a newer program can read an older one's.
public enum SavedImage {
    private static let magic = Array("SMURFZ1\n".utf8)

    public static func encode(_ image: ZoneImage) -> [UInt8] {
        var out = magic
        append(UInt64(image.serial), 4, &out)
        append(image.membershipVersion, 8, &out)
        appendBytes(image.apex.wire, &out)
        append(UInt64(image.records.count), 4, &out)
        for record in image.records {
            appendBytes(record.owner.wire, &out)
            append(UInt64(record.type.rawValue), 2, &out)
            append(UInt64(record.ttl), 4, &out)
            appendBytes(record.data, &out)
        }
        let failing = image.failing.sorted {
            $0.key.wire.lexicographicallyPrecedes($1.key.wire)
        }
        append(UInt64(failing.count), 4, &out)
        for (name, types) in failing {
            appendBytes(name.wire, &out)
            append(UInt64(types.count), 2, &out)
            for type in types { append(UInt64(type.rawValue), 2, &out) }
        }
        append(checksum(out[...]), 8, &out)
        return out
    }

    /// - Parameter bytes: hostile; a torn or foreign file is a fault, never a trap.
    public static func decode(_ bytes: [UInt8]) throws(ZoneFault) -> ZoneImage {
        guard bytes.count > magic.count + 8, bytes.starts(with: magic) else {
            throw ZoneFault("this is no saved zone image")
        }
        var tail = Reader(bytes: bytes, offset: bytes.count - 8)
        guard try tail.number(8) == checksum(bytes.dropLast(8)) else {
            throw ZoneFault("the saved zone image is damaged: its checksum is wrong")
        }
        var reader = Reader(bytes: Array(bytes.dropLast(8)), offset: magic.count)
        let serial = UInt32(try reader.number(4))
        let version = try reader.number(8)
        let apex = try reader.name()
        var records: [ResourceRecord] = []
        for _ in 0..<(try reader.number(4)) { records.append(try reader.record()) }
        var failing: [DomainName: [RecordType]] = [:]
        for _ in 0..<(try reader.number(4)) {
            let name = try reader.name()
            var types: [RecordType] = []
            for _ in 0..<(try reader.number(2)) { types.append(try reader.type()) }
            failing[name] = types
        }
        return try ZoneImage(
            apex: apex, serial: serial, version: version, records: records, failing: failing)
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(ZoneImage.hashStart) { ZoneImage.hash($1, $0) }
    }

    private static func append(_ value: UInt64, _ octets: Int, _ out: inout [UInt8]) {
        for index in (0..<octets).reversed() {
            out.append(UInt8(truncatingIfNeeded: value >> UInt64(index * 8)))
        }
    }

    private static func appendBytes(_ bytes: [UInt8], _ out: inout [UInt8]) {
        append(UInt64(bytes.count), 2, &out)
        out += bytes
    }

    private struct Reader {
        let bytes: [UInt8]
        var offset: Int

        mutating func number(_ octets: Int) throws(ZoneFault) -> UInt64 {
            guard bytes.count - offset >= octets else {
                throw ZoneFault("the saved zone image ends early")
            }
            defer { offset += octets }
            return bytes[offset..<(offset + octets)].reduce(0) { $0 << 8 | UInt64($1) }
        }

        mutating func octets() throws(ZoneFault) -> [UInt8] {
            let count = Int(try number(2))
            guard bytes.count - offset >= count else {
                throw ZoneFault("the saved zone image ends early")
            }
            defer { offset += count }
            return Array(bytes[offset..<(offset + count)])
        }

        mutating func name() throws(ZoneFault) -> DomainName {
            guard let name = DomainName(wire: try octets()) else {
                throw ZoneFault("the saved zone image has a malformed name")
            }
            return name
        }

        mutating func type() throws(ZoneFault) -> RecordType {
            RecordType(rawValue: UInt16(try number(2)))
        }

        mutating func record() throws(ZoneFault) -> ResourceRecord {
            ResourceRecord(
                owner: try name(), type: try type(), ttl: UInt32(try number(4)),
                data: try octets())
        }
    }
}

/// Serial number arithmetic (RFC 1982): numbers on a circle of 2^32, where "greater" means "at most
/// half way ahead".
public enum Serial {
    public static func isNewer(_ serial: UInt32, than other: UInt32) -> Bool {
        serial != other && serial &- other < 1 << 31
    }

    /// The serial of the next image: the unix time when that is ahead, else one more than the last.
    public static func next(after last: UInt32, unixTime: UInt32) -> UInt32 {
        isNewer(unixTime, than: last) ? unixTime : last &+ 1
    }
}
