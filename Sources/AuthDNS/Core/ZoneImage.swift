public import Farm

/// Everything the name server answers with, at one moment: an immutable value made of a static zone,
/// a membership and a serial. It is laid out for `respond`: flat arrays, names found by hash, records
/// in wire form with their names already compressed against the question. A change makes a whole new
/// image; readers hold the old one as long as they like.
public final class ZoneImage: Sendable {
    public let apex: DomainName
    public let serial: UInt32
    /// Version of the membership it was made of; 0 for none.
    public let membershipVersion: UInt64
    /// Every record, SOA first: what transfers and the saved image are made of.
    public let records: [ResourceRecord]
    /// Names whose set is empty by policy, with the types concerned: they answer SERVFAIL.
    public let failing: [DomainName: [RecordType]]
    /// Choices of what to answer for sets of which an answer holds only some.
    let subsets: [SetKey: [Subset]]

    /// Names and records in wire form; `Node` and `RecordSet` point into it.
    let bytes: [UInt8]
    /// In canonical order (RFC 4034 §6.1).
    let nodes: [Node]
    let sets: [RecordSet]
    /// Choices, laid out like whole sets, those of one set behind each other.
    let choices: [RecordSet]
    /// Where records of variable length begin in `bytes`, relative to their set.
    let recordOffsets: [UInt32]
    /// Open addressing: node index + 1, 0 = free; a power of two, at most half full.
    let slots: [UInt32]
    let apexNode: Int
    /// Labels of the apex, without the root's.
    let apexLabels: UInt8
    /// Whether it has signatures and proofs for those who want them (RFC 4035 §3).
    public let isSigned: Bool

    /// One name that exists, with or without records (RFC 4592 §2.2.2).
    struct Node {
        var nameOffset: UInt32
        var nameLength: UInt16
        var firstSet: UInt32
        var setCount: UInt16
        /// Node of the wildcard directly below, or -1.
        var wildcard: Int32
        /// Whether it is the apex or above every cut; below a cut only glue is kept.
        var isCut: Bool
        /// Whether it lies below a zone cut.
        var isBelowCut: Bool
        /// Node whose NSEC record speaks of this name: its own, or the one before it in canonical order.
        var denial: Int32 = 0
        /// The same for the wildcard directly below, which does not exist.
        var wildcardDenial: Int32 = 0
        /// Key of the name in canonical order.
        var keyOffset: UInt32
        var keyLength: UInt16
    }

    /// The records of one name and type.
    struct RecordSet {
        var type: RecordType
        var count: UInt16
        /// Answer records with the owner as a pointer to the question, names compressed against it.
        var packedOffset: UInt32
        var packedLength: UInt32
        /// Octets of each packed record, or 0 when they differ.
        var recordLength: UInt16
        /// First of `count + 1` entries in `recordOffsets`, when they differ.
        var offsetsIndex: UInt32
        /// The same records as type … rdata without any compression and without owner.
        var plainOffset: UInt32
        var plainLength: UInt32
        /// Signatures over the set, laid out like the plain records.
        var signatures: UInt16 = 0
        var signaturesOffset: UInt32 = 0
        var signaturesLength: UInt32 = 0
        /// Where the choices begin that are answered in its place, and how many there are.
        var firstChoice: UInt32 = 0
        var choiceCount: UInt32 = 0
        /// SERVFAIL instead of an answer: the set is empty by policy.
        var fails: Bool
    }

    /// - Parameters:
    ///   - zone: the static part.
    ///   - membership: nil before the first is known.
    ///   - serial: replaces the SOA's.
    /// - Throws: when membership and zone contradict each other; nothing is published then.
    /// - Complexity: O(n log n) in the number of records.
    public convenience init(
        zone: StaticZone, membership: Membership?, serial: UInt32
    ) throws(ZoneFault) {
        try self.init(try ZoneContent(zone: zone, membership: membership), serial: serial)
    }

    /// An image of content that is complete, signed or not.
    /// - Parameter serial: replaces the SOA's, which is signed with it if it is signed at all.
    public convenience init(_ content: ZoneContent, serial: UInt32) throws(ZoneFault) {
        try self.init(
            apex: content.apex, serial: serial, version: content.version,
            records: content.records, failing: content.failing, subsets: content.subsets)
    }

    /// An image of records as they are.
    /// - Parameter records: SOA first, every owner within `apex`.
    public convenience init(
        apex: DomainName, serial: UInt32, version: UInt64, records: [ResourceRecord]
    ) throws(ZoneFault) {
        try self.init(
            apex: apex, serial: serial, version: version, records: records, failing: [:],
            subsets: [:])
    }

    /// An image of records as they were saved.
    /// - Parameter records: SOA first, every owner within `apex`.
    init(
        apex: DomainName, serial: UInt32, version: UInt64, records: [ResourceRecord],
        failing: [DomainName: [RecordType]], subsets: [SetKey: [Subset]]
    ) throws(ZoneFault) {
        guard var soa = records.first, soa.type == .soa, soa.owner == apex else {
            throw ZoneFault("the image has no SOA record at \(apex)")
        }
        soa.data = SOAData.data(soa.data, serial: serial)
        self.apex = apex
        self.serial = serial
        membershipVersion = version
        self.records = [soa] + records.dropFirst()
        self.failing = failing
        self.subsets = subsets
        var packer = ZonePacker(
            apex: apex, records: self.records, failing: failing, subsets: subsets)
        try packer.pack()
        bytes = packer.bytes
        nodes = packer.nodes
        sets = packer.sets
        choices = packer.choices
        recordOffsets = packer.recordOffsets
        slots = packer.slots
        apexNode = packer.apexNode
        apexLabels = UInt8(truncatingIfNeeded: apex.labelOffsets.count)
        isSigned = packer.isSigned
    }

    /// Whether it was made of this content.
    public func says(_ content: ZoneContent) -> Bool {
        records == content.records && failing == content.failing && subsets == content.subsets
    }

    /// FNV-1a with a last mix; names are lower-cased before.
    static func hash(_ octet: UInt8, _ state: UInt64) -> UInt64 {
        (state ^ UInt64(octet)) &* 0x0000_0100_0000_01B3
    }

    static func hash(_ octets: some Sequence<UInt8>) -> UInt64 {
        octets.reduce(hashStart) { hash($1, $0) }
    }

    static let hashStart: UInt64 = 0xCBF2_9CE4_8422_2325

    static func slot(_ hash: UInt64, mask: Int) -> Int {
        Int(truncatingIfNeeded: (hash ^ (hash >> 29)) &* 0x9E37_79B9_7F4A_7C15 >> 32) & mask
    }
}
