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
    /// - Complexity: O(n) in the names with little for each that is as before, and one signature per key and set
    ///   that has none.
    public func sign(
        _ content: ZoneContent, serial: UInt32, now: UInt32, before: SignedNames
    ) throws(ZoneFault) -> (content: ZoneContent, names: SignedNames) {
        let whole = content.numbered(serial).adding(keys.records(at: content.apex))
        guard let soa = whole.soa else { throw ZoneFault("the zone has no SOA record") }
        let cuts = ZoneCuts(whole)
        let own = whole.owners.indices.filter { !cuts.areAbove(whole.owners[$0].name) }
        let ttl = ZoneSigner.negativeTTL(soa)
        var owners = whole.owners
        var names = SignedNames(keys, capacity: own.count)
        for (place, index) in own.enumerated() {
            let source = owners[index]
            let next = owners[own[(place + 1) % own.count]].name
            let old = before[source.name]
            if let old, before.keys == keys, old.source == source, old.next == next,
                old.denialTTL == ttl, lifetime.isFresh(until: old.firstEnd, now: now)
            {
                owners[index] = old.signed
                names.put(old)
                continue
            }
            let isCut = cuts.contains(source.name)
            let signed = try signed(
                source, content.apex, now, old,
                denial: DenialChain.record(source, next: next, isCut: isCut, ttl: ttl),
                isCut: isCut)
            owners[index] = signed
            names.put(
                SignedName(
                    source: source, next: next, denialTTL: ttl, signed: signed, now: now))
        }
        return (whole.with(owners), names)
    }

    /// What was signed just now, as another version: nothing but the apex is signed again.
    public func renumbered(
        _ signed: (content: ZoneContent, names: SignedNames), serial: UInt32, now: UInt32
    ) throws(ZoneFault) -> (content: ZoneContent, names: SignedNames) {
        var (content, names) = signed
        let apex = content.apex
        guard let old = names[apex] else { return signed }
        let denial = old.signed.records.filter { $0.type == .nsec }
        let source = old.source.numbered(serial)
        let owner = try self.signed(
            source, apex, now, old, denial: denial[0], isCut: false)
        names.put(
            SignedName(
                source: source, next: old.next, denialTTL: old.denialTTL, signed: owner, now: now))
        content = content.replacing([owner])
        return (content, names)
    }

    /// One name with its proof and its signatures.
    private func signed(
        _ owner: OwnerRecords, _ apex: DomainName, _ now: UInt32, _ old: SignedName?,
        denial: ResourceRecord, isCut: Bool
    ) throws(ZoneFault) -> OwnerRecords {
        var records = owner.records + [denial]
        var order: [RecordType] = []
        var sets: [RecordType: [ResourceRecord]] = [:]
        for record in records where !ZoneSigner.isGlue(record, atCut: isCut) {
            if sets[record.type] == nil { order.append(record.type) }
            sets[record.type, default: []].append(record)
        }
        for type in order where !(type == .ns && isCut) {
            let set = sets[type] ?? []
            let key = SetKey(owner: owner.name, type: type)
            let known = old?.signatures(over: set, by: signers(of: key), lifetime, now)
            records += try signatures(over: set, of: key, in: apex, now, known)
        }
        var subsets = owner.subsets
        for (type, choices) in owner.subsets {
            let key = SetKey(owner: owner.name, type: type)
            let known = old?.choices(of: type, by: signers(of: key), lifetime, now) ?? [:]
            for index in choices.indices {
                let set = choices[index].records
                subsets[type]?[index].signatures = try signatures(
                    over: set, of: key, in: apex, now, known[set])
            }
        }
        return OwnerRecords(owner.name, records, failing: owner.failing, subsets: subsets)
    }

    /// Records at a cut that belong to the delegated zone.
    private static func isGlue(_ record: ResourceRecord, atCut isCut: Bool) -> Bool {
        isCut && ![.ns, .ds, .nsec].contains(record.type)
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
