/// One name of a zone as it is laid out for `ZoneImage`: its records grouped into sets, and each set encoded twice:
/// compressed against a question for its owner, and plain for answers in which the owner is not the question. Offsets
/// are its own, from 0; `ZonePacker` moves them. A name at which nothing changed is laid out once.
final class PackedName: Sendable {
    let owner: OwnerRecords
    let isCut: Bool
    let isBelowCut: Bool
    /// Hash of the name, as it is looked up by.
    let hash: UInt64
    let layout: NameLayout

    /// - Throws: when its records contradict each other, or do not fit an answer.
    init(_ owner: OwnerRecords, isCut: Bool, isBelowCut: Bool) throws(ZoneFault) {
        self.owner = owner
        self.isCut = isCut
        self.isBelowCut = isBelowCut
        hash = ZoneImage.hash(owner.name.wire)
        var layout = NameLayout()
        try layout.add(owner)
        self.layout = layout
    }
}

/// Octets of one name and its records, and where in them each set is.
struct NameLayout {
    private(set) var bytes: [UInt8] = []
    private(set) var sets: [ZoneImage.RecordSet] = []
    private(set) var choices: [ZoneImage.RecordSet] = []
    private(set) var recordOffsets: [UInt32] = []
    private(set) var isSigned = false
    private(set) var hasDenial = false

    /// The name, its key in canonical order, and its records.
    fileprivate mutating func add(_ owner: OwnerRecords) throws(ZoneFault) {
        let (name, records) = (owner.name, owner.records)
        let types = Set(records.map(\.type))
        let others = records.count { ![.cname, .nsec, .rrsig].contains($0.type) }
        if types.contains(.cname) && (others > 0 || records.count { $0.type == .cname } > 1) {
            throw ZoneFault(
                "\(name) has a CNAME and other records (RFC 1034 section 3.6.2)", owner: name)
        }
        bytes = name.wire + owner.key
        hasDenial = types.contains(.nsec)
        for type in types.sorted() {
            let subsets = owner.subsets[type] ?? []
            var set = try laidOut(
                records.filter { $0.type == type }, of: name, isWhole: !subsets.isEmpty)
            sign(&set, records.filter { $0.coveredType == type })
            set.firstChoice = UInt32(choices.count)
            for subset in subsets {
                var choice = try laidOut(subset.records, of: name)
                sign(&choice, subset.signatures)
                choices.append(choice)
            }
            set.choiceCount = UInt32(subsets.count)
            sets.append(set)
        }
        for type in owner.failing ?? [] where !types.contains(type) {
            sets.append(
                ZoneImage.RecordSet(
                    type: type, count: 0, packedOffset: 0, packedLength: 0, recordLength: 0,
                    offsetsIndex: 0, plainOffset: 0, plainLength: 0, fails: true))
        }
    }

    /// Lays the signatures over a set behind it.
    private mutating func sign(
        _ set: inout ZoneImage.RecordSet, _ signatures: [ResourceRecord]
    ) {
        if signatures.isEmpty { return }
        isSigned = true
        let start = bytes.count
        for record in signatures { appendPlain(record, record.ttl) }
        set.signatures = UInt16(clamping: signatures.count)
        set.signaturesOffset = UInt32(start)
        set.signaturesLength = UInt32(bytes.count - start)
    }

    private mutating func appendPlain(_ record: ResourceRecord, _ ttl: UInt32) {
        appendFixed(record.type, ttl)
        bytes.append(UInt64(record.data.count), octets: 2)
        bytes += record.data
    }

    /// - Parameter isWhole: choices are answered in its place, so that it need not fit an answer.
    private mutating func laidOut(
        _ set: [ResourceRecord], of name: DomainName, isWhole: Bool = false
    ) throws(ZoneFault) -> ZoneImage.RecordSet {
        let ttl = set.lazy.map(\.ttl).min() ?? 0
        let packed = bytes.count
        var offsets: [UInt32] = []
        for record in set {
            offsets.append(UInt32(bytes.count - packed))
            bytes.append(0xC00C, octets: 2)
            // Signatures have the TTL of what they cover (RFC 4034 §3): they are no set of their own.
            appendFixed(record.type, record.type == .rrsig ? record.ttl : ttl)
            let data = compressed(record, against: name.wire)
            bytes.append(UInt64(data.count), octets: 2)
            bytes += data
        }
        offsets.append(UInt32(bytes.count - packed))
        let plain = bytes.count
        for record in set { appendPlain(record, record.type == .rrsig ? record.ttl : ttl) }
        // The largest message is 65,535 octets: question, OPT and header take less than 300.
        guard isWhole || (plain - packed <= 65_200 && set.count <= 4_000) else {
            throw ZoneFault(
                "the \(set.count) records of \(name) do not fit one answer (65535 octets)",
                owner: name)
        }
        let first = offsets[1]
        let isFixed = offsets.indices.dropLast().allSatisfy {
            offsets[$0 + 1] - offsets[$0] == first
        }
        let fixed = isFixed ? first : 0
        let start = UInt32(recordOffsets.count)
        if fixed == 0 { recordOffsets += offsets }
        return ZoneImage.RecordSet(
            type: set[0].type, count: UInt16(clamping: set.count), packedOffset: UInt32(packed),
            packedLength: UInt32(plain - packed), recordLength: UInt16(clamping: fixed),
            offsetsIndex: start, plainOffset: UInt32(plain),
            plainLength: UInt32(bytes.count - plain), fails: false)
    }

    private mutating func appendFixed(_ type: RecordType, _ ttl: UInt32) {
        bytes.append(UInt64(type.rawValue) << 16 | 1, octets: 4)
        bytes.append(UInt64(ttl), octets: 4)
    }

    /// The record's data with its names compressed against a question for `question` at offset 12.
    private func compressed(_ record: ResourceRecord, against question: [UInt8]) -> [UInt8] {
        let (start, count) = record.type.compressibleNames
        guard count > 0, !record.owner.isWildcard else { return record.data }
        var out = Array(record.data[..<start])
        var offset = start
        for _ in 0..<count {
            guard let end = nameEnd(record.data, offset) else { return record.data }
            out += compressedName(Array(record.data[offset..<end]), against: question)
            offset = end
        }
        return out + record.data[offset...]
    }

    private func compressedName(_ name: [UInt8], against question: [UInt8]) -> [UInt8] {
        var labels = [0]
        while question[labels[labels.count - 1]] != 0 {
            let last = labels[labels.count - 1]
            labels.append(last + Int(question[last]) + 1)
        }
        let lowered = DomainName(wire: name)?.wire ?? name
        var offset = 0
        while name[offset] != 0 {
            let rest = lowered[offset...]
            if let match = labels.first(where: { question[$0...].elementsEqual(rest) }) {
                return name[..<offset] + [
                    0xC0 | UInt8((match + 12) >> 8), UInt8((match + 12) & 255),
                ]
            }
            offset += Int(name[offset]) + 1
        }
        return name
    }

    private func nameEnd(_ data: [UInt8], _ start: Int) -> Int? {
        var offset = start
        while offset < data.count {
            if data[offset] == 0 { return offset + 1 }
            offset += Int(data[offset]) + 1
        }
        return nil
    }
}
