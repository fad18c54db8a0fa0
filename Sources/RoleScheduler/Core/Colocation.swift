import Farm

/// Which roles without a member are answered by a machine that has another one, in a farm with fewer machines
/// than roles. It is a matter of answers only: nobody moves for it, and a guest goes as soon as the role has a
/// member of its own. Only machines without an agent are asked, because an agent carries one role at a time.
struct Colocation {
    /// Roles that want a floor and have nobody, and who is answered for them.
    private(set) var guests: [Role: SmurfID] = [:]

    init(_ planner: Planner) {
        guard planner.policy.colocates else { return }
        var load: [Int: Int] = [:]
        for rule in planner.rules where rule.min > 0 {
            guard planner.tally(rule.role).healthy == 0 else { continue }
            let able = planner.machines.indices.filter { place in
                let machine = planner.machines[place]
                guard case .serving = machine.record.state else { return false }
                // Pinned to one role by an operator, it is not for another.
                return !machine.rule.agent && machine.record.override == nil
                    && machine.rule.allows(rule.role) && planner.isUsable(place)
            }
            guard let place = able.min(by: { (load[$0] ?? 0, $0) < (load[$1] ?? 0, $1) }) else {
                continue
            }
            guests[rule.role] = planner.machines[place].id
            load[place, default: 0] += 1
        }
    }
}
