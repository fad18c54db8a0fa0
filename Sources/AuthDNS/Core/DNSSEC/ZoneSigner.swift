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
    ///   - content: unsigned, without any record that signing adds.
    ///   - serial: for the SOA.
    ///   - now: seconds since 1970, modulo 2^32.
    ///   - before: what was signed last, with which good signatures come; empty for none.
    /// - Returns: the same zone signed, and what to hand in as `before` next time.
    /// - Complexity: O(n log n) in the records, and one signature per key and set that has none.
    public func sign(
        _ content: ZoneContent, serial: UInt32, now: UInt32, before: SignedSets
    ) throws(ZoneFault) -> (content: ZoneContent, sets: SignedSets) {
        var records = content.numbered(serial).records + keys.records(at: content.apex)
        let cuts = ZoneCuts(records, apex: content.apex)
        var sets: [SetKey: [ResourceRecord]] = [:]
        var types: [DomainName: Set<RecordType>] = [:]
        for record in records where !ZoneSigner.isGlue(record, cuts) {
            sets[record.key, default: []].append(record)
            types[record.owner, default: []].insert(record.type)
        }
        let denials = DenialChain.records(
            types: types, failing: content.failing, ttl: ZoneSigner.negativeTTL(records[0]))
        for record in denials { sets[record.key] = [record] }
        records += denials
        var signed = SignedSets()
        for (key, set) in sets where !(key.type == .ns && cuts.contains(key.owner)) {
            let old = before.signatures(over: set, of: key, by: signers(of: key), lifetime, now)
            signed.put(
                try signatures(over: set, of: key, in: content.apex, now, old), set, key)
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
            let old = before.signatures(
                overChoice: set, of: key, by: signers(of: key), lifetime, now)
            result[index].signatures = try signatures(over: set, of: key, in: apex, now, old)
            signed.put(choice: result[index], key)
        }
        return result
    }

    /// Records at and below a cut that belong to the delegated zone.
    private static func isGlue(_ record: ResourceRecord, _ cuts: ZoneCuts) -> Bool {
        cuts.contains(record.owner)
            ? record.type != .ns && record.type != .ds : cuts.areAbove(record.owner)
    }

    private static func negativeTTL(_ soa: ResourceRecord) -> UInt32 {
        min(soa.ttl, SOAData(soa.data)?.minimum ?? soa.ttl)
    }

    private func signers(of key: SetKey) -> [ZoneKey] {
        RecordType.ofKeys.contains(key.type) ? keys.keySigners : keys.zoneSigners
    }

    /// - Parameter old: signatures that are still good, in place of new ones.
    private func signatures(
        over set: [ResourceRecord], of key: SetKey, in apex: DomainName, _ now: UInt32,
        _ old: [ResourceRecord]? = nil
    ) throws(ZoneFault) -> [ResourceRecord] {
        if let old { return old }
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

extension RecordType {
    /// Types whose records the signer makes itself.
    static let ofSigning: Set<RecordType> = [.rrsig, .nsec, .dnskey, .cds, .cdnskey]
    /// Types that only keys may sign which the parent points at (RFC 4035 §2.2, RFC 7344 §4.1).
    static let ofKeys: Set<RecordType> = [.dnskey, .cds, .cdnskey]
}
