import Farm

/// What time alone does to machines: they join, come into service, finish draining, die and recover.
/// At most one change per machine and plan; nothing here looks at demand.
extension Planner {
    /// Falls from serving or warming, within any time, after which a machine needs an operator.
    static let fallsUntilQuarantine = 5
    /// Time in service without a fall after which earlier ones are forgotten.
    static let fallsForgotten = Duration.seconds(3600)

    mutating func live() {
        for place in machines.indices {
            expireWords(place)
            noteHealth(place)
            age(place)
        }
        let memory = Duration.seconds(600)
        state.departedSenders = state.departedSenders.filter { now.since($0.value) <= memory }
    }

    private mutating func expireWords(_ place: Int) {
        if let override = machines[place].record.override, override.until <= now {
            update(place) { record in
                record.override = nil
                record.reason = "override ended"
            }
        }
        if let cordon = machines[place].record.cordon, cordon.until <= now {
            update(place) { record in
                record.cordon = nil
                record.reason = "cordon ended"
            }
        }
    }

    private mutating func noteHealth(_ place: Int) {
        let unready = unreadySince(place)
        if unready != machines[place].record.unreadySince {
            update(place) { $0.unreadySince = unready }
        }
        let down = machines[place].isFit ? nil : machines[place].record.downSince ?? now
        if down != machines[place].record.downSince { update(place) { $0.downSince = down } }
    }

    /// Since when it has said that it is not ready for what it serves; nil when it does not say so.
    private func unreadySince(_ place: Int) -> Moment? {
        guard case .serving(let role) = machines[place].record.state, !isReady(place, role) else {
            return nil
        }
        if let since = machines[place].record.unreadySince { return since }
        // A report that says so is needed: silence is told apart by `isUp`.
        return machines[place].isUp && machines[place].report != nil ? now : nil
    }

    private mutating func age(_ place: Int) {
        let age = now.since(machines[place].record.since)
        switch machines[place].record.state {
        case .joining:
            if machines[place].isUp { change(place, to: .idle, .healthy) }
        case .warming(let role):
            warm(place, role, age)
        case .serving(let role):
            if !isKnown(role) {
                change(place, to: .draining(role), .roleGone)
            } else if isDead(place) {
                fall(place, to: .draining(role), causeOfDeath(place))
            } else if machines[place].record.falls > 0, age >= Planner.fallsForgotten {
                update(place) { $0.falls = 0 }
            }
        case .draining(let role): drain(place, role, age)
        case .idle:
            let falls = machines[place].record.falls
            if falls >= Planner.fallsUntilQuarantine {
                change(place, to: .quarantined, .fellOften(falls))
            }
        case .quarantined: break
        }
    }

    /// Into service once it is ready; not for ever on the way, because others wait for their turn.
    private mutating func warm(_ place: Int, _ role: Role, _ age: Duration) {
        guard let rule = policy[role] else { return change(place, to: .idle, .roleGone) }
        let limit = rule.warm + policy.guards.deadAfter
        if isDead(place) {
            fall(place, to: .draining(role), .dead)
        } else if machines[place].isForbidden(role) {
            change(place, to: .idle, .forbidden(role))
        } else if age >= rule.warm, isReady(place, role) {
            change(place, to: .serving(role), .ready)
        } else if age >= limit {
            fall(place, to: .idle, .neverReady(role, within: limit, machines[place].doubt))
        }
    }

    private mutating func fall(_ place: Int, to new: SmurfRecord.State, _ cause: Cause) {
        update(place) { $0.falls += 1 }
        change(place, to: new, cause)
    }

    /// Out of DNS first, then what the TTL may still bring, then the open connections or the deadline.
    private mutating func drain(_ place: Int, _ role: Role, _ age: Duration) {
        let rule = policy[role]
        let wait = rule.map { drainTime(record(place), $0) } ?? .zero
        guard age >= wait else { return }
        let connections = machines[place].isUp ? machines[place].report?.connections ?? 0 : 0
        if connections == 0 {
            change(place, to: .idle, .drained)
        } else if age >= max(rule?.drain.deadline ?? .zero, wait) {
            change(place, to: .idle, .drainDeadline(connections: connections))
        }
    }

    private func causeOfDeath(_ place: Int) -> Cause {
        guard machines[place].isUp else { return .dead }
        return machines[place].doubt.map { .doubted($0) } ?? .unready
    }

    private func isDead(_ place: Int) -> Bool {
        guard let down = machines[place].record.downSince else { return false }
        return now.since(down) >= policy.guards.deadAfter - policy.guards.downAfter
    }

    /// Whether its listeners for `role` are up: as its agent says, or as the role's check found. A machine that has
    /// neither is taken at its word.
    private func isReady(_ place: Int, _ role: Role) -> Bool {
        guard machines[place].rule.agent else {
            guard isChecked(role) else { return true }
            guard let found = machines[place].report, found.role == role else { return false }
            return found.ready
        }
        guard machines[place].isUp, let report = machines[place].report else { return false }
        return report.ready && report.role == role
    }
}
