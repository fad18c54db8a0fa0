/// Makes a signed zone of an unsigned one: the keys' own records, the chain of denial, and a signature over each set
/// that the zone has authority for (RFC 4035 §2). Signatures that are still good are taken from the zone before, so
/// that a change costs as many signatures as sets it touches.
public struct ZoneSigner: Sendable {
    /// Whose records are published and who signs what.
    public var keys: SigningKeys
    public var lifetime: SignatureLifetime

    public init(keys: SigningKeys, lifetime: SignatureLifetime = SignatureLifetime()) {
        self.keys = keys
        self.lifetime = lifetime
    }

    /// - Parameters:
    ///   - content: unsigned; what it has of DNSKEY, CDS, CDNSKEY, NSEC or RRSIG records is replaced.
    ///   - serial: for the SOA.
    ///   - now: seconds since 1970, modulo 2^32.
    ///   - before: what was signed last, with which good signatures come; empty for none.
    /// - Returns: the same zone signed, and what to hand in as `before` next time.
    /// - Complexity: O(n log n) in the records, and one signature per key and set that has none.
    public func sign(
        _ content: ZoneContent, serial: UInt32, now: UInt32, before: SignedSets
    ) throws(ZoneFault) -> (content: ZoneContent, sets: SignedSets) {
        var records = content.numbered(serial).records.filter {
            !RecordType.ofSigning.contains($0.type)
        }
        records += keys.records(at: content.apex)
        let cuts = Set(
            records.filter { $0.type == .ns && $0.owner != content.apex }.map(\.owner))
        var sets: [SetKey: [ResourceRecord]] = [:]
        var types: [DomainName: Set<RecordType>] = [:]
        for record in records where !ZoneSigner.isGlue(record, cuts, content.apex) {
            sets[record.key, default: []].append(record)
            types[record.owner, default: []].insert(record.type)
        }
        let denials = DenialChain.records(
            types: types, failing: content.failing, ttl: ZoneSigner.negativeTTL(records[0]))
        for record in denials { sets[record.key] = [record] }
        records += denials
        var signed = SignedSets()
        for (key, set) in sets where !(key.type == .ns && cuts.contains(key.owner)) {
            var made = before.signatures(over: set, of: key, by: signers(of: key), lifetime, now)
            if made == nil { made = try signatures(over: set, of: key, in: content.apex, now) }
            signed.put(made ?? [], set, key)
        }
        // In a fixed order, so that two signings of one zone are equal.
        var placed = Set<SetKey>()
        for record in records where placed.insert(record.key).inserted {
            signed.appendSignatures(of: record.key, to: &records)
        }
        var result = content
        result.records = records
        for (key, choices) in content.subsets {
            result.subsets[key] = try signedChoices(
                choices, key, content.apex, now, before, &signed)
        }
        return (result, signed)
    }

    /// What was signed just now, as another version: nothing but the SOA is signed again.
    public func renumbered(
        _ signed: (content: ZoneContent, sets: SignedSets), serial: UInt32, now: UInt32
    ) throws(ZoneFault) -> (content: ZoneContent, sets: SignedSets) {
        var (content, sets) = signed
        content = content.numbered(serial)
        let soa = content.records[0]
        let made = try signatures(over: [soa], of: soa.key, in: content.apex, now)
        let places = content.records.indices.filter {
            content.records[$0].owner == content.apex && content.records[$0].coveredType == .soa
        }
        for (place, signature) in zip(places, made) { content.records[place] = signature }
        sets.put(made, [soa], soa.key)
        return (content, sets)
    }

    private func signedChoices(
        _ choices: [Subset], _ key: SetKey, _ apex: DomainName, _ now: UInt32,
        _ before: SignedSets, _ signed: inout SignedSets
    ) throws(ZoneFault) -> [Subset] {
        var result = choices
        for index in result.indices {
            let set = result[index].records
            var made = before.signatures(
                overChoice: set, of: key, by: signers(of: key), lifetime, now)
            if made == nil { made = try signatures(over: set, of: key, in: apex, now) }
            result[index].signatures = made ?? []
            signed.put(choice: result[index], key)
        }
        return result
    }

