/// Puts the names of a zone together for `ZoneImage`: finds every name that exists (empty non-terminals too), lays out
/// those that are not laid out yet, and makes the tables by which names, wildcards and proofs are found.
struct ZonePacker {
    private let content: ZoneContent
    private(set) var names: [PackedName] = []
    private(set) var bytes: [UInt8] = []
    private(set) var nodes: [ZoneImage.Node] = []
    private(set) var sets: [ZoneImage.RecordSet] = []
    private(set) var choices: [ZoneImage.RecordSet] = []
    private(set) var recordOffsets: [UInt32] = []
    private(set) var slots: [UInt32] = []
    private(set) var isSigned = false

    init(_ content: ZoneContent) { self.content = content }

    /// - Parameter before: names laid out for the version before, in canonical order; empty for none.
    /// - Throws: when the records of a name contradict each other.
    mutating func pack(before: [PackedName]) throws(ZoneFault) {
        let cuts = ZoneCuts(content)
        let owners = ZoneContent.merged(content.owners, emptyNonTerminals())
        names.reserveCapacity(owners.count)
        // Both are in the same order, so that one walk finds what there was.
        var old = before[...]
        for owner in owners {
            while let first = old.first, first.owner.name != owner.name,
                first.owner.key.lexicographicallyPrecedes(owner.key)
            {
                old = old.dropFirst()
            }
            let (isCut, isBelowCut) = (cuts.contains(owner.name), cuts.areAbove(owner.name))
            if let first = old.first, first.owner == owner, first.isCut == isCut,
                first.isBelowCut == isBelowCut
            {
                names.append(first)
            } else {
                names.append(try PackedName(owner, isCut: isCut, isBelowCut: isBelowCut))
            }
        }
        place()
        fillSlots()
        placeWildcards()
        if isSigned { placeDenials() }
    }

    /// Names without records above names that have some (RFC 4592 §2.2.2), in canonical order.
    private func emptyNonTerminals() -> [OwnerRecords] {
        var found: [DomainName: OwnerRecords] = [:]
        for owner in content.owners {
            var ancestor = owner.name.parent
            while let current = ancestor, current.wire.count > content.apex.wire.count,
                content.byName[current] == nil, found[current] == nil
            {
                found[current] = OwnerRecords(current, [])
                ancestor = current.parent
            }
        }
        return found.values.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    }

    /// Puts the names' octets behind each other, and moves what points into them.
    private mutating func place() {
        bytes.reserveCapacity(names.reduce(0) { $0 + $1.layout.bytes.count })
        nodes.reserveCapacity(names.count)
        for name in names {
            let layout = name.layout
            let start = UInt32(bytes.count)
            let (ownSets, ownOffsets) = (sets.count, UInt32(recordOffsets.count))
            let ownChoices = UInt32(choices.count)
            nodes.append(
                ZoneImage.Node(
                    nameOffset: start, nameLength: UInt16(name.owner.name.wire.count),
                    firstSet: UInt32(ownSets), setCount: UInt16(clamping: layout.sets.count),
                    wildcard: -1, isCut: name.isCut, isBelowCut: name.isBelowCut,
                    keyOffset: start + UInt32(name.owner.name.wire.count),
                    keyLength: UInt16(name.owner.key.count)))
            bytes += layout.bytes
            recordOffsets += layout.recordOffsets
            isSigned = isSigned || layout.isSigned
            for var set in layout.sets {
                set.move(by: start, ownOffsets)
                set.firstChoice += ownChoices
                sets.append(set)
            }
            for var choice in layout.choices {
                choice.move(by: start, ownOffsets)
                choices.append(choice)
            }
        }
    }

    private mutating func placeWildcards() {
        for (own, name) in names.enumerated() where name.owner.name.isWildcard {
            guard let parent = name.owner.name.parent else { continue }
            // The name above stands before it, most often directly.
            if let at = names[..<own].lastIndex(where: { $0.owner.name == parent }) {
                nodes[at].wildcard = Int32(own)
            }
        }
    }

    /// Finds for each name the one whose NSEC record speaks of it, and of the wildcard below it.
    private mutating func placeDenials() {
        var last: Int32 = 0
        for index in names.indices {
            if names[index].layout.hasDenial { last = Int32(index) }
            nodes[index].denial = last
        }
        for index in names.indices {
            nodes[index].wildcardDenial = nodes[place(ofWildcardBelow: index)].denial
        }
    }

    /// The last name that stands before the wildcard below this one, which does not exist.
    private func place(ofWildcardBelow index: Int) -> Int {
        let own = names[index].owner.key
        // Only names below this one can stand between it and the wildcard, and most have none below them.
        guard index + 1 < names.count, names[index + 1].owner.key.starts(with: own) else {
            return index
        }
        let star = own + [0x2A, 0]
        var low = index
        var high = names.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if star.lexicographicallyPrecedes(names[middle].owner.key) {
                high = middle
            } else {
                low = middle
            }
        }
        return low
    }

    private mutating func fillSlots() {
        var size = 16
        while size < nodes.count * 2 { size *= 2 }
        slots = Array(repeating: 0, count: size)
        for (index, name) in names.enumerated() {
            var slot = ZoneImage.slot(name.hash, mask: size - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (size - 1) }
            slots[slot] = UInt32(index + 1)
        }
    }
}

extension ZoneImage.RecordSet {
    /// To where the octets and the offsets of its name begin.
    fileprivate mutating func move(by start: UInt32, _ offsets: UInt32) {
        packedOffset += start
        plainOffset += start
        signaturesOffset += start
        offsetsIndex += offsets
    }
}
