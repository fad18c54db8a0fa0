/// What a reply holds for askers who validate: proofs that a name or type does not exist (RFC 4035 §3.1.3). They
/// were signed when the image was built and are only looked up here.
extension ZoneImage {
    /// What does not exist.
    enum Absence {
        /// The type, at this node.
        case type(Int)
        /// The name and the wildcard that could stand for it; the closest encloser.
        case name(Int)
        /// The name, so that the wildcard at this node stands for it.
        case expanded(Int)
        /// The name, and the type at the wildcard that stands for it.
        case expandedType(Int)
    }

    /// Notes what proves `absence` of `name` to those who want it; it is written behind the answer.
    /// - Parameter name: what was asked for, or what an alias led to.
    func prove(_ absence: Absence, of name: Span<UInt8>, _ reply: inout Reply) {
        guard reply.wantsProof else { return }
        switch absence {
        case .type(let node): reply.noteDenial(nodes[node].denial)
        case .name(let encloser):
            reply.noteDenial(denial(covering: name))
            reply.noteDenial(nodes[encloser].wildcardDenial)
        case .expanded: reply.noteDenial(denial(covering: name))
        case .expandedType(let wildcard):
            reply.noteDenial(denial(covering: name))
            reply.noteDenial(nodes[wildcard].denial)
        }
    }

    /// Writes the NSEC records that were noted, each once.
    func putDenials(_ reply: inout Reply, _ response: inout MutableSpan<UInt8>) {
        while !reply.isTruncated, let node = reply.nextDenial() {
            guard let index = set(node, .nsec) else { continue }
            putPlain(index, owner(of: node), .authority, &reply, &response)
        }
    }

    /// Node whose NSEC record covers a name that does not exist, found by halving.
    private func denial(covering name: Span<UInt8>) -> Int32 {
        var key = InlineArray<512, UInt8>(repeating: 0)
        let length = CanonicalOrder.key(name, &key)
        var low = 0
        var high = nodes.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if precedes(key, length, middle) { high = middle } else { low = middle }
        }
        return nodes[low].denial
    }

    /// Whether a name sorts before that of a node.
    private func precedes(_ key: borrowing InlineArray<512, UInt8>, _ length: Int, _ node: Int)
        -> Bool
    {
        let offset = Int(nodes[node].keyOffset)
        let other = Int(nodes[node].keyLength)
        for index in 0..<min(length, other) {
            let own = key[index]
            let its = bytes[offset + index]
            if own != its { return own < its }
        }
        return length < other
    }
}
