import Farm

/// Who may be taken for a role, and who may leave one: every question is answered with the reason against
/// it, so that what moves machines and what explains it cannot differ.
extension Planner {
    /// Why the scheduler may not count on the machine; nil when it may.
    func whyNotUsable(_ id: SmurfID) -> WhyNot? {
        guard let record = record(id) else { return .joining }
        switch record.state {
        case .joining: return .joining
        case .quarantined: return .quarantined
        case .idle, .warming, .serving, .draining: break
        }
        if record.override?.kind == .hold { return .held }
        // A cordoned machine without a role cannot take one: it is no machine to share out.
        if record.cordon != nil, record.assigned == nil { return .cordoned }
        return isFit(id, unreadySince: record.unreadySince) ? nil : .unfit
    }

    /// Why the machine may not hold the role, by policy or by operators' words; nil when it may.
    func whyNotHold(_ id: SmurfID, _ role: Role) -> WhyNot? {
        let record = record(id)
        if record?.cordon != nil, record?.assigned != role { return .cordoned }
        switch record?.override?.kind {
        case .move(let wanted): return wanted == role ? nil : .moved(wanted)
        case .hold: return .held
        case nil: break
        }
        let rules = member(id)
        if rules.allows(role) { return nil }
        return rules.pin.map { .pinned($0) } ?? .forbidden
    }

    /// Why `id` may not leave `role` of the scheduler's own will; nil when it may.
    func whyNotSpare(_ id: SmurfID, _ role: Role) -> WhyNot? {
        guard let record = record(id) else { return .joining }
        if changed.contains(id) { return .moving }
        if case .move(let wanted)? = record.override?.kind { return .moved(wanted) }
        if record.override != nil { return .held }
        if record.cordon != nil { return .cordoned }
        if let pin = member(id).pin { return .pinned(pin) }
        let target = targets[role] ?? 0
        guard assigned(role).count > target else { return .needed(role) }
        let served = now.since(record.since)
        guard served >= policy.movement.minDwell else {
            return .dwell(role, left: policy.movement.minDwell - served)
        }
        let floor = min(policy[role]?.min ?? 0, target)
        let healthy = healthyServing(role)
        let left = healthy.count - (healthy.contains(id) ? 1 : 0)
        return left >= floor ? nil : .floor(role)
    }

    /// Why `id` is not taken for `role` now; nil when it could be: idle machines at once, members of other
    /// roles after a drain.
    func whyNot(_ id: SmurfID, _ role: Role) -> WhyNot? {
        if record(id)?.assigned == role { return .member }
        if let why = whyNotUsable(id) ?? whyNotHold(id, role) { return why }
        if changed.contains(id) { return .moving }
        switch record(id)?.state {
        case .idle: return isAwaited(id) ? .awaited : nil
        case .warming(let other): return .warming(other)
        case .draining(let other): return .draining(other)
        case .serving(let other): return whyNotSpare(id, other)
        case .joining, .quarantined, nil: return .joining
        }
    }

    /// Machines that the scheduler may count on.
    func isUsable(_ id: SmurfID) -> Bool { whyNotUsable(id) == nil }

    /// Whether the machine may hold the role, by policy and by operators' words.
    func mayHold(_ id: SmurfID, _ role: Role) -> Bool { whyNotHold(id, role) == nil }

    /// Whether `id` may leave `role` of the scheduler's own will.
    func isSpare(_ id: SmurfID, _ role: Role) -> Bool { whyNotSpare(id, role) == nil }
}
