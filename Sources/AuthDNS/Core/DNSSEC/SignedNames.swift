/// The names of a zone with their signatures, as they were signed last.
public struct SignedNames: Sendable {
    /// Who signed them all; nil when they come from an image and any of them may be somebody else's.
    private(set) var keys: SigningKeys?
    private var names: [DomainName: SignedName] = [:]

    public init() {}

    init(_ keys: SigningKeys, capacity: Int) {
        self.keys = keys
        names.reserveCapacity(capacity)
    }

    /// What an image that was saved has of signatures.
    public init(of image: ZoneImage) {
        for owner in image.content.owners {
            names[owner.name] = SignedName(
                source: owner.unsigned, next: .root, denialTTL: 0, signed: owner, now: 0)
        }
    }

    subscript(name: DomainName) -> SignedName? { names[name] }

    mutating func put(_ name: SignedName) { names[name.source.name] = name }

    /// The moment at which the first of the signatures should be made anew; nil when there are none.
    /// - Parameter now: from which moments are compared.
    public func nextRefresh(_ lifetime: SignatureLifetime, now: UInt32) -> UInt32? {
        names.values.lazy.map { $0.firstEnd &- now }.min().map { now &+ $0 &- lifetime.refresh }
    }
}

/// One name as it was signed.
struct SignedName: Sendable {
    let source: OwnerRecords
    /// What its NSEC record names.
    let next: DomainName
    let denialTTL: UInt32
    let signed: OwnerRecords
    /// When the first of its signatures ends.
    let firstEnd: UInt32

    /// - Parameter now: from which moments are compared.
    init(
        source: OwnerRecords, next: DomainName, denialTTL: UInt32, signed: OwnerRecords, now: UInt32
    ) {
        self.source = source
        self.next = next
        self.denialTTL = denialTTL
        self.signed = signed
        let ofChoices = signed.subsets.values.lazy.flatMap { $0.lazy.flatMap(\.signatures) }
        let first = [
            signed.records.lazy.compactMap(\.expiration).map { $0 &- now }.min(),
            ofChoices.compactMap(\.expiration).map { $0 &- now }.min(),
        ].compactMap { $0 }.min()
        firstEnd = now &+ (first ?? 0)
    }

    /// Signatures over this set that may stay.
    func signatures(
        over set: [ResourceRecord], by signers: [ZoneKey], _ lifetime: SignatureLifetime,
        _ now: UInt32
    ) -> [ResourceRecord]? {
        guard let type = set.first?.type else { return nil }
        let old = signed.records.filter { $0.type == type }
        guard old == set || Set(old) == Set(set) else { return nil }
        let found = signed.records.filter { $0.coveredType == type }
        return SignedName.areGood(found, signers, lifetime, now) ? found : nil
    }

    /// Signatures over choices that may stay, by their records.
    func choices(
        of type: RecordType, by signers: [ZoneKey], _ lifetime: SignatureLifetime, _ now: UInt32
    ) -> [[ResourceRecord]: [ResourceRecord]] {
        var found: [[ResourceRecord]: [ResourceRecord]] = [:]
        for choice in signed.subsets[type] ?? []
        where SignedName.areGood(choice.signatures, signers, lifetime, now) {
            found[choice.records] = choice.signatures
        }
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
