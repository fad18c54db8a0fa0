import Farm

/// From signals to how many members a role shall have: raw demand, then tolerance and windows. Growth
/// waits until demand was up for most of the up window; shrinking until it stayed down for the down window;
/// a missing signal is never zero: it bars shrinking and nothing else.
struct RoleDemand {
    let policy: Policy
    let demand: Demand
    let now: Moment
    /// Members of roles with a latency that are fit, and have been answered for so long that all who ask may know them.
    let known: [Role: Int]
    /// Machines that can be counted on.
    let usable: Int
    /// What the average member does of its role's capacity; 1 where nothing is said.
    let strength: [Role: Double]

    /// What one role shall have, with the way there.
    struct Outcome {
        var raw: RawDemand
        var wanted: Int
        var setpoint: Int
        var isSoaking: Bool
        /// Why the setpoint is this number.
        var bound: Bound
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
        var rule = rule
        rule.capacity = rule.capacity.map { $0 * (strength[role] ?? 1) }
        rule = measured(rule, &state)
        let setpoint = state.setpoints[role] ?? rule.min
        let raw = rawDemand(
            rule, predicted: predicted(rule, &state), measured: state.measured[role]?.rate)
        var (wanted, bound) = bounded(raw, setpoint, rule)
        func raise(_ count: Int, _ why: Bound) {
            guard rule.clamp(count) > wanted else { return }
            (wanted, bound) = (rule.clamp(count), why)
        }
        raise(unsaturated(rule), .saturation)
        raise(Int((rule.share * Double(usable)).rounded()), .shareOfFarm(rule.share))
        if let latency = rule.demand.latency, let seen = fresh(latency.signal),
            seen > latency.limit.inSeconds
        {
            // One more than are known: who is on the way, or in few caches yet, cannot have helped, and must not be
            // ordered twice.
            raise(
                max(min(setpoint, known[role] ?? 0) + 1, setpoint),
                .latency(signal: latency.signal))
        }
        // What is not known can only be more: the rest of the demand may let the role grow, and the
        // place it has in the history keeps it from shrinking soon after the signal came back.
        let isBlind = !raw.missing.isEmpty
        if isBlind { raise(setpoint, .signalLoss) }
        let blindSince = isBlind ? state.blindSince[role] ?? now : nil
        state.blindSince[role] = blindSince
        let held = held(rule, setpoint, for: blindSince.map { now.since($0) } ?? .zero)
        let history = noted(wanted, role, &state)
        var next = settled(history, setpoint)
        if next != wanted { bound = window(history, next, wanted) }
        if isBlind, next <= held.count { (next, bound) = held }
        state.setpoints[role] = next
        return Outcome(
            raw: raw, wanted: wanted, setpoint: next, isSoaking: isSoaking(rule, &state),
            bound: bound)
    }

    /// Demand by the formula within tolerance, floor and ceiling, and which of them made it what it is.
    private func bounded(
        _ raw: RawDemand, _ setpoint: Int, _ rule: RolePolicy
    ) -> (Int, Bound) {
        let free = tolerated(raw.members, setpoint)
        let count = rule.clamp(free)
        guard rule.isSized else { return (count, .minimum) }
        if count != free { return (count, count < free ? .maximum : .minimum) }
        if free != whole(raw.members) { return (count, .tolerance) }
        return (count, raw.formula?.predicted == nil ? .demand : .prediction)
    }

    /// The role with the capacity that its members show, as far as the policy lets it count. A rate tells what they can do
    /// only while work waits for them.
    private func measured(_ rule: RolePolicy, _ state: inout FarmState) -> RolePolicy {
        guard rule.measuredWithin > 0, let usual = rule.capacity,
            let backlog = rule.demand.backlog
        else {
            state.measured[rule.role] = nil
            return rule
        }
        let start = FarmState.Measured(rate: usual, at: now)
        var measured = state.measured[rule.role] ?? start
        if let rate = fresh(rule.rateSignal), rate > 0, fresh(backlog) ?? 0 > 0 {
            measured = measured.following(rate, at: now)
        } else {
            measured.at = now
        }
        state.measured[rule.role] = measured
        var rule = rule
        let least = usual * (1 - rule.measuredWithin)
        rule.capacity = Swift.max(
            Swift.min(measured.rate, usual * (1 + rule.measuredWithin)), least, usual / 100)
        return rule
    }

