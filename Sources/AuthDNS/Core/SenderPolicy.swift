import Farm

/// The SPF record (RFC 7208) that names every machine which may send mail for the farm. It is kept
/// within 450 octets by naming blocks: first blocks that hold nothing but senders, then ever wider ones,
/// since an answer that does not fit a packet would fail mail that a too wide block would let pass.
enum SenderPolicy {
    static let longest = 450

    /// - Parameter senders: in any order; none gives a record that no machine passes.
    static func text(for senders: [IPAddress]) -> String {
        var blocks = exactMerge(Array(Set(senders.map(Block.init))).sorted())
        // Thousands of senders are thinned pass by pass; only the last few joins are chosen singly.
        var room = 1
        while blocks.count > singly, room <= 128 {
            blocks = merge(blocks, withinRoom: room)
            room += 1
        }
        while text(blocks).utf8.count > longest {
            guard let merged = closestMerge(blocks) else { break }
            blocks = merged
        }
        return text(blocks)
    }

    /// From how many blocks on they are joined in passes.
    private static let singly = 64

    private static func text(_ blocks: [Block]) -> String {
        (["v=spf1"] + blocks.map(\.mechanism) + ["-all"]).joined(separator: " ")
    }

    /// Joins blocks that are the halves of one, as often as there are such; `blocks` is sorted.
    private static func exactMerge(_ blocks: [Block]) -> [Block] {
        var merged: [Block] = []
        for block in blocks {
            merged.append(block)
            while merged.count > 1, let whole = merged[merged.count - 2].whole(with: merged.last) {
                merged.removeLast(2)
                merged.append(whole)
            }
        }
        return merged
    }

    /// Joins neighbours whose common block leaves at most `room` bits open; `blocks` is sorted.
    private static func merge(_ blocks: [Block], withinRoom room: Int) -> [Block] {
        var merged: [Block] = []
        for block in blocks {
            if let common = merged.last?.common(with: block), common.room <= room {
                merged[merged.count - 1] = common
            } else {
                merged.append(block)
            }
        }
        return merged
    }

    /// Joins the two neighbours of one family whose common block is the smallest.
    private static func closestMerge(_ blocks: [Block]) -> [Block]? {
        var best: (index: Int, block: Block)?
        for index in blocks.indices.dropLast() {
            guard let block = blocks[index].common(with: blocks[index + 1]) else { continue }
            if best.map({ block.room < $0.block.room }) ?? true { best = (index, block) }
        }
        guard let best else { return nil }
        return Array(blocks[..<best.index]) + [best.block] + Array(blocks[(best.index + 2)...])
    }

    /// An address block of either family.
    private struct Block: Hashable, Comparable {
        var bits: [UInt8]
        var length: Int

        init(_ address: IPAddress) {
            bits = address.octets
            length = bits.count * 8
        }

        /// How many address bits it leaves open.
        var room: Int { bits.count * 8 - length }

        func widened(to length: Int) -> Block {
            var block = self
            block.length = max(length, 0)
            for index in block.bits.indices {
                let kept = min(max(block.length - index * 8, 0), 8)
                block.bits[index] &= UInt8(truncatingIfNeeded: 0xFF00 >> kept)
            }
            return block
        }

        /// The block of which this and `other` are the halves.
        func whole(with other: Block?) -> Block? {
            guard let other, length == other.length, length > 0, self != other else { return nil }
            let parent = widened(to: length - 1)
            return other.widened(to: length - 1) == parent ? parent : nil
        }

        func common(with other: Block) -> Block? {
            guard bits.count == other.bits.count else { return nil }
            var length = min(self.length, other.length)
            while widened(to: length).bits != other.widened(to: length).bits { length -= 1 }
            return widened(to: length)
        }

        var mechanism: String {
            guard let address = IPAddress(octets: bits) else { return "" }
            let family = bits.count == 4 ? "ip4" : "ip6"
            return room == 0 ? "\(family):\(address)" : "\(family):\(address)/\(length)"
        }

        static func < (left: Block, right: Block) -> Bool {
            if left.bits.count != right.bits.count { return left.bits.count < right.bits.count }
            return left.bits.lexicographicallyPrecedes(right.bits)
        }
    }
}
