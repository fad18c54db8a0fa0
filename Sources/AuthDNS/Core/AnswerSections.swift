/// How the sections of a reply are written from the image's bytes: packed sets in a random order, plain
/// sets with an owner of their own, the SOA of negative answers, and referrals.
extension ZoneImage {
    /// Answer records whose owner is the question, in a random order: every permutation is equally
    /// likely, so that a dead member's share does not fall to one neighbour.
    func putPacked(_ index: Int, _ reply: inout Reply, _ response: inout MutableSpan<UInt8>) {
        let set = sets[index]
        guard reply.fits(Int(set.packedLength)) else { return reply.truncate() }
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
    }

    /// Fisher–Yates over blocks of equal length.
    private func shuffle(
        _ first: Int, _ count: Int, _ length: Int, _ reply: inout Reply,
        _ response: inout MutableSpan<UInt8>
    ) {
        guard count > 1 else { return }
        for last in stride(from: count - 1, to: 0, by: -1) {
            let other = reply.draw(below: last + 1)
            if other == last { continue }
            let (left, right) = (first + other * length, first + last * length)
            for offset in 0..<length { response.swapAt(left + offset, right + offset) }
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

    /// Records of another owner than the question, uncompressed.
    /// - Parameter owner: where the owner's name stands in `bytes`.
    func putPlain(
        _ index: Int, _ owner: Range<Int>, _ section: Reply.Section, _ reply: inout Reply,
        _ response: inout MutableSpan<UInt8>
    ) {
        let set = sets[index]
        guard reply.fits(Int(set.plainLength) + Int(set.count) * owner.count) else {
            return reply.truncate()
        }
        forEachPlain(set) { record in
            reply.put(bytes, owner, &response)
            reply.put(bytes, record, &response)
        }
        reply.count(section, set.count)
    }

    func forEachPlain(_ set: RecordSet, _ body: (Range<Int>) -> Void) {
        var offset = Int(set.plainOffset)
        for _ in 0..<set.count {
            let length = 10 + Int(bytes[offset + 8]) << 8 + Int(bytes[offset + 9])
            body(offset..<(offset + length))
            offset += length
        }
    }

    /// The smallest honest answer to ANY (RFC 8482 §4.2).
    func putMinimalAny(_ reply: inout Reply, _ response: inout MutableSpan<UInt8>) {
        let record: InlineArray<21, UInt8> = [
            0xC0, 12, 0, 13, 0, 1, 0, 0, 0x0E, 0x10, 0, 9,
            7, 0x52, 0x46, 0x43, 0x38, 0x34, 0x38, 0x32, 0,
        ]
        guard reply.fits(21) else { return reply.truncate() }
        for index in 0..<21 { reply.put(record[index], &response) }
        reply.count(.answer, 1)
    }

    /// The SOA of a negative answer, with the negative TTL (RFC 2308 §3, §5).
    func deny(
        _ question: Span<UInt8>, _ reply: inout Reply, _ response: inout MutableSpan<UInt8>
    ) {
        guard let index = set(apexNode, .soa) else { return }
        reply.kind = reply.code == .nameError ? .nameError : .noData
        if reply.code == .nameError { reply.subject = UInt32(truncatingIfNeeded: apexNode) }
        let set = sets[index]
        let length = Int(set.plainLength) + 2
        guard reply.fits(length) else { return reply.truncate() }
        reply.put16(0xC000 | (12 + question.count - apex.wire.count), &response)
        let at = reply.end
        let start = Int(set.plainOffset)
        let end = start + Int(set.plainLength)
        reply.put(bytes, start..<end, &response)
        // TTL is the lesser of the record's own and the last field of its data.
        var takesMinimum = false
        for offset in 0..<4 where bytes[end - 4 + offset] != bytes[start + 4 + offset] {
            takesMinimum = bytes[end - 4 + offset] < bytes[start + 4 + offset]
            break
        }
        if takesMinimum {
            for offset in 0..<4 { response[at + 4 + offset] = bytes[end - 4 + offset] }
        }
        reply.count(.authority, 1)
    }
}
