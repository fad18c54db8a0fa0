import Farm

/// What the resolvers of the world believe of one name: a client that obeys the TTL uses, at any moment,
/// one of the answers given within the last TTL, all ages being equally frequent; so the share of clients
/// that know a machine is a mean over that window. Nothing is random, and the cost does not depend on how
/// many resolvers there are.
struct CachedAnswers {
    /// One stay of a machine in the answer.
    struct Stay {
        var machine: SmurfID
        var from: Int
        /// The first second without it; nil while it is answered.
        var to: Int?
    }

    /// In the order in which they began; those that everybody has forgotten are dropped.
    private(set) var stays: [Stay] = []
    /// What is answered now, sorted.
    private(set) var members: [SmurfID] = []
    /// Running sum over the seconds of 1 / number of members: a machine's part of all answers between
    /// two seconds is a difference of it.
    private var parts: [Double] = [0]

    /// Notes what is answered in the second `now`. Called once a second, without gaps.
    /// - Parameter memory: seconds after which everybody has forgotten an answer.
    mutating func note(_ answer: [SmurfID], at now: Int, memory: Int) {
        if answer != members {
            let new = Set(answer)
            let old = Set(members)
            for index in stays.indices where stays[index].to == nil {
                if !new.contains(stays[index].machine) { stays[index].to = now }
            }
            stays += answer.filter { !old.contains($0) }.map { Stay(machine: $0, from: now) }
            members = answer
        }
        if now % 60 == 0 { stays.removeAll { $0.to.map { $0 < now - memory } ?? false } }
        parts.append((parts.last ?? 0) + (answer.isEmpty ? 0 : 1 / Double(answer.count)))
    }

    /// Share of the traffic that goes to the machine because of this stay, 0…1.
    /// - Parameters:
    ///   - window: for how long answers are used, in seconds, at least 1.
    ///   - now: the second last noted.
    func traffic(_ stay: Stay, window: Int, now: Int) -> Double {
        let from = max(stay.from, now + 1 - window, 0)
        let to = min(stay.to ?? now + 1, now + 1)
        guard to > from else { return 0 }
        return (parts[to] - parts[from]) / Double(min(window, now + 1))
    }

    /// Share of clients that have the machine in the answer that they use, 0…1.
    func known(_ stay: Stay, window: Int, now: Int) -> Double {
        let from = max(stay.from, now + 1 - window, 0)
        let to = min(stay.to ?? now + 1, now + 1)
        return Double(max(to - from, 0)) / Double(max(min(window, now + 1), 1))
    }
}
