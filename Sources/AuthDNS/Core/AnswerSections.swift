/// How the sections of a reply are written from the image's bytes: packed sets in a random order, plain
/// sets with an owner of their own, the SOA of negative answers, and referrals.
extension ZoneImage {
    /// Answer records whose owner is the question, in a random order: every permutation is equally
    /// likely, so that a dead member's share does not fall to one neighbour.
    func putPacked(_ index: Int, _ reply: inout Reply, _ response: inout MutableSpan<UInt8>) {
        let set = chosen(index, &reply)
        guard reply.fits(Int(set.packedLength) + proofLength(set, ownerLength: 2, reply)) else {
            return reply.truncate()
        }
        let start = Int(set.packedOffset)
        let end = start + Int(set.packedLength)
        if set.recordLength > 0 {
            let first = reply.end
            reply.put(bytes, start..<end, &response)
            shuffle(first, Int(set.count), Int(set.recordLength), &reply, &response)
        } else {
            putVariable(set, &reply, &response)
        }
        reply.count(.answer, set.count)
        forEachSignature(set, reply) { record in
            reply.put16(0xC00C, &response)
            reply.put(bytes, record, &response)
            reply.count(.answer, 1)
        }
    }

    /// The set itself, or one of the choices of what to answer for it.
    private func chosen(_ index: Int, _ reply: inout Reply) -> RecordSet {
        let count = Int(sets[index].choiceCount)
        guard count > 0 else { return sets[index] }
        return choices[Int(sets[index].firstChoice) + reply.draw(below: count)]
    }

    /// Octets that the signatures over a set take in this reply.
    private func proofLength(_ set: RecordSet, ownerLength: Int, _ reply: Reply) -> Int {
        reply.wantsProof ? Int(set.signaturesLength) + Int(set.signatures) * ownerLength : 0
    }

    /// Fisher–Yates over blocks of equal length.
    private func shuffle(
        _ first: Int, _ count: Int, _ length: Int, _ reply: inout Reply,
        _ response: inout MutableSpan<UInt8>
    ) {
        guard count > 1 else { return }
        precondition(first + count * length <= response.count)
        // Safe: every block lies within what was just checked.
        unsafe response.withUnsafeMutableBytes { room in
            for last in stride(from: count - 1, to: 0, by: -1) {
                let other = reply.draw(below: last + 1)
                if other == last { continue }
                unsafe ZoneImage.swap(
                    first + other * length, first + last * length, length, room)
            }
        }
    }

    /// Swaps two blocks that do not overlap, eight octets at a time.
    private static func swap(
        _ one: Int, _ other: Int, _ length: Int, _ room: UnsafeMutableRawBufferPointer
    ) {
        var offset = 0
        while offset + 8 <= length {
            let kept = unsafe room.loadUnaligned(fromByteOffset: one + offset, as: UInt64.self)
            let moved = unsafe room.loadUnaligned(fromByteOffset: other + offset, as: UInt64.self)
            unsafe room.storeBytes(of: moved, toByteOffset: one + offset, as: UInt64.self)
            unsafe room.storeBytes(of: kept, toByteOffset: other + offset, as: UInt64.self)
            offset += 8
        }
        while offset < length {
            unsafe room.swapAt(one + offset, other + offset)
            offset += 1
        }
    }

    /// Records of differing lengths: a random order of up to 64, beyond that a random start.
    private func putVariable(
        _ set: RecordSet, _ reply: inout Reply, _ response: inout MutableSpan<UInt8>
    ) {
        let count = Int(set.count)
        var order = InlineArray<64, UInt8>(repeating: 0)
        let shift = reply.draw(below: count)
        if count <= 64 {
            for index in 0..<count {
                let other = reply.draw(below: index + 1)
                order[index] = order[other]
                order[other] = UInt8(index)
            }
        }
        for position in 0..<count {
            let record = count <= 64 ? Int(order[position]) : (position + shift) % count
            let entry = Int(set.offsetsIndex) + record
            let start = Int(set.packedOffset) + Int(recordOffsets[entry])
            let end = Int(set.packedOffset) + Int(recordOffsets[entry + 1])
            reply.put(bytes, start..<end, &response)
        }
    }

