/// How an image finds the answer to a question: RFC 1034 §4.3.2 as one pass over the names, with
/// wildcards (RFC 4592) and referrals. Nothing here allocates.
extension ZoneImage {
    /// Most CNAMEs in one answer; whoever asks goes on from the last.
    static let longestChain = 8

    func answer(
        _ query: Span<UInt8>, _ facts: Query, _ reply: inout Reply,
        _ response: inout MutableSpan<UInt8>
    ) {
        let name = query.extracting(12..<(12 + facts.nameLength))
        guard facts.recordClass == 1, isWithinApex(name) else {
            return reply.refuse(.refused, .notAuthoritative)
        }
        reply.opt.isOfZone = true
        reply.enter(self, apexAt: 12 + name.count - apex.wire.count)
        guard facts.type != .axfr, facts.type != .ixfr else {
            return reply.refuse(.refused, .prohibited)
        }
        // Meta types other than ANY ask for what is not in a zone (RFC 6895 §3.1).
        guard facts.type != .opt, !(128..<255).contains(facts.type.rawValue) else {
            return reply.refuse(.notImplemented, .notSupported)
        }
        reply.isAuthoritative = true
        switch find(name) {
        case .exact(let node) where isDelegated(node, facts.type):
            refer(name, &reply, &response)
        case .exact(let node): answer(from: node, nil, name, facts.type, &reply, &response)
        case .below(let node) where nodes[node].isCut || nodes[node].isBelowCut:
            refer(name, &reply, &response)
        case .below(let node) where nodes[node].wildcard >= 0:
            let wildcard = Int(nodes[node].wildcard)
            answer(from: wildcard, .expanded(wildcard), name, facts.type, &reply, &response)
        case .below(let node):
            reply.code = .nameError
            deny(.name(node), of: name, &reply, &response)
        }
        putDenials(&reply, &response)
    }

    enum Found {
        case exact(Int)
        /// The closest encloser (RFC 4592 §3.3.1) of a name that does not exist.
        case below(Int)
    }

    /// - Parameter name: within the apex.
    func find(_ name: Span<UInt8>) -> Found {
        if let node = node(name, from: 0) { return .exact(node) }
        var offset = 0
        while name[offset] != 0 {
            offset += Int(name[offset]) + 1
            if let node = node(name, from: offset) { return .below(node) }
        }
        return .below(apexNode)
    }

    /// The node whose name is `name` without its first `start` octets.
    func node(_ name: Span<UInt8>, from start: Int) -> Int? {
        var hash = ZoneImage.hashStart
        for index in start..<name.count {
            hash = ZoneImage.hash(ZoneImage.lowered(name[index]), hash)
        }
        let mask = slots.count - 1
        var slot = ZoneImage.slot(hash, mask: mask)
        while slots[slot] != 0 {
            let candidate = Int(slots[slot]) - 1
            if matches(candidate, name, start) { return candidate }
            slot = (slot + 1) & mask
        }
        return nil
    }

    private func matches(_ node: Int, _ name: Span<UInt8>, _ start: Int) -> Bool {
        let length = Int(nodes[node].nameLength)
        guard length == name.count - start else { return false }
        let offset = Int(nodes[node].nameOffset)
        for index in 0..<length
        where bytes[offset + index] != ZoneImage.lowered(name[start + index]) {
            return false
        }
        return true
    }

    static func lowered(_ octet: UInt8) -> UInt8 {
        octet &- 0x41 < 26 ? octet | 0x20 : octet
    }

    /// Whether the question is about this zone.
    func isAsked(_ query: Span<UInt8>, _ facts: Query) -> Bool {
        facts.questionEnd > 12 && isWithinApex(query.extracting(12..<(12 + facts.nameLength)))
    }

    private func isWithinApex(_ name: Span<UInt8>) -> Bool { isWithin(apexNode, name) }

    /// Whether `name` is that of `node` or below it.
    func isWithin(_ node: Int, _ name: Span<UInt8>) -> Bool {
        let start = name.count - Int(nodes[node].nameLength)
        guard start >= 0 else { return false }
        var offset = 0
        while offset < start { offset += Int(name[offset]) + 1 }
        return offset == start && matches(node, name, start)
    }

