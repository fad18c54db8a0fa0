public import Farm
import Foundation
public import RoleSchedulerCore

/// What another policy would do with the farm as it stands, before it is followed.
public struct PolicyPreview: Sendable {
    public var differences: [PolicyDifference]
    public var outlook: Outlook
    /// Members of each role now, and when the farm has come to rest; roles of either policy, by name.
    public var roles: [(role: Role, now: Int, then: Int)]
    /// Names that have members now and would have none, with the reason.
    public var emptied: [String]
}

extension RoleSchedulerService {
    /// Looks ahead by `policy`; nothing is changed.
    public nonisolated func preview(_ policy: Policy) async -> PolicyPreview {
        let (now, old, state, demand, health) = await snapshot(for: policy)
        // Not on the actor: an hour of plans would keep reports waiting.
        let outlook = Outlook(
            policy: policy, state: state, demand: demand, health: health, now: now,
            timeOfDay: .local(Date()))
        let names = Set(old.roles.map(\.role)).union(policy.roles.map(\.role)).sorted()
        return PolicyPreview(
            differences: PolicyDifference.all(from: old, to: policy), outlook: outlook,
            roles: names.map { ($0, members(of: $0, state), members(of: $0, outlook.state)) },
            emptied: emptied(old, policy, state, outlook.state))
    }

    private func snapshot(
        for new: Policy
    ) -> (Moment, Policy, FarmState, Demand, [SmurfID: Health]) {
        let now = moment()
        let state = RoleSchedulerService.enrolled(state, new, at: now)
        let reports = state.smurfs.mapValues { record in
            Health(
                heard: now, ready: true, role: record.role, connections: 0, load: 0, work: 0)
        }
        // Reports go to the leader: elsewhere everybody is taken to be well.
        guard leads else { return (now, policy, state, demand, reports) }
        // So is whoever is awaited since this node leads: its silence would last for all of the hour ahead.
        let awaits = state.resumed.map { now.since($0) < policy.guards.deadAfter } ?? false
        let heard = checkedHealth(now)
        return (now, policy, state, demand, awaits ? reports.merging(heard) { $1 } : heard)
    }

    private nonisolated func members(of role: Role, _ state: FarmState) -> Int {
        state.smurfs.values.filter { $0.state == .serving(role) }.count
    }

    private nonisolated func emptied(
        _ old: Policy, _ new: Policy, _ state: FarmState, _ later: FarmState
    ) -> [String] {
        old.roles.flatMap { rule -> [String] in
            guard members(of: rule.role, state) > 0 else { return [] }
            return rule.names.compactMap { name in
                let name = "\(name)"
                let heir = new.roles.first { $0.names.contains { "\($0)" == name } }
                guard let heir else { return "\(name): no role has this name any more" }
                guard members(of: heir.role, later) == 0 else { return nil }
                return "\(name): nobody would serve \(heir.role)"
            }
        }
    }
}
