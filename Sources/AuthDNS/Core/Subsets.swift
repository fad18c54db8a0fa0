/// A set of which one answer holds only some: every choice that may be answered, laid out beforehand, so that each
/// can be signed. Transfers carry the whole set; other servers answer that.
public struct Subset: Hashable, Sendable {
    public var records: [ResourceRecord]
    /// Over exactly these records.
    public var signatures: [ResourceRecord] = []
}

/// The members of a set on a ring, each in as many places as its weight is: a choice is the next `limit` members from
/// some place on. When a member comes or goes, only the choices around it change, and the others keep their
/// signatures.
struct MemberRing {
    /// One member: what it gives to the set.
    struct Member {
        var name: DomainName
        /// 1…100.
        var weight: Int
        /// In how many of four answers it may be, 1…4.
        var quarters = 4
        var records: [ResourceRecord]
    }

    /// Most records that all choices of a set may have together; beyond, not every place begins one.
    static let most = 200_000

    private let members: [Member]
    private let places: [Int]

    /// - Parameter members: those that are not in all answers have so many places fewer.
    init(_ members: [Member]) {
        self.members = members
        let isWhole = members.allSatisfy { $0.quarters == 4 }
        var ring: [(position: Double, member: Int)] = []
        for (index, member) in members.enumerated() {
            var hash = ZoneImage.hash(member.name.wire)
            hash = (hash ^ hash >> 31) &* 0x9E37_79B9_7F4A_7C15
            let start = Double(hash >> 11) / Double(1 << 53 as UInt64)
            let weight = isWhole ? member.weight : member.weight * member.quarters
            for turn in 0..<weight {
                ring.append(((Double(turn) + start) / Double(weight), index))
            }
        }
        places = ring.sorted { ($0.position, $0.member) < ($1.position, $1.member) }.map(\.member)
    }

    /// Four choices of all members that may be in so many; one that is in a quarter of the answers is in the first.
    static func quarters(of members: [Member]) -> [Subset] {
        (0..<4).compactMap { turn in
            let chosen = members.filter { $0.quarters > turn }
            return chosen.isEmpty ? nil : Subset(records: chosen.flatMap(\.records))
        }
    }

    /// - Parameter limit: members in one choice, below the number of members.
    /// - Complexity: O(places × limit).
    func choices(of limit: Int) -> [Subset] {
        let step = max(1, places.count * limit / MemberRing.most)
        return stride(from: 0, to: places.count, by: step).map { start in
            var chosen: [Int] = []
            var offset = 0
            while chosen.count < limit, offset < places.count {
                let member = places[(start + offset) % places.count]
                if !chosen.contains(member) { chosen.append(member) }
                offset += 1
            }
            return Subset(records: chosen.sorted().flatMap { members[$0].records })
        }
    }
}
