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
            share(tier) { rule, seats in
                let goal = rule.clamp(wanted[rule.role] ?? 0)
                return seats < goal ? Swift.max(goal, 1) : nil
            }
        }
        share(roles.filter { $0.soak > 0 && soaking.contains($0.role) }) { rule, seats in
            seats < (rule.max ?? Int.max) ? rule.soak : nil
        }
        if let role = policy.idle, let rule = policy[role] {
            share([rule]) { rule, seats in seats < (rule.max ?? Int.max) ? 1 : nil }
        }
    }

    /// Gives one machine after the other to the role with the least (2·seats + 1) / weight.
    /// - Parameter weight: nil for a role that wants no more.
    private mutating func share(_ roles: [RolePolicy], _ weight: (RolePolicy, Int) -> Int?) {
        while idle > 0 {
            var best: (rule: RolePolicy, seats: Int, weight: Int)?
            for rule in roles {
                let held = targets[rule.role] ?? 0
                guard let weight = weight(rule, held) else { continue }
                let seats = 2 * held + 1
                if let best, !(seats * best.weight < best.seats * weight) { continue }
                best = (rule, seats, weight)
            }
            guard let best else { return }
            targets[best.rule.role, default: 0] += 1
            idle -= 1
        }
    }
}
