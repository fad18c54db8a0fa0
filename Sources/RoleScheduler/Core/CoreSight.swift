public import Farm

/// What one delivery core knows of the names that it sends through: how new its knowledge is, and which machines it
/// has not finished with. It is what the core said, not what the planner makes of it.
public struct CoreSight: Hashable, Sendable {
    /// When it was said.
    public var heard: Moment
    /// The core has asked anew since what was planned at this moment was answered.
    public var asOf: Moment
    /// Addresses that it hands rows to, or waits for outcomes of.
    public var uses: Set<IPAddress>

    public init(heard: Moment, asOf: Moment, uses: Set<IPAddress>) {
        self.heard = heard
        self.asOf = asOf
        self.uses = uses
    }
}

extension Planner {
    /// Cores that have not let go of a machine which left the names at `since`; nil when no core is heard.
    func holders(of record: SmurfRecord, since: Moment) -> [String]? {
        let live = cores.filter { now.since($0.value.heard) <= policy.guards.downAfter }
        guard !live.isEmpty else { return nil }
        return live.filter { _, core in
            core.asOf < since || !core.uses.isDisjoint(with: record.addresses)
        }.keys.sorted()
    }

    /// Least time between leaving DNS and going idle, for a machine that drains: caches must have forgotten the
    /// address, or all who ask for the name have said that they are done with the machine.
    func drainTime(_ record: SmurfRecord, _ rule: RolePolicy) -> Duration {
        guard rule.drain.waitsForCores else { return rule.drainTime }
        if let holders = holders(of: record, since: record.since), holders.isEmpty { return .zero }
        return min(rule.drainTime, rule.drain.deadline)
    }

    /// What a machine that drains waits for, in words; nil when for nothing.
    func drainWait(_ place: Int) -> String? {
        let record = record(place)
        guard case .draining(let role) = record.state, let rule = policy[role] else { return nil }
        let age = now.since(record.since)
        let wait = drainTime(record, rule)
        if age < wait {
            let left = Int((wait - age).inSeconds.rounded(.up))
            guard rule.drain.waitsForCores else { return "caches know it for \(left) s more" }
            guard let holders = holders(of: record, since: record.since) else {
                return "no core is heard; without one it waits for \(left) s more"
            }
            return "\(holders.joined(separator: ", ")) not done with it; at most \(left) s more"
        }
        let connections = machines[place].report?.connections ?? 0
        return connections == 0 ? nil : "\(connections) connections are open"
    }
}