    /// Arrivals per second to be ready for by what was sent; nil when the role has no prediction.
    private func predicted(_ rule: RolePolicy, _ state: inout FarmState) -> Double? {
        guard let predict = rule.demand.predict else {
            state.forecasts[rule.role] = nil
            return nil
        }
        var forecast = state.forecasts[rule.role] ?? Forecast()
        forecast.step(
            predict, sent: fresh(predict.from), arrival: rule.demand.arrival.flatMap(fresh),
            at: now)
        state.forecasts[rule.role] = forecast
        return forecast.arrival(predict, at: now)
    }

    /// What the windows still wait for.
    private func window(_ history: [FarmState.Wanted], _ setpoint: Int, _ wanted: Int) -> Bound {
        let movement = policy.movement
        if wanted > setpoint {
            let recent = history.filter { now.since($0.at) <= movement.upWindow }
            let above = recent.filter { $0.count > setpoint }
            return .upWindow(share: Double(above.count) / Double(max(recent.count, 1)))
        }
        let last = history.last { $0.most >= setpoint }?.at ?? history.first?.at ?? now
        return .downWindow(left: max(movement.downWindow - now.since(last), .zero))
    }

    /// The least that a role keeps while one of its signals is missing.
    private func held(
        _ rule: RolePolicy, _ setpoint: Int, for blind: Duration
    ) -> (count: Int, bound: Bound) {
        let kept = rule.clamp(setpoint)
        guard policy.onSignalLoss.mode == .fallback, blind >= policy.onSignalLoss.after,
            let fallback = policy.onSignalLoss.fallback[rule.role], fallback >= kept
        else { return (kept, .signalLoss) }
        return (rule.clamp(fallback), .fallback)
    }

    /// The role's history with `wanted` as its newest entry, as long as the windows.
    private func noted(
        _ wanted: Int, _ role: Role, _ state: inout FarmState
    ) -> [FarmState.Wanted] {
        var history = state.wanted[role] ?? []
        // One entry per moment: what is looked at twice must not count twice.
        if history.last?.at == now { history.removeLast() }
        history.append(FarmState.Wanted(at: now, count: wanted))
        history = thinned(history)
        let oldest = Swift.max(policy.movement.downWindow, policy.movement.upWindow)
        // One entry at least as old as the window stays: without it one could never know that the window was
        // watched in full, unless plans were made at exactly the right moments.
        while history.count > 1, now.since(history[1].at) >= oldest { history.removeFirst() }
        state.wanted[role] = history
        return history
    }

    /// At most 32 measurements in the up window and 64 older ones in the down window: plans are made many times a
    /// second, and all of it is saved with every move. The most that was asked for stays.
    private func thinned(_ history: [FarmState.Wanted]) -> [FarmState.Wanted] {
        let fine = (policy.movement.upWindow / 32).clampedNanoseconds
        let coarse = Swift.max((policy.movement.downWindow / 64).clampedNanoseconds, fine)
        var thinned: [FarmState.Wanted] = []
        for entry in history {
            let slot = now.since(entry.at) > policy.movement.upWindow ? coarse : fine
            if let last = thinned.last, slot > 0,
                last.at.nanoseconds / slot == entry.at.nanoseconds / slot
            {
                thinned[thinned.count - 1] = last.followed(by: entry)
            } else {
                thinned.append(entry)
            }
        }
        return thinned
    }

    /// Whether there is backlog; while nobody knows, whether there was.
    private func isSoaking(_ rule: RolePolicy, _ state: inout FarmState) -> Bool {
        guard let signal = rule.demand.backlog else {
            state.soaking.remove(rule.role)
            return false
        }
        guard let backlog = fresh(signal) else { return state.soaking.contains(rule.role) }
        if backlog > 0 { state.soaking.insert(rule.role) } else { state.soaking.remove(rule.role) }
        return backlog > 0
    }

