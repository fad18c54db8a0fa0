/// Numbers, names and records as the files of the name server hold them: in network order, with their lengths in
/// front. What a file means is for its own reader to say.
struct SavedOctets {
    private(set) var bytes: [UInt8]

    init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    mutating func append(_ value: UInt64, _ octets: Int) {
        bytes.append(value, octets: octets)
    }

    /// - Parameter octets: at most 65,535 of them.
    mutating func append(octets: [UInt8]) {
        append(UInt64(octets.count), 2)
        bytes += octets
    }

    mutating func append(_ records: [ResourceRecord]) {
        append(UInt64(records.count), 4)
        for record in records {
            append(octets: record.owner.wire)
            append(UInt64(record.type.rawValue), 2)
            append(UInt64(record.ttl), 4)
            append(octets: record.data)
        }
    }

    /// FNV-1a: finds torn writes; nobody hostile writes here.
    static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        ZoneImage.hash(bytes)
    }
}

/// Reads what `SavedOctets` wrote; whatever the bytes are, it throws and never traps.
struct SavedReader {
    let bytes: [UInt8]
    var offset: Int

    mutating func number(_ octets: Int) throws(ZoneFault) -> UInt64 {
        guard bytes.count - offset >= octets else { throw ZoneFault("the saved data end early") }
        defer { offset += octets }
        return bytes[offset..<(offset + octets)].reduce(0) { $0 << 8 | UInt64($1) }
    }

    mutating func octets() throws(ZoneFault) -> [UInt8] {
        let count = Int(try number(2))
        guard bytes.count - offset >= count else { throw ZoneFault("the saved data end early") }
        defer { offset += count }
        return Array(bytes[offset..<(offset + count)])
    }

    mutating func name() throws(ZoneFault) -> DomainName {
        guard let name = DomainName(wire: try octets()) else {
            throw ZoneFault("the saved data have a malformed name")
        }
        return name
    }

    mutating func type() throws(ZoneFault) -> RecordType {
        RecordType(rawValue: UInt16(try number(2)))
    }

    mutating func records() throws(ZoneFault) -> [ResourceRecord] {
        var records: [ResourceRecord] = []
        for _ in 0..<(try number(4)) {
            records.append(
                ResourceRecord(
                    owner: try name(), type: try type(), ttl: UInt32(try number(4)),
                    data: try octets()))
        }
        return records
    }
}
