import Farm
import RoleSchedulerCore

/// What the scheduler lets others see: its history, and the board at this moment.
extension RoleSchedulerService {
    /// The policy with the changes of the phase that holds.
    var ruling: Policy { policy.during(policy.phase(lastPlan?.phase)) }

    public func history(limit: Int) async throws -> [HistoryEntry] {
        try await store.history(limit: limit)
    }

    public func board() -> Board {
        let now = moment()
        var state = state
        // Reports go to the leader: here nobody is missed.
        if writing.term == nil { state.resumed = now }
        let planner = PlanView(
            policy: ruling, state: state, health: checkedHealth(now), now: now, cores: cores)
        let explained = Dictionary(
            (lastPlan?.explanation ?? []).map { ($0.role, $0) }, uniquingKeysWith: { $1 })
        let roles = ruling.rolesByPriority.map { rule in
            let line = explained[rule.role]
            return Board.RoleLine(
                rule: rule, target: line?.target ?? rule.min, serving: planner.serving(rule.role),
                because: line?.text ?? "")
        }
        let rules = MemberRules(ruling)
        let smurfs = state.ids.compactMap { id in
            state.smurfs[id].map { record in
                var record = record
                record.labels = Set(record.labels + rules.rule(of: id, []).labels).sorted()
                return Board.SmurfLine(
                    id: id, record: record, isHeld: record.override?.kind == .hold,
                    isUp: planner.isFit(id), secondsInState: now.since(record.since).inSeconds,
                    connections: health[id]?.connections ?? 0, rate: meters[id]?.rate(at: now) ?? 0,
                    words: OperatorWord.all(of: record, now: now),
                    trouble: trouble(record, id, planner))
            }
        }
        return Board(
            version: version, phase: lastPlan?.phase, roles: roles, smurfs: smurfs,
            signals: signals(now), notes: notes + standingNotes,
            standing: store.standing.isShared ? store.standing : nil)
    }

    private func signals(_ now: Moment) -> [Board.SignalLine] {
        let named = policy.roles.flatMap(\.demand.named)
        return Set(named).union(demand.signals.keys).sorted().map { name in
            let signal = demand[name]
            return Board.SignalLine(
                name: name, value: signal?.value,
                ageSeconds: signal.map { now.since($0.observed).inSeconds } ?? -1)
        }
    }
}
