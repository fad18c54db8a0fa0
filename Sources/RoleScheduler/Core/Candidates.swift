import Farm

/// Who may be taken for a role, and who may leave one: every question is answered with the reason against
/// it, so that what moves machines and what explains it cannot differ.
extension Planner {
    /// Why the scheduler may not count on the machine; nil when it may.
    func whyNotUsable(_ place: Int) -> WhyNot? {
        switch machines[place].record.state {
        case .joining: return .joining
        case .quarantined: return .quarantined
        case .idle, .warming, .serving, .draining: break
        }
        if machines[place].record.override?.kind == .hold { return .held }
        // A cordoned machine without a role cannot take one: it is no machine to share out.
        if machines[place].record.cordon != nil, machines[place].record.assigned == nil {
            return .cordoned
        }
        if machines[place].isFit { return nil }
        return machines[place].doubt.map { .doubted($0) } ?? .unfit
    }

    /// Why the machine may not hold the role, by policy or by operators' words; nil when it may.
    func whyNotHold(_ place: Int, _ role: Role) -> WhyNot? {
        if machines[place].record.cordon != nil, machines[place].record.assigned != role {
            return .cordoned
        }
        switch machines[place].record.override?.kind {
        case .move(let wanted): return wanted == role ? nil : .moved(wanted)
        case .hold: return .held
        case nil: break
        }
        if machines[place].isFree || machines[place].rule.allows(role) { return nil }
        if let label = machines[place].rule.lacking[role] { return .lacks(label) }
        return machines[place].rule.pin.map { .pinned($0) } ?? .forbidden
    }

    /// Why the machine may not leave `role` of the scheduler's own will; nil when it may.
    func whyNotSpare(_ place: Int, _ role: Role) -> WhyNot? {
        if machines[place].hasMoved { return .moving }
        if case .move(let wanted)? = machines[place].record.override?.kind {
            return .moved(wanted)
        }
        if machines[place].record.override != nil { return .held }
        if machines[place].record.cordon != nil { return .cordoned }
        if let pin = machines[place].rule.pin { return .pinned(pin) }
        let tally = tally(role)
        guard tally.assigned > targets[role] ?? 0 else { return .needed(role) }
        let served = now.since(machines[place].record.since)
        guard served >= policy.movement.minDwell else {
            return .dwell(role, left: policy.movement.minDwell - served)
        }
        let isHealthy = machines[place].isFit && machines[place].record.state == .serving(role)
        return tally.healthy - (isHealthy ? 1 : 0) >= floor(role) ? nil : .floor(role)
    }

    /// Why the machine is not taken for `role` now; nil when it could be: idle machines at once, members of other
    /// roles after a drain.
    func whyNot(_ place: Int, _ role: Role) -> WhyNot? {
        if machines[place].record.assigned == role { return .member }
        if let why = whyNotUsable(place) ?? whyNotHold(place, role) { return why }
        if machines[place].hasMoved { return .moving }
        switch machines[place].record.state {
        case .idle: return machines[place].isAwaited ? .awaited : nil
        case .warming(let other): return .warming(other)
        case .draining(let other): return .draining(other)
        case .serving(let other): return whyNotSpare(place, other)
        case .joining, .quarantined: return .joining
        }
    }

    /// Whether it serves or warms up for `role`, and may stay.
    func isAssigned(_ place: Int, _ role: Role) -> Bool {
        machines[place].record.assigned == role && !machines[place].isForbidden(role)
    }

    /// Whether the scheduler may count on the machine.
    func isUsable(_ place: Int) -> Bool { whyNotUsable(place) == nil }

    /// Whether the machine may hold the role, by policy and by operators' words.
    func mayHold(_ place: Int, _ role: Role) -> Bool { whyNotHold(place, role) == nil }

    /// Whether the machine may leave `role` of the scheduler's own will.
    func isSpare(_ place: Int, _ role: Role) -> Bool { whyNotSpare(place, role) == nil }
}