    /// Records at and below a cut that belong to the delegated zone.
    private static func isGlue(
        _ record: ResourceRecord, _ cuts: Set<DomainName>, _ apex: DomainName
    ) -> Bool {
        if cuts.isEmpty { return false }
        if cuts.contains(record.owner) { return record.type != .ns && record.type != .ds }
        var ancestor = record.owner.parent
        while let current = ancestor, current != apex {
            if cuts.contains(current) { return true }
            ancestor = current.parent
        }
        return false
    }

    private static func negativeTTL(_ soa: ResourceRecord) -> UInt32 {
        min(soa.ttl, SOAData(soa.data)?.minimum ?? soa.ttl)
    }

    private func signers(of key: SetKey) -> [ZoneKey] {
        RecordType.ofKeys.contains(key.type) ? keys.keySigners : keys.zoneSigners
    }

    private func signatures(
        over set: [ResourceRecord], of key: SetKey, in apex: DomainName, _ now: UInt32
    ) throws(ZoneFault) -> [ResourceRecord] {
        let data = set.map(\.data).sorted { $0.lexicographicallyPrecedes($1) }
        var made: [ResourceRecord] = []
        for signer in signers(of: key) {
            var head: [UInt8] = []
            head.append(UInt64(key.type.rawValue), octets: 2)
            head.append(signer.algorithm.rawValue)
            head.append(UInt8(key.owner.labelOffsets.count - (key.owner.isWildcard ? 1 : 0)))
            head.append(UInt64(set[0].ttl), octets: 4)
            let (inception, expiration) = lifetime.times(of: key, now: now)
            head.append(UInt64(expiration), octets: 4)
            head.append(UInt64(inception), octets: 4)
            head.append(UInt64(signer.tag), octets: 2)
            head += apex.wire
            var signed = head
            for item in data {
                signed += key.owner.wire
                signed.append(UInt64(key.type.rawValue), octets: 2)
                signed.append(1, octets: 2)
                signed.append(UInt64(set[0].ttl), octets: 4)
                signed.append(UInt64(item.count), octets: 2)
                signed += item
            }
            made.append(
                ResourceRecord(
                    owner: key.owner, type: .rrsig, ttl: set[0].ttl,
                    data: head + (try signer.signature(of: signed))))
        }
        return made
    }
}

/// For how long signatures are good, and when they are made anew.
public struct SignatureLifetime: Hashable, Sendable {
    /// Seconds from now to the end of a new signature, at most; up to a seventh less, so that not all end at once.
    public var validity: UInt32
    /// A signature with less than so many seconds left is made anew. It should be more than the SOA's expire time,
    /// so that a secondary which is cut off never serves signatures that have ended.
    public var refresh: UInt32
    /// Seconds before now at which a signature begins, for clocks that are behind.
    public var skew: UInt32

    public init(
        validity: UInt32 = 21 * 86_400, refresh: UInt32 = 9 * 86_400, skew: UInt32 = 3600
    ) {
        self.validity = validity
        self.refresh = refresh
        self.skew = skew
    }

    func times(of key: SetKey, now: UInt32) -> (inception: UInt32, expiration: UInt32) {
        var hash = ZoneImage.hashStart
        for octet in key.owner.wire { hash = ZoneImage.hash(octet, hash) }
        hash = ZoneImage.hash(UInt8(truncatingIfNeeded: key.type.rawValue), hash)
        hash = ZoneImage.hash(UInt8(truncatingIfNeeded: now >> 12), hash)
        let jitter = UInt32(truncatingIfNeeded: (hash ^ hash >> 29) % UInt64(validity / 7 + 1))
        return (now &- skew, now &+ validity &- jitter)
    }

    /// Whether a signature that ends at `expiration` may stay, by serial arithmetic (RFC 4034 §3.1.5).
    func isFresh(until expiration: UInt32, now: UInt32) -> Bool {
        Serial.isNewer(expiration, than: now &+ refresh)
    }
}

/// The sets of a zone with their signatures, as they were signed last.
public struct SignedSets: Sendable {
    private struct Entry {
        var set: [ResourceRecord]
        var signatures: [ResourceRecord]
    }

    private var entries: [SetKey: Entry] = [:]
    /// Signatures over choices, by their records.
    private var choices: [SetKey: [[ResourceRecord]: [ResourceRecord]]] = [:]

