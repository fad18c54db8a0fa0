import Farm

/// From signals to how many members a role shall have: raw demand, then tolerance and windows. Growth
/// waits until demand stayed up for the up window; shrinking until it stayed down for the down window;
/// a missing signal is never zero.
struct RoleDemand {
    let policy: Policy
    let demand: Demand
    let now: Moment

    /// What one role shall have, with the way there.
    struct Outcome {
        var raw: String
        var wanted: Int
        var setpoint: Int
        var isSoaking: Bool
        /// Its sizing signals are missing or old.
        var isBlind: Bool
    }

    /// Updates `state`'s setpoints and histories.
    /// - Returns: one outcome per role of the policy.
    func stabilise(_ state: inout FarmState) -> [Role: Outcome] {
        var outcomes: [Role: Outcome] = [:]
        for rule in policy.roles {
            outcomes[rule.role] = stabilise(rule, &state)
        }
        return outcomes
    }

    private func stabilise(_ rule: RolePolicy, _ state: inout FarmState) -> Outcome {
        let role = rule.role
        let setpoint = state.setpoints[role] ?? rule.min
        guard !isBlind(rule) else { return blind(rule, setpoint, &state) }

        let (raw, text) = rawDemand(rule)
        var wanted = rule.clamp(tolerated(raw, setpoint))
        if let latency = rule.demand.latency, let seen = fresh(latency.signal),
            seen > latency.limit.inSeconds
        {
            wanted = Swift.max(wanted, rule.clamp(setpoint + 1))
        }
        var history = (state.wanted[role] ?? []) + [FarmState.Wanted(at: now, count: wanted)]
        let oldest = Swift.max(policy.movement.downWindow, policy.movement.upWindow)
        // One entry at least as old as the window stays: without it one could never know that the window was
        // watched in full, unless plans were made at exactly the right moments.
        while history.count > 1, now.since(history[1].at) >= oldest { history.removeFirst() }
        state.wanted[role] = history

        let next = settled(history, setpoint, since: history.first?.at ?? now)
        state.setpoints[role] = next
        let isSoaking = rule.demand.backlog.flatMap(fresh).map { $0 > 0 } ?? false
        if isSoaking { state.soaking.insert(role) } else { state.soaking.remove(role) }
        return Outcome(
            raw: text, wanted: wanted, setpoint: next, isSoaking: isSoaking, isBlind: false)
    }

    private func blind(
        _ rule: RolePolicy, _ setpoint: Int, _ state: inout FarmState
    ) -> Outcome {
        var held = rule.clamp(setpoint)
        if policy.onSignalLoss.mode == .fallback {
            held = Swift.max(held, rule.clamp(policy.onSignalLoss.fallback[rule.role] ?? 0))
        }
        state.setpoints[rule.role] = held
        return Outcome(
            raw: "signal missing: hold \(held)", wanted: held, setpoint: held,
            isSoaking: state.soaking.contains(rule.role), isBlind: true)
    }

    /// Grows to the least demand of the up window, shrinks to the most of the down window, and only
    /// when demand was watched for that long.
    private func settled(_ history: [FarmState.Wanted], _ setpoint: Int, since: Moment) -> Int {
        let watched = now.since(since)
        let recent = history.filter { now.since($0.at) <= policy.movement.upWindow }
        let up = recent.map(\.count).min() ?? setpoint
        if up > setpoint {
            return watched >= policy.movement.upWindow || policy.movement.upWindow == .zero
                ? up : setpoint
        }
        let past = history.filter { now.since($0.at) <= policy.movement.downWindow }
        let down = past.map(\.count).max() ?? setpoint
        return down < setpoint && watched >= policy.movement.downWindow ? down : setpoint
    }

    /// Demand within the tolerance of the setpoint is the setpoint.
    private func tolerated(_ raw: Double, _ setpoint: Int) -> Int {
        if setpoint > 0, abs(raw - Double(setpoint)) / Double(setpoint) <= policy.tolerance {
            return setpoint
        }
        return Int(Swift.min((raw - 1e-9).rounded(.up), 1e6))
    }

    /// (arrival + backlog / time) / (capacity × utilisation)
    private func rawDemand(_ rule: RolePolicy) -> (Double, String) {
        guard let capacity = rule.capacity, capacity > 0, !rule.demand.sizing.isEmpty else {
            return (Double(rule.min), "floor \(rule.min)")
        }
        let arrival = rule.demand.arrival.flatMap(fresh) ?? 0
        let backlog = rule.demand.backlog.flatMap(fresh) ?? 0
        var time = rule.demand.eta.inSeconds
        if let left = rule.demand.deadline.flatMap(fresh) { time = Swift.max(left, 60) }
        let raw = (arrival + backlog / Swift.max(time, 1)) / (capacity * rule.utilisation)
        let text =
            "(\(rounded(arrival))/s + \(rounded(backlog))/\(rounded(time))s) / "
            + "(\(rounded(capacity))/s × \(rounded(rule.utilisation))) = \(rounded(raw))"
        return (Swift.max(raw, 0), text)
    }

    private func isBlind(_ rule: RolePolicy) -> Bool {
        rule.demand.sizing.contains { fresh($0) == nil }
    }

    /// The signal's value while it is not stale.
    private func fresh(_ name: String) -> Double? {
        guard let signal = demand[name], now.since(signal.observed) <= policy.guards.signalStale
        else { return nil }
        return signal.value
    }

    private func rounded(_ value: Double) -> String {
        let tenths = (Swift.min(value, 1e12) * 10).rounded() / 10
        return tenths == tenths.rounded() ? String(Int(tenths)) : String(tenths)
    }
}