    /// Records of another owner than the question, data uncompressed.
    /// - Parameter owner: where the owner's name, which is within the zone, stands in `bytes`.
    func putPlain(
        _ index: Int, _ owner: Range<Int>, _ section: Reply.Section, _ reply: inout Reply,
        _ response: inout MutableSpan<UInt8>
    ) {
        let set = chosen(index, &reply)
        guard reply.fits(plainLength(set, owner, reply)) else { return reply.truncate() }
        forEachPlain(set) { putPlain($0, owner, section, &reply, &response) }
        forEachSignature(set, reply) { putPlain($0, owner, section, &reply, &response) }
    }

    /// Octets that `putPlain` takes for a set.
    func plainLength(_ set: RecordSet, _ owner: Range<Int>, _ reply: Reply) -> Int {
        let ownerLength = owner.count - apex.wire.count + 2
        return Int(set.plainLength) + Int(set.count) * ownerLength
            + proofLength(set, ownerLength: ownerLength, reply)
    }

    private func putPlain(
        _ record: Range<Int>, _ owner: Range<Int>, _ section: Reply.Section,
        _ reply: inout Reply, _ response: inout MutableSpan<UInt8>
    ) {
        reply.put(bytes, owner.lowerBound..<(owner.upperBound - apex.wire.count), &response)
        reply.put16(reply.apexPointer, &response)
        reply.put(bytes, record, &response)
        reply.count(section, 1)
    }

    /// Where the name of a node stands in `bytes`.
    func owner(of node: Int) -> Range<Int> {
        let start = Int(nodes[node].nameOffset)
        return start..<(start + Int(nodes[node].nameLength))
    }

    func forEachPlain(_ set: RecordSet, _ body: (Range<Int>) -> Void) {
        forEach(set.count, from: Int(set.plainOffset), body)
    }

    private func forEachSignature(_ set: RecordSet, _ reply: Reply, _ body: (Range<Int>) -> Void) {
        forEach(reply.wantsProof ? set.signatures : 0, from: Int(set.signaturesOffset), body)
    }

    private func forEach(_ count: UInt16, from start: Int, _ body: (Range<Int>) -> Void) {
        var offset = start
        for _ in 0..<count {
            let length = 10 + Int(bytes[offset + 8]) << 8 + Int(bytes[offset + 9])
            body(offset..<(offset + length))
            offset += length
        }
    }

    /// The SOA of a negative answer, with the negative TTL (RFC 2308 §3, §5), and what proves it.
    /// - Parameter name: what was asked for, or what an alias led to.
    func deny(
        _ absence: Absence, of name: Span<UInt8>, _ reply: inout Reply,
        _ response: inout MutableSpan<UInt8>
    ) {
        guard let index = set(apexNode, .soa) else { return }
        reply.kind = reply.code == .nameError ? .nameError : .noData
        if reply.code == .nameError { reply.subject = UInt32(truncatingIfNeeded: apexNode) }
        let start = reply.end
        putPlain(index, owner(of: apexNode), .authority, &reply, &response)
        guard !reply.isTruncated else { return }
        lowerTTL(ofSOA: sets[index], at: start + 2, &reply, &response)
        prove(absence, of: name, &reply)
    }

    /// Gives the SOA just written, and its signatures, the lesser of its own TTL and the last field of its data.
    private func lowerTTL(
        ofSOA set: RecordSet, at start: Int, _ reply: inout Reply,
        _ response: inout MutableSpan<UInt8>
    ) {
        let (own, end) = (Int(set.plainOffset) + 4, Int(set.plainOffset) + Int(set.plainLength))
        var takesMinimum = false
        for offset in 0..<4 where bytes[end - 4 + offset] != bytes[own + offset] {
            takesMinimum = bytes[end - 4 + offset] < bytes[own + offset]
            break
        }
        guard takesMinimum else { return }
        var at = start
        while at < reply.end {
            for offset in 0..<4 { response[at + 4 + offset] = bytes[end - 4 + offset] }
            at += 12 + Int(response[at + 8]) << 8 + Int(response[at + 9])
        }
    }
}
