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
    /// What it was made of: what transfers and the saved image are made of.
    public let content: ZoneContent
    /// Its names, laid out, for the next image.
    let names: [PackedName]
    /// The SOA record.
    public let soa: ResourceRecord
    /// How many records it has.
    public let recordCount: Int

    /// Every record, SOA first.
    /// - Complexity: O(n).
    public var records: [ResourceRecord] { content.records }

    /// Names whose set is empty by policy, with the types concerned: they answer SERVFAIL.
    /// - Complexity: O(n) in the names.
    public var failing: [DomainName: [RecordType]] { content.failing }

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
    /// The apex comes first in canonical order.
    let apexNode = 0
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

    /// An image of records as they are.
    /// - Parameter records: SOA first, every owner within `apex`.
    public convenience init(
        apex: DomainName, serial: UInt32, version: UInt64, records: [ResourceRecord]
    ) throws(ZoneFault) {
        try self.init(
            ZoneContent(
                apex: apex, version: version, records: records, failing: [:], subsets: [:]),
            serial: serial)
    }

    /// An image of content that is complete, signed or not.
    /// - Parameters:
    ///   - serial: replaces the SOA's, which is signed with it if it is signed at all.
    ///   - before: an image of the version before; names that are as they were there are not laid out again.
    /// - Complexity: O(n) in the names, with little for those that are as before.
    public init(
        _ content: ZoneContent, serial: UInt32, before: ZoneImage? = nil
    ) throws(ZoneFault) {
        let content = content.numbered(serial)
        guard let soa = content.owners.first?.records.first, soa.type == .soa,
            soa.owner == content.apex
        else { throw ZoneFault("the image has no SOA record at \(content.apex)") }
        self.content = content
        self.soa = soa
        self.serial = serial
        apex = content.apex
        membershipVersion = content.version
        recordCount = content.owners.reduce(0) { $0 + $1.records.count }
        var packer = ZonePacker(content)
        try packer.pack(before: before?.names ?? [])
        names = packer.names
        bytes = packer.bytes
        nodes = packer.nodes
        sets = packer.sets
        choices = packer.choices
        recordOffsets = packer.recordOffsets
        slots = packer.slots
        apexLabels = UInt8(truncatingIfNeeded: apex.labelOffsets.count)
        isSigned = packer.isSigned
    }

    /// Whether it was made of this content.
    public func says(_ content: ZoneContent) -> Bool { self.content == content }

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
