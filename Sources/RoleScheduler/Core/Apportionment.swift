import Farm

/// Shares a number of machines out over the roles: floors in order of priority, then demand tier by
/// tier and by Webster's method inside a tier (one machine more never takes one away from a role), then
/// what is left to roles that soak, and the rest to the role that takes idle machines. It deals in counts, not in machines;
/// of these it knows which roles they may hold, so that every target can be reached.
struct Apportionment {
    private(set) var targets: [Role: Int] = [:]
    private var seats: Eligibility

    /// Machines that no role wants.
    var idle: Int { seats.free }

    /// - Parameters:
    ///   - machines: those there are to share; nobody holds any yet.
    ///   - wanted: setpoint per role.
    ///   - soaking: roles with backlog.
    init(policy: Policy, machines: Eligibility, wanted: [Role: Int], soaking: Set<Role>) {
        seats = machines
        let roles = policy.rolesByPriority
        for rule in roles {
            let floor = Swift.min(rule.min, rule.max ?? Int.max)
            var held = 0
            while held < floor, seats.take(rule.role) { held += 1 }
            targets[rule.role] = held
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
    /// first. A role that none of the machines left may hold, whoever changed places for it, gets no more.
    private mutating func share(_ claims: [Claim]) {
        var claims = claims
        var held = claims.map { targets[$0.role] ?? 0 }
        while seats.free > 0 {
            var best: Int?
            for index in claims.indices where held[index] < claims[index].limit {
                let count = 2 * held[index] + 1
                if let best,
                    !(count * claims[best].weight < (2 * held[best] + 1) * claims[index].weight)
                {
                    continue
                }
                best = index
            }
            guard let best else { break }
            if seats.take(claims[best].role) {
                held[best] += 1
            } else {
                claims[best].limit = held[best]
            }
        }
        for (claim, count) in zip(claims, held) { targets[claim.role] = count }
    }
}
