import Farm

/// Which roles without a member are answered by a machine that has another one, in a farm with fewer machines
/// than roles. It is a matter of answers only: nobody moves for it, and a guest goes as soon as the role has a
/// member of its own. Only machines without an agent are asked, because an agent carries one role at a time.
struct Colocation {
    /// Roles that want a floor and have nobody, and who is answered for them.
    private(set) var guests: [Role: SmurfID] = [:]

    init(_ planner: Planner) {
        guard planner.policy.colocates else { return }
        var load: [SmurfID: Int] = [:]
        for rule in planner.policy.rolesByPriority where rule.min > 0 {
            guard planner.healthyServing(rule.role).isEmpty else { continue }
            let able = planner.state.ids.filter { id in
                guard case .serving? = planner.record(id)?.state else { return false }
                return !planner.member(id).agent && planner.isUsable(id)
                    && planner.member(id).allows(rule.role)
            }
            // Pinned to one role by an operator, it is not for another.
            let free = able.filter { planner.record($0)?.override == nil }
            guard let id = free.min(by: { (load[$0] ?? 0, $0) < (load[$1] ?? 0, $1) }) else {
                continue
            }
            guests[rule.role] = id
            load[id, default: 0] += 1
        }
    }
}
