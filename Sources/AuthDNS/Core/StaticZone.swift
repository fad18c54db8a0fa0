/// What people wrote in a zone file, checked: the part of a zone that does not follow the farm's
/// membership. It has exactly one SOA, at the apex, and NS records there.
public struct StaticZone: Hashable, Sendable {
    public let apex: DomainName
    /// In file order, SOA first; without duplicates.
    public let records: [ResourceRecord]
    /// The same by owner.
    let byName: [DomainName: [ResourceRecord]]
    /// Data of the TLSA records that follow each machine which an MX record of the farm names (RFC 7672): the keys
    /// that it may show on port 25. Empty for none.
    public let associations: [[UInt8]]

    /// - Parameters:
    ///   - records: every owner within the apex of the one SOA among them.
    ///   - associations: data of TLSA records for the farm's mail exchangers.
    /// - Throws: the first thing that is wrong.
    public init(
        records: [ResourceRecord], associations: [[UInt8]] = []
    ) throws(ZoneFault) {
        self.associations = associations
        let starts = records.filter { $0.type == .soa }
        guard let soa = starts.first else { throw ZoneFault("the zone has no SOA record") }
        guard starts.count == 1 else { throw ZoneFault("the zone has more than one SOA record") }
        guard SOAData(soa.data) != nil else { throw ZoneFault("the SOA record is malformed") }
        apex = soa.owner
        var seen = Set<ResourceRecord>()
        self.records =
            [soa] + records.filter { $0.type != .soa && seen.insert($0).inserted }
        byName = Dictionary(grouping: self.records, by: \.owner)
        for record in self.records where !record.owner.isWithin(apex) {
            throw ZoneFault("\(record.owner) is not within \(apex)")
        }
        guard self.records.contains(where: { $0.type == .ns && $0.owner == apex }) else {
            throw ZoneFault("\(apex) has no NS record")
        }
        for record in self.records { try StaticZone.check(record) }
    }

    /// What a zone may have by the standards and this server does not serve.
    private static func check(_ record: ResourceRecord) throws(ZoneFault) {
        if record.type == .dname {
            throw ZoneFault(
                "DNAME is not supported (RFC 6672): write a CNAME for each name below \(record.owner)",
                owner: record.owner, type: .dname)
        }
        if RecordType.ofSigning.contains(record.type) {
            throw ZoneFault(
                "\(record.owner) has a record of DNSSEC (type \(record.type.number)): leave it out, the "
                    + "server makes its own when it is told to sign",
                owner: record.owner, type: record.type)
        }
        if record.type == .ns && record.owner.isWildcard {
            throw ZoneFault(
                "\(record.owner) has an NS record, and a wildcard cannot be delegated "
                    + "(RFC 4592 section 4.2): write one for each name",
                owner: record.owner, type: .ns)
        }
    }

    /// What a secondary has in place of a zone that never came; SERVFAIL is answered beside it.
    public static func placeholder(for apex: DomainName) throws(ZoneFault) -> StaticZone {
        var data = apex.wire + apex.wire
        for number: UInt64 in [0, 60, 15, 604_800, 30] { data.append(number, octets: 4) }
        return try StaticZone(records: [
            ResourceRecord(owner: apex, type: .soa, ttl: 0, data: data),
            ResourceRecord(owner: apex, type: .ns, ttl: 0, data: apex.wire),
        ])
    }

    /// The same with records that were made of something else than the file.
    /// - Throws: when the file has a set that they would be mixed with.
    public func adding(
        _ made: [ResourceRecord], associations: [[UInt8]]
    ) throws(ZoneFault) -> StaticZone {
        for record in made {
            if byName[record.owner]?.contains(where: { $0.type == record.type }) == true {
                throw ZoneFault(
                    "\(record.owner) is in the zone file too: leave it out there, or what it is made of",
                    owner: record.owner, type: record.type)
            }
        }
        return try StaticZone(records: records + made, associations: associations)
    }

    /// Whether a TXT record at a name within the zone could be answered: it is no alias and not delegated onwards.
    public func canAnswerText(at owner: DomainName) -> Bool {
        if byName[owner]?.contains(where: { $0.type == .cname }) == true { return false }
        var name = owner
        while name != apex, name.isWithin(apex) {
            if byName[name]?.contains(where: { $0.type == .ns }) == true { return false }
            guard let parent = name.parent else { return true }
            name = parent
        }
        return name == apex
    }

    /// The SOA record; its serial is replaced in every image.
    public var soa: ResourceRecord { records[0] }
}

/// What is wrong with a zone as a whole.
public struct ZoneFault: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
    /// Whose records are at fault; nil when it is not one name's.
    public let owner: DomainName?
    /// Of the records at fault; nil when it is not one type's.
    public let type: RecordType?

    public init(_ description: String, owner: DomainName? = nil, type: RecordType? = nil) {
        self.description = description
        self.owner = owner
        self.type = type
    }
}

/// The fixed part of an SOA record's data (RFC 1035 §3.3.13).
public struct SOAData: Hashable, Sendable {
    public var serial: UInt32
    /// Seconds after which a secondary asks again, after a failure, and no longer answers.
    public let refresh: UInt32
    public let retry: UInt32
    public let expire: UInt32
    /// TTL of negative answers, in seconds (RFC 2308 §4).
    public var minimum: UInt32
    /// Octets of the two names before the fixed part.
    let namesLength: Int

    /// - Parameter data: of an SOA record; nil when it is malformed.
    public init?(_ data: [UInt8]) {
        guard let first = SOAData.skipName(data, 0), let second = SOAData.skipName(data, first),
            data.count == second + 20
        else { return nil }
        namesLength = second
        serial = UInt32(data.number(at: second, octets: 4))
        refresh = UInt32(data.number(at: second + 4, octets: 4))
        retry = UInt32(data.number(at: second + 8, octets: 4))
        expire = UInt32(data.number(at: second + 12, octets: 4))
        minimum = UInt32(data.number(at: second + 16, octets: 4))
    }

    /// `data` with another serial.
    static func data(_ data: [UInt8], serial: UInt32) -> [UInt8] {
        guard let soa = SOAData(data) else { return data }
        var changed = data
        for index in 0..<4 {
            changed[soa.namesLength + index] =
                UInt8(truncatingIfNeeded: serial >> UInt32(24 - 8 * index))
        }
        return changed
    }

    private static func skipName(_ data: [UInt8], _ start: Int) -> Int? {
        var offset = start
        while offset < data.count {
            let length = Int(data[offset])
            if length == 0 { return offset + 1 }
            guard length < 64 else { return nil }
            offset += length + 1
        }
        return nil
    }
}
