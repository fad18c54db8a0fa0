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

    func signatures(
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

    func signatures(
        over set: [ResourceRecord], of key: SetKey, by signers: [ZoneKey],
        _ lifetime: SignatureLifetime, _ now: UInt32
    ) -> [ResourceRecord]? {
        guard let entry = entries[key], entry.set == set || Set(entry.set) == Set(set),
            SignedSets.areGood(entry.signatures, signers, lifetime, now)
        else { return nil }
        return entry.signatures
    }

    mutating func put(
        _ signatures: [ResourceRecord], _ set: [ResourceRecord], _ key: SetKey
    ) {
        entries[key] = Entry(set: set, signatures: signatures)
    }

    mutating func put(choice: Subset, _ key: SetKey) {
        choices[key, default: [:]][choice.records] = choice.signatures
    }

    func appendSignatures(of key: SetKey, to records: inout [ResourceRecord]) {
        records += entries[key]?.signatures ?? []
    }
}

/// Fields of an RRSIG record's data (RFC 4034 §3.1).
extension ResourceRecord {
    var coveredType: RecordType? {
        guard type == .rrsig, data.count > 18 else { return nil }
        return RecordType(rawValue: UInt16(data.number(at: 0, octets: 2)))
    }

    var expiration: UInt32? {
        guard type == .rrsig, data.count > 18 else { return nil }
        return UInt32(data.number(at: 8, octets: 4))
    }

    func isSigned(by key: ZoneKey) -> Bool {
        data.count > 18 && data[2] == key.algorithm.rawValue
            && data.number(at: 16, octets: 2) == UInt64(key.tag)
    }
}
