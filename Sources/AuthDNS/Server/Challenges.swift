import AuthDNSCore
import Foundation

/// TXT records that somebody outside wants to see for a while, above all a certificate authority (ACME, RFC 8555
/// §8.4). They are kept in a file, so that a restart does not lose them, and end by themselves.
struct Challenges {
    private struct Entry: Codable, Hashable {
        var owner: String
        var value: String
        /// Seconds since 1970.
        var until: UInt64
    }

    private var entries: [Entry] = []
    private let path: String
    /// Seconds; nobody should keep them.
    private static let ttl: UInt32 = 10

    /// Reads what was there before; a damaged file has nothing.
    init(directory: String) {
        path = directory + "/challenges.json"
        guard let data = FileManager.default.contents(atPath: path) else { return }
        entries = (try? JSONDecoder().decode([Entry].self, from: data)) ?? []
    }

    var records: [ResourceRecord] {
        entries.compactMap { entry in
            DomainName(entry.owner).map { .text($0, entry.value, ttl: Challenges.ttl) }
        }
    }

    /// When the first of them ends.
    var nextEnd: UInt64? { entries.map(\.until).min() }

    mutating func add(_ owner: DomainName, _ value: String, until: UInt64) {
        entries.removeAll { $0.owner == owner.description && $0.value == value }
        entries.append(Entry(owner: owner.description, value: value, until: until))
    }

    /// - Parameter value: nil for every one at the name.
    /// - Returns: how many there were.
    mutating func remove(_ owner: DomainName, _ value: String?) -> Int {
        let before = entries.count
        entries.removeAll { $0.owner == owner.description && (value == nil || $0.value == value) }
        return before - entries.count
    }

    /// Forgets those that have ended.
    mutating func expire(now: UInt64) {
        entries.removeAll { $0.until <= now }
    }

    /// Writes them for the next start, if they are not those of `before`. Whoever published them says when, so that
    /// none is in the file that the zone cannot have.
    /// - Throws: when the disk does not take it.
    func save(unless before: Challenges) throws(NameServerError) {
        if entries == before.entries { return }
        guard let data = try? JSONEncoder().encode(entries) else { return }
        try DurableFile.write(Array(data), to: path)
    }
}
