/// Referrals: what is said of names below a zone cut (RFC 1034 §4.3.2 step 3b), and the glue without which
/// a referral is of no use (RFC 9471).
extension ZoneImage {
    /// Refers the asker of `name` to the servers of the zone that it is in.
    func refer(
        _ name: Span<UInt8>, _ reply: inout Reply, _ response: inout MutableSpan<UInt8>
    ) {
        reply.isAuthoritative = false
        guard let cut = cut(above: name) else { return }
        reply.kind = .referral
        reply.subject = UInt32(truncatingIfNeeded: cut)
        delegate(cut, &reply, &response)
    }

    /// Refers the asker of an alias to the servers of its target's zone. The alias itself was answered
    /// with authority.
    /// - Parameter target: below a cut.
    func referTarget(
        _ target: Span<UInt8>, _ reply: inout Reply, _ response: inout MutableSpan<UInt8>
    ) {
        if let cut = cut(above: target) { delegate(cut, &reply, &response) }
    }

    /// NS records, which are not signed here, with the DS set or the proof that there is none (RFC 4035 §3.1.4).
    private func delegate(
        _ cut: Int, _ reply: inout Reply, _ response: inout MutableSpan<UInt8>
    ) {
        guard let index = set(cut, .ns) else { return }
        let servers = sets[index]
        putPlain(index, owner(of: cut), .authority, &reply, &response)
        if reply.wantsProof, !reply.isTruncated, let proof = set(cut, .ds) ?? set(cut, .nsec) {
            putPlain(proof, owner(of: cut), .authority, &reply, &response)
        }
        putDenials(&reply, &response)
        if reply.isTruncated { return }
        putGlue(servers, of: cut, isInDomain: true, &reply, &response)
        if !reply.isTruncated { putGlue(servers, of: cut, isInDomain: false, &reply, &response) }
    }

    /// Addresses of servers below a cut. Those within the delegated zone must all be there, else the reply
    /// is truncated (RFC 9471 §3.1); those of sibling zones may be left out (§3.2).
    private func putGlue(
        _ servers: RecordSet, of cut: Int, isInDomain: Bool, _ reply: inout Reply,
        _ response: inout MutableSpan<UInt8>
    ) {
        let names = bytes
        forEachPlain(servers) { record in
            let owner = (record.lowerBound + 10)..<record.upperBound
            let target = names.span.extracting(owner)
            guard !reply.isTruncated, isWithin(cut, target) == isInDomain,
                isWithin(apexNode, target), let node = node(target, from: 0),
                nodes[node].isBelowCut || nodes[node].isCut
            else { return }
            putAddresses(node, .a, owner, isInDomain, &reply, &response)
            putAddresses(node, .aaaa, owner, isInDomain, &reply, &response)
        }
    }

    private func putAddresses(
        _ node: Int, _ type: RecordType, _ owner: Range<Int>, _ isNeeded: Bool,
        _ reply: inout Reply, _ response: inout MutableSpan<UInt8>
    ) {
        guard !reply.isTruncated, let glue = set(node, type) else { return }
        guard isNeeded || reply.fits(plainLength(sets[glue], owner, reply)) else { return }
        putPlain(glue, owner, .additional, &reply, &response)
    }

    /// The topmost cut at or above `name`.
    private func cut(above name: Span<UInt8>) -> Int? {
        var found: Int?
        var offset = 0
        while name[offset] != 0 {
            if let node = node(name, from: offset), nodes[node].isCut { found = node }
            offset += Int(name[offset]) + 1
        }
        return found
    }
}