    /// Whether the parent side of a cut must answer with a referral; DS belongs to the parent.
    private func isDelegated(_ node: Int, _ type: RecordType) -> Bool {
        nodes[node].isBelowCut || (nodes[node].isCut && type != .ds)
    }

    func set(_ node: Int, _ type: RecordType) -> Int? {
        let first = Int(nodes[node].firstSet)
        for index in first..<(first + Int(nodes[node].setCount)) where sets[index].type == type {
            return index
        }
        return nil
    }

    /// Answers from a node whose records are the question's own.
    /// - Parameter expansion: what must be proven when the node is a wildcard; nil when it is not.
    private func answer(
        from node: Int, _ expansion: Absence?, _ name: Span<UInt8>, _ type: RecordType,
        _ reply: inout Reply, _ response: inout MutableSpan<UInt8>
    ) {
        reply.kind = .answer
        reply.subject = UInt32(truncatingIfNeeded: node)
        if let index = type == .any ? smallestSet(node) : set(node, type) {
            guard !sets[index].fails else { return fail(&reply) }
            putPacked(index, &reply, &response)
        } else if let alias = set(node, .cname) {
            putPacked(alias, &reply, &response)
            if let expansion { prove(expansion, of: name, &reply) }
            if !reply.isTruncated { follow(alias, from: node, type, &reply, &response) }
            return
        } else {
            return deny(missingType(node, expansion), of: name, &reply, &response)
        }
        if let expansion { prove(expansion, of: name, &reply) }
    }

    private func missingType(_ node: Int, _ expansion: Absence?) -> Absence {
        expansion == nil ? .type(node) : .expandedType(node)
    }

    /// What ANY is answered with: one set, whichever is shortest (RFC 8482 §4.1), of those that are of use without
    /// others. A set that fails is the answer when there is nothing else.
    private func smallestSet(_ node: Int) -> Int? {
        var smallest: Int?
        let first = Int(nodes[node].firstSet)
        for index in first..<(first + Int(nodes[node].setCount))
        where sets[index].type != .nsec && sets[index].type != .rrsig {
            if let smallest, weight(smallest) <= weight(index) { continue }
            smallest = index
        }
        return smallest
    }

    private func weight(_ index: Int) -> UInt32 {
        sets[index].fails ? .max : sets[index].packedLength
    }

    /// A set that policy says must not be empty, and is (a mailer tries again later then).
    private func fail(_ reply: inout Reply) {
        reply.dropRecords()
        reply.refuse(.serverFailure, .notReady)
    }

    /// Follows a CNAME as far as it stays in the zone and comes to no name twice.
    /// - Parameter first: the node that `alias` is of.
    private func follow(
        _ alias: Int, from first: Int, _ type: RecordType, _ reply: inout Reply,
        _ response: inout MutableSpan<UInt8>
    ) {
        var alias = alias
        var seen = InlineArray<8, Int>(repeating: -1)
        seen[0] = first
        let bytes = bytes
        for step in 1...ZoneImage.longestChain {
            // The data of a plain record begins 10 octets behind its start.
            let start = Int(sets[alias].plainOffset) + 10
            let end = Int(sets[alias].plainOffset) + Int(sets[alias].plainLength)
            let target = bytes.span.extracting(start..<end)
            guard isWithinApex(target) else { return }
            let node: Int
            var expansion: Absence?
            switch find(target) {
            case .exact(let found): node = found
            case .below(let found) where nodes[found].isCut || nodes[found].isBelowCut:
                return referTarget(target, &reply, &response)
            case .below(let found) where nodes[found].wildcard >= 0:
                node = Int(nodes[found].wildcard)
                expansion = .expanded(node)
            case .below(let found):
                reply.code = .nameError
                return deny(.name(found), of: target, &reply, &response)
            }
            if isDelegated(node, type) { return referTarget(target, &reply, &response) }
            guard let index = set(node, type) ?? set(node, .cname) else {
                return deny(missingType(node, expansion), of: target, &reply, &response)
            }
            guard !sets[index].fails else { return fail(&reply) }
            if sets[index].type != type {
                for earlier in 0..<8 where seen[earlier] == node { return }
                guard step < ZoneImage.longestChain else { return }
                seen[step] = node
            }
            putPlain(index, start..<end, .answer, &reply, &response)
            if let expansion { prove(expansion, of: target, &reply) }
            if reply.isTruncated || sets[index].type == type { return }
            alias = index
        }
    }
}
