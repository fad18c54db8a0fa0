import Farm

/// The bounded part of a plan: which machines begin to move now. One at a time by default, most needed
/// role first, idle machines before donors, and never a role below its floor for another's sake.
extension Planner {
    mutating func move(_ outcomes: [Role: RoleDemand.Outcome]) {
        let usable = ids.filter(isUsable)
        let shares = Apportionment(
            policy: policy, usable: usable.count, wanted: outcomes.mapValues(\.setpoint),
            soaking: Set(outcomes.filter(\.value.isSoaking).keys))
        targets = shares.targets
        let isFrozen = freeze() || isSettling()
        obeyHolds()
        var budget = isFrozen ? 0 : self.budget()
        obeyMoves(&budget)
        obeyPolicy(&budget)
        fill(&budget, isFrozen)
        if !isFrozen { shrink(&budget) }
    }

    /// Too many machines lost at once look like a fault of the observer: nothing moves of its own will.
    private mutating func freeze() -> Bool {
        let known = state.smurfs.values.filter { $0.state != .joining }
        let lost = known.filter {
            guard let down = $0.downSince else { return false }
            return now.since(down) <= policy.guards.freezeWindow
        }
        let isFrozen = Double(lost.count) > policy.guards.freezeWhenLost * Double(known.count)
        if isFrozen && !known.isEmpty {
            stop = .frozen(down: lost.count, of: known.count)
            notes.append("frozen: \(lost.count) of \(known.count) machines are down at once")
        }
        return isFrozen && !known.isEmpty
    }

    /// After a restart nothing moves of its own will until everybody had the time to report.
    private mutating func isSettling() -> Bool {
        let awaited = ids.filter(isAwaited)
        guard !awaited.isEmpty else { return false }
        stop = stop ?? .starting(awaited: awaited.count)
        notes.append("just started: \(awaited.count) machines have not reported yet")
        return true
    }

    private mutating func budget() -> Int {
        if let last = state.lastMove, now.since(last) < policy.movement.gap {
            stop = .gap(left: policy.movement.gap - now.since(last))
            return 0
        }
        let moving = state.smurfs.values.filter(\.isMoving).count
        if moving >= policy.movement.maxInflight { stop = .inflight(moving) }
        return max(policy.movement.maxInflight - moving, 0)
    }

    /// Machines on hold drain at once: an operator's word needs no budget.
    private mutating func obeyHolds() {
        for id in ids where record(id)?.override?.kind == .hold && isUnmoved(id) {
            guard let role = record(id)?.assigned else { continue }
            change(id, to: .draining(role), .held(reason: record(id)?.override?.reason ?? ""))
        }
    }

    /// Machines that an operator moved go there one after the other, before demand is looked at.
    private mutating func obeyMoves(_ budget: inout Int) {
        for id in ids where budget > 0 && isUnmoved(id) && isUp(id) {
            guard let record = record(id), case .move(let role)? = record.override?.kind,
                record.cordon == nil, policy[role] != nil
            else { continue }
            let why = Cause.moved(
                by: record.override?.by ?? "", reason: record.override?.reason ?? "")
            switch record.state {
            case .idle: begin(id, .warming(role), why, &budget)
            case .serving(let held) where held != role:
                begin(id, .draining(held), why, &budget)
            default: break
            }
        }
    }

    /// Machines whose role the policy has come to forbid leave it one after the other: as soon as the
    /// role keeps its floor without them, or at once when nobody could take over.
    private mutating func obeyPolicy(_ budget: inout Int) {
        for id in ids where budget > 0 && isUnmoved(id) {
            guard case .serving(let role)? = record(id)?.state, isForbidden(id, role),
                let rule = policy[role]
            else { continue }
            let others = healthyServing(role).filter { !isForbidden($0, role) }
            let floor = min(rule.min, targets[role] ?? 0)
            guard others.count >= floor || !hasSuccessor(rule) else { continue }
            begin(id, .draining(role), .forbidden(role), &budget)
        }
    }

    /// Whether somebody is on the way to the role, or can be sent there without taking it from another
    /// role that needs it.
    private func hasSuccessor(_ rule: RolePolicy) -> Bool {
        let isComing = ids.contains { id in
            switch record(id)?.state {
            case .warming(let role)?: role == rule.role && !isForbidden(id, role)
            case .idle?, .draining?: isUsable(id) && mayHold(id, rule.role)
            default: false
            }
        }
        return isComing || donor(for: rule) != nil
    }

    private mutating func begin(
        _ id: SmurfID, _ new: SmurfRecord.State, _ cause: Cause, _ budget: inout Int
    ) {
        // Down, and given up before it counted as dead: a fall all the same.
        if case .serving? = record(id)?.state, !isFit(id) { state.smurfs[id]?.falls += 1 }
        change(id, to: new, cause)
        state.lastMove = now
        budget -= 1
    }

    /// A machine that changed in this plan stays as it is until the next.
    private func isUnmoved(_ id: SmurfID) -> Bool { !changed.contains(id) }