    public init() {}

    /// What an image that was saved has of signatures.
    public init(of image: ZoneImage) {
        for record in image.records {
            guard record.type == .rrsig else {
                entries[record.key, default: Entry(set: [], signatures: [])].set.append(record)
                continue
            }
            guard let type = record.coveredType else { continue }
            let key = SetKey(owner: record.owner, type: type)
            entries[key, default: Entry(set: [], signatures: [])].signatures.append(record)
        }
        for (key, subsets) in image.subsets { for subset in subsets { put(choice: subset, key) } }
    }

    /// The moment at which the first of the signatures should be made anew; nil when there are none.
    /// - Parameter now: from which moments are compared.
    public func nextRefresh(_ lifetime: SignatureLifetime, now: UInt32) -> UInt32? {
        let ofChoices = choices.values.lazy.flatMap { $0.values.lazy.flatMap { $0 } }
        let ofSets = entries.values.lazy.flatMap { $0.signatures }
        return [soonest(ofSets, now), soonest(ofChoices, now)].compactMap { $0 }.min().map {
            now &+ $0 &- lifetime.refresh
        }
    }

    /// Seconds until the first of them ends.
    private func soonest(
        _ signatures: some Sequence<ResourceRecord>, _ now: UInt32
    ) -> UInt32? {
        signatures.lazy.compactMap(\.expiration).map { $0 &- now }.min()
    }

    fileprivate func signatures(
        overChoice set: [ResourceRecord], of key: SetKey, by signers: [ZoneKey],
        _ lifetime: SignatureLifetime, _ now: UInt32
    ) -> [ResourceRecord]? {
        guard let found = choices[key]?[set],
            SignedSets.areGood(found, signers, lifetime, now)
        else { return nil }
        return found
    }

    private static func areGood(
        _ signatures: [ResourceRecord], _ signers: [ZoneKey], _ lifetime: SignatureLifetime,
        _ now: UInt32
    ) -> Bool {
        signatures.count == signers.count
            && zip(signatures, signers).allSatisfy { $0.isSigned(by: $1) }
            && signatures.allSatisfy { lifetime.isFresh(until: $0.expiration ?? 0, now: now) }
    }

    fileprivate func signatures(
        over set: [ResourceRecord], of key: SetKey, by signers: [ZoneKey],
        _ lifetime: SignatureLifetime, _ now: UInt32
    ) -> [ResourceRecord]? {
        guard let entry = entries[key], entry.set == set || Set(entry.set) == Set(set),
            SignedSets.areGood(entry.signatures, signers, lifetime, now)
        else { return nil }
        return entry.signatures
    }

    fileprivate mutating func put(
        _ signatures: [ResourceRecord], _ set: [ResourceRecord], _ key: SetKey
    ) {
        entries[key] = Entry(set: set, signatures: signatures)
    }

    fileprivate mutating func put(choice: Subset, _ key: SetKey) {
        choices[key, default: [:]][choice.records] = choice.signatures
    }

    fileprivate func appendSignatures(of key: SetKey, to records: inout [ResourceRecord]) {
        records += entries[key]?.signatures ?? []
    }
}

extension RecordType {
    /// Types whose records the signer makes itself.
    static let ofSigning: Set<RecordType> = [.rrsig, .nsec, .dnskey, .cds, .cdnskey]
    /// Types that only keys may sign which the parent points at (RFC 4035 §2.2, RFC 7344 §4.1).
    static let ofKeys: Set<RecordType> = [.dnskey, .cds, .cdnskey]
}

/// Fields of an RRSIG record's data (RFC 4034 §3.1).
extension ResourceRecord {
    var coveredType: RecordType? {
        guard type == .rrsig, data.count > 18 else { return nil }
        return RecordType(rawValue: UInt16(data[0]) << 8 | UInt16(data[1]))
    }

    var expiration: UInt32? {
        guard type == .rrsig, data.count > 18 else { return nil }
        return data[8..<12].reduce(0) { $0 << 8 | UInt32($1) }
    }

    fileprivate func isSigned(by key: ZoneKey) -> Bool {
        data.count > 18 && data[2] == key.algorithm.rawValue
            && UInt16(data[16]) << 8 | UInt16(data[17]) == key.tag
    }
}