    /// Grows to the median demand of the up window, shrinks to the most of the down window, and only
    /// when demand was watched for that long. The least demand of the up window would hide a role that is at
    /// its limit as soon as single numbers are off by more than a few percent; a mean would follow one absurd
    /// number. The median of whole counts is the count of the median, so that rounding up adds nothing to it.
    private func settled(_ history: [FarmState.Wanted], _ setpoint: Int) -> Int {
        let watched = now.since(history.first?.at ?? now)
        let recent = history.filter { now.since($0.at) <= policy.movement.upWindow }
            .map(\.count).sorted()
        // The lower of the two in the middle.
        let up = recent.isEmpty ? setpoint : recent[(recent.count - 1) / 2]
        if up > setpoint {
            return watched >= policy.movement.upWindow || policy.movement.upWindow == .zero
                ? up : setpoint
        }
        let past = history.filter { now.since($0.at) <= policy.movement.downWindow }
        let down = past.map(\.most).max() ?? setpoint
        return down < setpoint && watched >= policy.movement.downWindow ? down : setpoint
    }

    /// Demand within the tolerance of the setpoint is the setpoint.
    private func tolerated(_ raw: Double, _ setpoint: Int) -> Int {
        if setpoint > 0, abs(raw - Double(setpoint)) / Double(setpoint) <= policy.tolerance {
            return setpoint
        }
        return whole(raw)
    }

    private func whole(_ members: Double) -> Int {
        Int(Swift.min((members - 1e-9).rounded(.up), 1e6))
    }

    /// (arrival + backlog / time) / (capacity × utilisation), of the signals that are known.
    private func rawDemand(
        _ rule: RolePolicy, predicted: Double?, measured: Double?
    ) -> RawDemand {
        let missing = rule.demand.sizing.filter { fresh($0) == nil }
        guard rule.isSized, let capacity = rule.capacity else {
            return RawDemand(formula: nil, missing: missing, members: Double(rule.min))
        }
        guard missing.count < rule.demand.sizing.count else {
            return RawDemand(formula: nil, missing: missing, members: 0)
        }
        var time = rule.demand.eta.inSeconds
        if let left = rule.demand.deadline.flatMap(fresh) { time = Swift.max(left, 60) }
        var formula = RawDemand.Formula(
            arrival: rule.demand.arrival.flatMap(fresh) ?? 0,
            backlog: rule.demand.backlog.flatMap(fresh) ?? 0, seconds: Swift.max(time, 1),
            capacity: capacity, utilisation: rule.utilisation)
        formula.measured = measured
        formula.predicted = predicted.flatMap { $0 > formula.arrival ? $0 : nil }
        return RawDemand(formula: formula, missing: missing, members: formula.members)
    }

    /// The fewest members that need at most 95 % of their capacity for what arrives, or the planned share
    /// of it if that is more (100 % is an operator's word that the number is exact). Arrivals are counted
    /// behind the members that take them: at their limit they only say that there is more, and a tolerance
    /// that swallowed that would leave the role as it is for as long as work piles up.
    private func unsaturated(_ rule: RolePolicy) -> Int {
        guard let capacity = rule.capacity, capacity > 0,
            let arrival = rule.demand.arrival.flatMap(fresh)
        else { return 0 }
        let share = Swift.max(0.95, rule.utilisation)
        return whole(arrival / (share * capacity))
    }

    /// The signal's value while it is not stale.
    private func fresh(_ name: String) -> Double? {
        guard let signal = demand[name], now.since(signal.observed) <= policy.guards.signalStale
        else { return nil }
        return signal.value
    }
}

extension RawDemand.Formula {
    /// Machines, not rounded, not negative.
    public var members: Double {
        Swift.max(((predicted ?? arrival) + backlog / seconds) / (capacity * utilisation), 0)
    }
}