    private mutating func fill(_ budget: inout Int, _ isFrozen: Bool) {
        let unproven = unprovenRoles()
        var emergencyLeft = state.lastMove.map { $0 < now } ?? true
        var given = Set<Role>()
        while true {
            let needy = policy.rolesByPriority.filter {
                isShort($0) && !given.contains($0.role)
                    && (!unproven.contains($0.role) || isStarving($0))
            }
            let starving = needy.filter { isStarving($0) }
            if budget <= 0 {
                guard emergencyLeft, let rule = starving.first else { break }
                emergencyLeft = false
                var one = 1
                if !help(rule, &one, isStarving: true, isEmergency: true) {
                    given.insert(rule.role)
                }
                continue
            }
            guard let rule = starving.first ?? neediest(needy) else { break }
            if !help(rule, &budget, isStarving: !starving.isEmpty, isEmergency: isFrozen) {
                given.insert(rule.role)
            }
        }
    }

    private func isShort(_ rule: RolePolicy) -> Bool {
        assigned(rule.role).count < targets[rule.role] ?? 0
    }

    /// Roles whose first machine of the present series has not served for long enough. A series lasts while the
    /// role is short; when its first machine falls, the next one is the first.
    private mutating func unprovenRoles() -> Set<Role> {
        var unproven = Set<Role>()
        for rule in policy.roles {
            guard rule.canary > .zero, isShort(rule), let first = state.canaries[rule.role],
                let record = record(first), record.assigned == rule.role
            else {
                state.canaries[rule.role] = nil
                continue
            }
            let served = record.state == .serving(rule.role) ? now.since(record.since) : .zero
            guard served < rule.canary || !isFit(first) else { continue }
            unproven.insert(rule.role)
            blocked[rule.role] = .canary(first, left: max(rule.canary - served, .zero))
        }
        return unproven
    }

    /// A role below its floor counted in members that really serve, with nobody on the way.
    private func isStarving(_ rule: RolePolicy) -> Bool {
        let floor = min(rule.min, targets[rule.role] ?? 0)
        return healthyServing(rule.role).count < floor
            && assigned(rule.role).filter(isFit).count < floor
    }

    private func neediest(_ rules: [RolePolicy]) -> RolePolicy? {
        rules.min { left, right in
            func key(_ rule: RolePolicy) -> (Int, Double, Role) {
                let fill =
                    Double(assigned(rule.role).count) / Double(max(targets[rule.role] ?? 0, 1))
                return (rule.priority, fill, rule.role)
            }
            return key(left) < key(right)
        }
    }

    /// Gives `rule` one machine: an idle one, or begins to take one from a role that has too many.
    /// - Returns: false when there is none; then nothing has changed.
    private mutating func help(
        _ rule: RolePolicy, _ budget: inout Int, isStarving: Bool, isEmergency: Bool
    ) -> Bool {
        let needy = rule.role
        let idle = ids.filter { record($0)?.state == .idle && whyNot($0, needy) == nil }
        if let id = idle.min(by: { rank($0, needy) < rank($1, needy) }) {
            begin(id, .warming(needy), isStarving ? .floor(needy) : .demand(needy), &budget)
            if rule.canary > .zero { state.canaries[needy] = state.canaries[needy] ?? id }
            return true
        }
        // Those on their way out of another role will be idle soon, and who became idle in this plan is taken in the
        // next: do not empty a second one, which would use up the movement for the length of a drain.
        let coming = ids.contains { id in
            switch record(id)?.state {
            case .draining?: isUsable(id) && mayHold(id, needy)
            case .idle?: changed.contains(id) && isUsable(id) && mayHold(id, needy)
            default: false
            }
        }
        guard !coming else {
            blocked[needy] = .drain
            return false
        }
        guard !isEmergency || healthyServing(needy).isEmpty, let id = donor(for: rule) else {
            blocked[needy] = blocked[needy] ?? .noMachine
            return false
        }
        if case .serving(let giver)? = record(id)?.state {
            let cause: Cause =
                isStarving
                ? .takenForFloor(needy, from: giver) : .takenForDemand(needy, from: giver)
            begin(id, .draining(giver), cause, &budget)
        }
        return true
    }

    private func rank(_ id: SmurfID, _ role: Role) -> (Int, Int, SmurfID) {
        (member(id).pin == role ? 0 : 1, record(id)?.falls ?? 0, id)
    }

    private func donor(for rule: RolePolicy) -> SmurfID? {
        let candidates = ids.filter { id in
            guard case .serving(let role)? = record(id)?.state, role != rule.role else {
                return false
            }
            return whyNot(id, rule.role) == nil
        }
        func key(_ id: SmurfID) -> (Int, Int, SmurfID) {
            guard let role = record(id)?.role else { return (0, 0, id) }
            let surplus = assigned(role).count - (targets[role] ?? 0)
            return (-surplus, health[id]?.connections ?? 0, id)
        }
        return candidates.min { key($0) < key($1) }
    }

    /// Nobody is short: what is above target goes idle, the least important role first.
    private mutating func shrink(_ budget: inout Int) {
        let isShort = policy.roles.contains { assigned($0.role).count < targets[$0.role] ?? 0 }
        guard !isShort else { return }
        for rule in policy.rolesByPriority.reversed() where budget > 0 {
            let spare = assigned(rule.role).filter {
                record($0)?.state == .serving(rule.role) && isSpare($0, rule.role)
            }
            let least = spare.min {
                (health[$0]?.connections ?? 0, $0) < (health[$1]?.connections ?? 0, $1)
            }
            if let id = least {
                begin(id, .draining(rule.role), .surplus(rule.role), &budget)
            }
        }
    }
}
