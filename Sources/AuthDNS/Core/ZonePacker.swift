/// Lays the records of a zone out for `ZoneImage`: finds every name that exists (empty non-terminals
/// too), groups records into sets, and encodes each set twice: compressed against a question for its
/// owner, and plain for answers in which the owner is not the question.
struct ZonePacker {
    let apex: DomainName
    let records: [ResourceRecord]
    let failing: [DomainName: [RecordType]]

    private(set) var bytes: [UInt8] = []
    private(set) var nodes: [ZoneImage.Node] = []
    private(set) var sets: [ZoneImage.RecordSet] = []
    private(set) var recordOffsets: [UInt32] = []
    private(set) var slots: [UInt32] = []
    private(set) var apexNode = 0

    init(apex: DomainName, records: [ResourceRecord], failing: [DomainName: [RecordType]]) {
        self.apex = apex
        self.records = records
        self.failing = failing
    }

    mutating func pack() throws(ZoneFault) {
        var byName: [DomainName: [ResourceRecord]] = [:]
        for record in records { byName[record.owner, default: []].append(record) }
        for name in failing.keys where byName[name] == nil { byName[name] = [] }
        for name in Array(byName.keys) {
            var ancestor = name.parent
            while let current = ancestor, current.isWithin(apex), byName[current] == nil {
                byName[current] = []
                ancestor = current.parent
            }
        }
        let cuts = Set(
            byName.filter { $0.key != apex && $0.value.contains { $0.type == .ns } }.keys)
        var index: [DomainName: Int] = [:]
        let names = byName.keys.sorted { $0.wire.lexicographicallyPrecedes($1.wire) }
        for name in names {
            index[name] = nodes.count
            try add(name, byName[name] ?? [], cuts: cuts)
        }
        for name in names where name.isWildcard {
            guard let parent = name.parent, let at = index[parent], let own = index[name] else {
                continue
            }
            nodes[at].wildcard = Int32(own)
        }
        apexNode = index[apex] ?? 0
        fillSlots()
    }

    private mutating func add(
        _ name: DomainName, _ records: [ResourceRecord], cuts: Set<DomainName>
    ) throws(ZoneFault) {
        let types = Set(records.map(\.type))
        if types.contains(.cname) && (types.count > 1 || records.count > 1) {
            throw ZoneFault(
                "\(name) has a CNAME and other records (RFC 1034 section 3.6.2)", owner: name)
        }
        var node = ZoneImage.Node(
            nameOffset: UInt32(bytes.count), nameLength: UInt16(name.wire.count),
            firstSet: UInt32(sets.count), setCount: 0, wildcard: -1, isCut: cuts.contains(name),
            isBelowCut: isBelow(name, cuts))
        bytes += name.wire
        for type in types.sorted() {
            try add(records.filter { $0.type == type }, of: name)
        }
        for type in failing[name] ?? [] where !types.contains(type) {
            sets.append(
                ZoneImage.RecordSet(
                    type: type, count: 0, packedOffset: 0, packedLength: 0, recordLength: 0,
                    offsetsIndex: 0, plainOffset: 0, plainLength: 0, fails: true))
        }
        node.setCount = UInt16(clamping: sets.count - Int(node.firstSet))
        nodes.append(node)
    }

    private func isBelow(_ name: DomainName, _ cuts: Set<DomainName>) -> Bool {
        var ancestor = name.parent
        while let current = ancestor, current.isWithin(apex) {
            if cuts.contains(current) { return true }
            ancestor = current.parent
        }
        return false
    }

    private mutating func add(_ set: [ResourceRecord], of name: DomainName) throws(ZoneFault) {
        let ttl = set.map(\.ttl).min() ?? 0
        let packed = bytes.count
        var offsets: [UInt32] = []
        for record in set {
            offsets.append(UInt32(bytes.count - packed))
            bytes += [0xC0, 12]
            appendFixed(record.type, ttl)
            let data = compressed(record, against: name.wire)
            bytes += [UInt8(truncatingIfNeeded: data.count >> 8), UInt8(data.count & 255)] + data
        }
        offsets.append(UInt32(bytes.count - packed))
        let plain = bytes.count
        for record in set {
            appendFixed(record.type, ttl)
            let length = record.data.count
            bytes += [UInt8(truncatingIfNeeded: length >> 8), UInt8(length & 255)] + record.data
        }
        // The largest message is 65,535 octets: question, OPT and header take less than 300.
        guard plain - packed <= 65_200, set.count <= 4_000 else {
            throw ZoneFault(
                "the \(set.count) records of \(name) do not fit one answer (65535 octets)",
                owner: name)
        }
        let lengths = Set(zip(offsets.dropFirst(), offsets).map { $0 - $1 })
        let fixed = lengths.count == 1 ? lengths.first ?? 0 : 0
        sets.append(
            ZoneImage.RecordSet(
                type: set[0].type, count: UInt16(set.count), packedOffset: UInt32(packed),
                packedLength: UInt32(plain - packed), recordLength: UInt16(clamping: fixed),
                offsetsIndex: UInt32(recordOffsets.count), plainOffset: UInt32(plain),
                plainLength: UInt32(bytes.count - plain), fails: false))
        if fixed == 0 { recordOffsets += offsets }
    }

    private mutating func appendFixed(_ type: RecordType, _ ttl: UInt32) {
        bytes += [
            UInt8(type.rawValue >> 8), UInt8(type.rawValue & 255), 0, 1,
            UInt8(ttl >> 24), UInt8(ttl >> 16 & 255), UInt8(ttl >> 8 & 255), UInt8(ttl & 255),
        ]
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

    private mutating func fillSlots() {
        var size = 16
        while size < nodes.count * 2 { size *= 2 }
        slots = Array(repeating: 0, count: size)
        for (index, node) in nodes.enumerated() {
            var hash = ZoneImage.hashStart
            for offset in 0..<Int(node.nameLength) {
                hash = ZoneImage.hash(bytes[Int(node.nameOffset) + offset], hash)
            }
            var slot = ZoneImage.slot(hash, mask: size - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (size - 1) }
            slots[slot] = UInt32(index + 1)
        }
    }
}
