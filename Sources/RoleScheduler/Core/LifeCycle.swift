import Farm

/// What time alone does to machines: they join, come into service, finish draining, die and recover.
/// At most one change per machine and plan; nothing here looks at demand.
extension Planner {
    /// Falls from serving or warming, within any time, after which a machine needs an operator.
    static let fallsUntilQuarantine = 5
    /// Time in service without a fall after which earlier ones are forgotten.
    static let fallsForgotten = Duration.seconds(3600)

    mutating func live() {
        for id in ids {
            expireWords(id)
            noteHealth(id)
            age(id)
        }
        let memory = Duration.seconds(600)
        state.departedSenders = state.departedSenders.filter { now.since($0.value) <= memory }
    }

    private mutating func expireWords(_ id: SmurfID) {
        if let override = record(id)?.override, override.until <= now {
            state.smurfs[id]?.override = nil
            state.smurfs[id]?.reason = "override ended"
        }
        if let cordon = record(id)?.cordon, cordon.until <= now {
            state.smurfs[id]?.cordon = nil
            state.smurfs[id]?.reason = "cordon ended"
        }
    }

    private mutating func noteHealth(_ id: SmurfID) {
        guard var record = record(id) else { return }
        let before = (record.unreadySince, record.downSince)
        if case .serving(let role) = record.state, !isReady(id, role) {
            // A report that says so is needed: silence is told apart by `isUp`.
            if isUp(id), health[id] != nil, record.unreadySince == nil { record.unreadySince = now }
        } else {
            record.unreadySince = nil
        }
        if isFit(id, unreadySince: record.unreadySince) {
            record.downSince = nil
        } else if record.downSince == nil {
            record.downSince = now
        }
        guard before != (record.unreadySince, record.downSince) else { return }
        state.smurfs[id] = record
    }

    private mutating func age(_ id: SmurfID) {
        guard let record = record(id) else { return }
        let age = now.since(record.since)
        switch record.state {
        case .joining:
            if isUp(id) { change(id, to: .idle, .healthy) }
        case .warming(let role):
            warm(id, role, age)
        case .serving(let role):
            if policy[role] == nil {
                change(id, to: .draining(role), .roleGone)
            } else if isDead(record) {
                fall(id, to: .draining(role), isUp(id) ? .unready : .dead)
            } else if record.falls > 0, age >= Planner.fallsForgotten {
                state.smurfs[id]?.falls = 0
            }
        case .draining(let role): drain(id, role, age)
        case .idle:
            if record.falls >= Planner.fallsUntilQuarantine {
                change(id, to: .quarantined, .fellOften(record.falls))
            }
        case .quarantined: break
        }
    }

    /// Into service once it is ready; not for ever on the way, because others wait for their turn.
    private mutating func warm(_ id: SmurfID, _ role: Role, _ age: Duration) {
        guard let rule = policy[role] else { return change(id, to: .idle, .roleGone) }
        let limit = rule.warm + policy.guards.deadAfter
        if let record = record(id), isDead(record) {
            fall(id, to: .draining(role), .dead)
        } else if isForbidden(id, role) {
            change(id, to: .idle, .forbidden(role))
        } else if age >= rule.warm, isReady(id, role) {
            change(id, to: .serving(role), .ready)
        } else if age >= limit {
            fall(id, to: .idle, .neverReady(role, within: limit))
        }
    }

    private mutating func fall(_ id: SmurfID, to new: SmurfRecord.State, _ cause: Cause) {
        state.smurfs[id]?.falls += 1
        change(id, to: new, cause)
    }

    /// Out of DNS first, then what the TTL may still bring, then the open connections or the deadline.
    private mutating func drain(_ id: SmurfID, _ role: Role, _ age: Duration) {
        let rule = policy[role]
        let wait = rule.flatMap { rule in record(id).map { drainTime($0, rule) } } ?? .zero
        guard age >= wait else { return }
        let connections = isUp(id) ? health[id]?.connections ?? 0 : 0
        if connections == 0 {
            change(id, to: .idle, .drained)
        } else if age >= max(rule?.drain.deadline ?? .zero, wait) {
            change(id, to: .idle, .drainDeadline(connections: connections))
        }
    }

    private func isDead(_ record: SmurfRecord) -> Bool {
        guard let down = record.downSince else { return false }
        return now.since(down) >= policy.guards.deadAfter - policy.guards.downAfter
    }

    /// Whether its listeners for `role` are up: as its agent says, or as the role's check found. A machine that has
    /// neither is taken at its word.
    private func isReady(_ id: SmurfID, _ role: Role) -> Bool {
        guard member(id).agent else {
            guard policy[role]?.check != nil else { return true }
            guard let found = health[id], found.role == role else { return false }
            return found.ready
        }
        guard isUp(id), let report = health[id] else { return false }
        return report.ready && report.role == role
    }
}
