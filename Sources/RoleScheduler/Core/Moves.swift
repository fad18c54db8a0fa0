import Farm

/// The bounded part of a plan: which machines begin to move now. One at a time by default, most needed
/// role first, idle machines before donors, and never a role below its floor for another's sake.
extension Planner {
    mutating func move(_ outcomes: [Role: RoleDemand.Outcome]) {
        let shares = Apportionment(
            policy: policy, machines: eligible(), wanted: outcomes.mapValues(\.setpoint),
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

    /// The machines that the scheduler may count on, by the roles that they may hold.
    private func eligible() -> Eligibility {
        var eligible = Eligibility(policy.roles.map(\.role))
        var unbound = 0
        for place in machines.indices where isUsable(place) {
            if machines[place].isUnbound {
                unbound += 1
            } else {
                eligible.add { role in mayHold(place, role) }
            }
        }
        eligible.add(unbound) { _ in true }
        return eligible
    }

    /// Too many machines lost at once look like a fault of the observer: nothing moves of its own will.
    private mutating func freeze() -> Bool {
        var (known, lost) = (0, 0)
        for place in machines.indices where machines[place].record.state != .joining {
            known += 1
            guard let down = machines[place].record.downSince else { continue }
            if now.since(down) <= policy.guards.freezeWindow { lost += 1 }
        }
        guard known > 0, Double(lost) > policy.guards.freezeWhenLost * Double(known) else {
            return false
        }
        stop = .frozen(down: lost, of: known)
        notes.append("frozen: \(lost) of \(known) machines are down at once")
        return true
    }

    /// After a restart nothing moves of its own will until everybody had the time to report.
    private mutating func isSettling() -> Bool {
        let awaited = machines.indices.count { machines[$0].isAwaited }
        guard awaited > 0 else { return false }
        stop = stop ?? .starting(awaited: awaited)
        notes.append("just started: \(awaited) machines have not reported yet")
        return true
    }

    private mutating func budget() -> Int {
        if let last = state.lastMove, now.since(last) < policy.movement.gap {
            stop = .gap(left: policy.movement.gap - now.since(last))
            return 0
        }
        if moving >= policy.movement.maxInflight { stop = .inflight(moving) }
        return max(policy.movement.maxInflight - moving, 0)
    }

    /// Machines on hold drain at once: an operator's word needs no budget.
    private mutating func obeyHolds() {
        for place in machines.indices where !machines[place].hasMoved {
            guard let word = machines[place].record.override, word.kind == .hold,
                let role = machines[place].record.assigned
            else { continue }
            change(place, to: .draining(role), .held(reason: word.reason))
        }
    }

    /// Machines that an operator moved go there one after the other, before demand is looked at.
    private mutating func obeyMoves(_ budget: inout Int) {
        for place in machines.indices where budget > 0 && !machines[place].hasMoved {
            guard let word = machines[place].record.override, case .move(let role) = word.kind,
                machines[place].isUp, machines[place].record.cordon == nil, isKnown(role)
            else { continue }
            let why = Cause.moved(by: word.by, reason: word.reason)
            switch machines[place].record.state {
            case .idle: begin(place, .warming(role), why, &budget)
            case .serving(let held) where held != role:
                begin(place, .draining(held), why, &budget)
            default: break
            }
        }
    }

    /// Machines whose role the policy has come to forbid leave it one after the other: as soon as the
    /// role keeps its floor without them, or at once when nobody could take over.
    private mutating func obeyPolicy(_ budget: inout Int) {
        var successors: [Role: Bool] = [:]
        for place in machines.indices
        where budget > 0 && !machines[place].isFree && !machines[place].hasMoved {
            guard case .serving(let role) = machines[place].record.state,
                machines[place].isForbidden(role), let rule = policy[role]
            else { continue }
            if tally(role).lasting < floor(role) {
                let isAwaited = successors[role] ?? hasSuccessor(rule)
                successors[role] = isAwaited
                if isAwaited { continue }
            }
            begin(place, .draining(role), .forbidden(role), &budget)
            successors = [:]
        }
    }

    /// Whether somebody is on the way to the role, or can be sent there without taking it from another
    /// role that needs it.
    private func hasSuccessor(_ rule: RolePolicy) -> Bool {
        let isComing = machines.indices.contains { place in
            switch machines[place].record.state {
            case .warming(let role): role == rule.role && !machines[place].isForbidden(role)
            case .idle, .draining: isUsable(place) && mayHold(place, rule.role)
            default: false
            }
        }
        return isComing || donor(for: rule) != nil
    }

    private mutating func begin(
        _ place: Int, _ new: SmurfRecord.State, _ cause: Cause, _ budget: inout Int
    ) {
        // Down, and given up before it counted as dead: a fall all the same.
        if case .serving = machines[place].record.state, !isFit(place) {
            update(place) { $0.falls += 1 }
        }
        change(place, to: new, cause)
        state.lastMove = now
        budget -= 1
    }

    private mutating func fill(_ budget: inout Int, _ isFrozen: Bool) {
        let unproven = unprovenRoles()
        var emergencyLeft = state.lastMove.map { $0 < now } ?? true
        var given = Set<Role>()
        var coming = Coming(self)
        while true {
            let needy = rules.filter {
                isShort($0) && !given.contains($0.role)
                    && (!unproven.contains($0.role) || isStarving($0))
            }
            let starving = needy.filter { isStarving($0) }
            if budget <= 0 {
                guard emergencyLeft, let rule = starving.first else { break }
                emergencyLeft = false
                var one = 1
                if !help(rule, &one, &coming, isStarving: true, isEmergency: true) {
                    given.insert(rule.role)
                }
                continue
            }
            guard let rule = starving.first ?? neediest(needy) else { break }
            if !help(
                rule, &budget, &coming, isStarving: !starving.isEmpty, isEmergency: isFrozen)
            {
                given.insert(rule.role)
            }
        }
    }

    private func isShort(_ rule: RolePolicy) -> Bool {
        tally(rule.role).assigned < targets[rule.role] ?? 0
    }

    /// Roles whose first machine of the present series has not served for long enough. A series lasts while the
    /// role is short; when its first machine falls, the next one is the first.
    private mutating func unprovenRoles() -> Set<Role> {
        var unproven = Set<Role>()
        for rule in policy.roles {
            guard rule.canary > .zero, isShort(rule), let first = state.canaries[rule.role],
                let place = place(of: first), machines[place].record.assigned == rule.role
            else {
                state.canaries[rule.role] = nil
                continue
            }
            let record = record(place)
            let served = record.state == .serving(rule.role) ? now.since(record.since) : .zero
            guard served < rule.canary || !isFit(place) else { continue }
            unproven.insert(rule.role)
            blocked[rule.role] = .canary(first, left: max(rule.canary - served, .zero))
        }
        return unproven
    }

    /// A role below its floor counted in members that really serve, with nobody on the way.
    private func isStarving(_ rule: RolePolicy) -> Bool {
        let (tally, floor) = (tally(rule.role), floor(rule.role))
        return tally.healthy < floor && tally.fit < floor
    }

    private func neediest(_ rules: [RolePolicy]) -> RolePolicy? {
        rules.min { left, right in
            func key(_ rule: RolePolicy) -> (Int, Double, Role) {
                let fill =
                    Double(tally(rule.role).assigned) / Double(max(targets[rule.role] ?? 0, 1))
                return (rule.priority, fill, rule.role)
            }
            return key(left) < key(right)
        }
    }

    /// Gives `rule` one machine: an idle one, or counts on one that will soon be idle, or begins to take one from a role
    /// that has too many.
    /// - Returns: whether it needs another one and may get it: false also when there is none.
    private mutating func help(
        _ rule: RolePolicy, _ budget: inout Int, _ coming: inout Coming, isStarving: Bool,
        isEmergency: Bool
    ) -> Bool {
        let needy = rule.role
        if let place = idle(for: needy) {
            begin(place, .warming(needy), isStarving ? .floor(needy) : .demand(needy), &budget)
            guard rule.canary > .zero, state.canaries[needy] == nil else { return true }
            state.canaries[needy] = machines[place].id
            return false
        }
        // Nobody is emptied for a member that is on its way: that would use up the movement for the length of a drain.
        if let place = coming.take(for: needy, self, isShared: isEmergency) {
            blocked[needy] = .drain
            // Who is idle by now moves in the next plan.
            if machines[place].record.state == .idle { budget -= 1 }
            return !isEmergency && needsMore(rule, coming)
        }
        let mayTake = !isEmergency || tally(needy).healthy == 0
        var asked: Set<Role> = []
        if mayTake, take(from: donor(for: rule), for: needy, isStarving, &budget, &coming) {
            return needsMore(rule, coming)
        }
        if mayTake, replace(for: rule, &asked, isStarving, &budget, &coming) { return true }
        blocked[needy] = blocked[needy] ?? .noMachine
        return false
    }

    /// Whether those that it has and those that come for it are too few. Until the first of a series has proved itself,
    /// no other comes.
    private func needsMore(_ rule: RolePolicy, _ coming: Coming) -> Bool {
        guard rule.canary == .zero || state.canaries[rule.role] != nil else { return false }
        return tally(rule.role).assigned + coming.count(for: rule.role) < targets[rule.role] ?? 0
    }

    private mutating func take(
        from donor: Int?, for needy: Role, _ isStarving: Bool, _ budget: inout Int,
        _ coming: inout Coming
    ) -> Bool {
        guard let donor, case .serving(let giver) = machines[donor].record.state else {
            return false
        }
        begin(
            donor, .draining(giver),
            isStarving ? .takenForFloor(needy, from: giver) : .takenForDemand(needy, from: giver),
            &budget)
        coming.add(donor, for: needy)
        return true
    }

    /// Nobody who may hold the role is free, but a role that has such machines can have others: it is given one of
    /// those first, and has one too many then.
    /// - Parameter asked: roles that are not to be asked again.
    private mutating func replace(
        for rule: RolePolicy, _ asked: inout Set<Role>, _ isStarving: Bool, _ budget: inout Int,
        _ coming: inout Coming
    ) -> Bool {
        asked.insert(rule.role)
        let givers = rules.filter { giver in
            !asked.contains(giver.role)
                && machines.indices.contains {
                    isAssigned($0, giver.role) && mayHold($0, rule.role)
                }
        }
        // One of them has its replacement, and cannot let the other go yet.
        if givers.contains(where: { tally($0.role).assigned > targets[$0.role] ?? 0 }) {
            blocked[rule.role] = .drain
            return false
        }
        for giver in givers {
            if let place = idle(for: giver.role) {
                begin(
                    place, .warming(giver.role),
                    .replacement(in: giver.role, for: rule.role, isFloor: isStarving), &budget)
                return true
            }
            guard !coming.has(for: giver.role, self) else { continue }
            if take(from: donor(for: giver), for: giver.role, isStarving, &budget, &coming) {
                return true
            }
            if replace(for: giver, &asked, isStarving, &budget, &coming) { return true }
        }
        return false
    }

    /// The idle machine that is best taken for `role`; of equals the first.
    private func idle(for role: Role) -> Int? {
        func rank(_ place: Int) -> (Int, Double, Int, Int) {
            (
                machines[place].rule.pin == role ? 0 : 1, -machines[place].rule.capacity,
                machines[place].record.falls, place
            )
        }
        return machines.indices.lazy
            .filter { machines[$0].record.state == .idle && whyNot($0, role) == nil }
            .min { rank($0) < rank($1) }
    }

    /// The member of another role that is best taken from it for `rule`; of equals the first. What is counted of roles is
    /// counted once, and only who would be the best so far is asked whether it may leave: several are looked for in one plan.
    private func donor(for rule: RolePolicy) -> Int? {
        let givers = rules.compactMap { giver -> (role: Role, surplus: Int)? in
            let surplus = tally(giver.role).assigned - (targets[giver.role] ?? 0)
            return surplus > 0 && giver.role != rule.role ? (giver.role, surplus) : nil
        }
        guard !givers.isEmpty else { return nil }
        var best: (Int, Int, Double, Int)?
        for place in machines.indices {
            guard case .serving(let role) = machines[place].record.state,
                let giver = givers.first(where: { $0.role == role })
            else { continue }
            let rank = (
                -giver.surplus, machines[place].report?.connections ?? 0,
                machines[place].rule.capacity, place
            )
            if let best, best < rank { continue }
            if whyNot(place, rule.role) == nil { best = rank }
        }
        return best?.3
    }

    /// Nobody is short: what is above target goes idle, the least important role first.
    private mutating func shrink(_ budget: inout Int) {
        guard !rules.contains(where: isShort) else { return }
        for rule in rules.reversed() where budget > 0 {
            guard let place = spare(of: rule.role) else { continue }
            // What is held against it is why it is this one.
            let doubt = isFit(place) ? nil : machines[place].doubt
            let cause = doubt.map { Cause.doubted($0) } ?? .surplus(rule.role)
            begin(place, .draining(rule.role), cause, &budget)
        }
    }

    /// The member that a role with too many best goes without: one that is of no use, if there is any; of equals the first.
    private func spare(of role: Role) -> Int? {
        func rank(_ place: Int) -> (Int, Double, Int, Int) {
            (
                isFit(place) ? 1 : 0, machines[place].rule.capacity,
                machines[place].report?.connections ?? 0, place
            )
        }
        return machines.indices.lazy
            .filter { place in
                machines[place].record.state == .serving(role) && isAssigned(place, role)
                    && isSpare(place, role)
            }
            .min { rank($0) < rank($1) }
    }
}
