import Farm

/// Shares a number of machines out over the roles: floors in order of priority, then demand tier by
/// tier and by Webster's method inside a tier (one machine more never takes one away from a role), then
/// what is left to roles that soak, and the rest to the role that takes idle machines. It deals in counts, not in machines.
struct Apportionment {
    private(set) var targets: [Role: Int] = [:]
    /// Machines that no role wants.
    private(set) var idle: Int

    /// - Parameters:
    ///   - usable: machines there are to share.
    ///   - wanted: setpoint per role.
    ///   - soaking: roles with backlog.
    init(policy: Policy, usable: Int, wanted: [Role: Int], soaking: Set<Role>) {
        idle = usable
        let roles = policy.rolesByPriority
        for rule in roles {
            let floor = Swift.min(rule.min, idle, rule.max ?? Int.max)
            targets[rule.role] = floor
            idle -= floor
        }
        for priority in Set(roles.map(\.priority)).sorted() {
            let tier = roles.filter { $0.priority == priority }
            share(
                tier.map { rule in
                    let goal = rule.clamp(wanted[rule.role] ?? 0)
                    return Claim(role: rule.role, weight: Swift.max(goal, 1), limit: goal)
                })
        }
        share(
            roles.filter { $0.soak > 0 && soaking.contains($0.role) }
                .map { Claim(role: $0.role, weight: $0.soak, limit: $0.max ?? Int.max) })
        if let role = policy.idle, let rule = policy[role] {
            share([Claim(role: role, weight: 1, limit: rule.max ?? Int.max)])
        }
    }

    /// What one role may get in one round of sharing.
    private struct Claim {
        var role: Role
        var weight: Int
        /// Machines, with those that the role has already.
        var limit: Int
    }

    /// Gives one machine after the other to the role with the least (2·machines + 1) / weight, and among equals to the
    /// first.
    private mutating func share(_ claims: [Claim]) {
        var held = claims.map { targets[$0.role] ?? 0 }
        while idle > 0 {
            var best: Int?
            for index in claims.indices where held[index] < claims[index].limit {
                let seats = 2 * held[index] + 1
                if let best,
                    !(seats * claims[best].weight < (2 * held[best] + 1) * claims[index].weight)
                {
                    continue
                }
                best = index
            }
            guard let best else { break }
            held[best] += 1
            idle -= 1
        }
        for (claim, count) in zip(claims, held) { targets[claim.role] = count }
    }
}
