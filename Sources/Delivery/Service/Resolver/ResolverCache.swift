/// The kinds of records that are asked for, by their number (RFC 1035 §3.2.2, RFC 3596 §2.1).
enum ResolverKind: Int32, Sendable {
    case a = 1
    case mx = 15
    case aaaa = 28
}

/// Answers and absences until their time is over. libunbound's own cache is kept out of the way: it counts
/// whole seconds, so that an answer may live one second longer there than its TTL says.
struct ResolverCache {
    struct Key: Hashable {
        let name: String
        let kind: ResolverKind

        init(name: String, kind: ResolverKind) {
            let lower = name.lowercased()
            self.name = lower.hasSuffix(".") ? String(lower.dropLast()) : lower
            self.kind = kind
        }
    }

    struct Answer {
        var records: [[UInt8]]
        var expires: ContinuousClock.Instant
    }

    private struct Entry {
        var value: Result<Answer, ResolverError>
        var expires: ContinuousClock.Instant
    }

    /// More names than a mailing's domains have between two clean-ups; each costs some 200 octets.
    static let capacity = 20_000
    private var entries: [Key: Entry] = [:]

    func answer(_ key: Key, at now: ContinuousClock.Instant) -> Result<Answer, ResolverError>? {
        guard let entry = entries[key], now < entry.expires else { return nil }
        return entry.value
    }

    mutating func keep(
        _ value: Result<Answer, ResolverError>, for key: Key, until end: ContinuousClock.Instant
    ) {
        if entries.count >= ResolverCache.capacity {
            let now = ContinuousClock.now
            entries = entries.filter { now < $0.value.expires }
            if entries.count >= ResolverCache.capacity { entries.removeAll() }
        }
        entries[key] = Entry(value: value, expires: end)
    }
}
