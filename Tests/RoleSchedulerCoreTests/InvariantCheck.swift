import Farm

@testable import RoleSchedulerCore

/// Looks at one step of a farm and names the invariants it breaks.
struct InvariantCheck {
    let simulation: FarmSimulation
    let before: FarmState
    let plan: Plan

    /// With the changes of the phase that held.
    var policy: Policy {
        simulation.policy.during(simulation.policy.phase(plan.phase))
    }
    private var view: PlanView {
        PlanView(policy: policy, state: before, health: simulation.health, now: simulation.now)
    }

    func broken() -> [String] {
        movesAreFew() + targetsAreLawful() + transitionsAreLegal() + drainsAreFull()
            + dwellIsKept() + floorsAreKept() + capabilitiesAreKept() + cordonsAreKept()
            + targetsAreExplained() + delaysAreExplained() + auditIsWhole() + causesAreTrue()
    }

    /// Moves of the scheduler's own will: not recoveries, deaths or operators' words.
    private var voluntary: [Plan.Action] {
        plan.actions.filter { action in
            switch (action.from, action.to) {
            case (.idle, .warming): true
            case (.serving, .draining):
                if case .moved = action.cause { true } else { action.cause.isChosen }
            default: false
            }
        }
    }

    /// I2, I3: at most max_inflight, none within the gap, one floor emergency on top.
    private func movesAreFew() -> [String] {
        var broken: [String] = []
        let limit = policy.movement.maxInflight
        if voluntary.count > limit + 1 {
            broken.append("I2: \(voluntary.count) moves, limit \(limit)")
        }
        let gapped = before.lastMove.map { simulation.now.since($0) < policy.movement.gap } ?? false
        if gapped && voluntary.count > 1 {
            broken.append("I2: \(voluntary.count) moves within the gap")
        }
        if gapped, let move = voluntary.first, !move.why.hasPrefix("floor") {
            broken.append("I2: '\(move.why)' within the gap")
        }
        let isFrozen = plan.notes.contains { $0.hasPrefix("frozen") }
        if isFrozen,
            voluntary.count > 1 || voluntary.contains(where: { !$0.why.hasPrefix("floor") })
        {
            broken.append("I3: \(voluntary) while frozen")
        }
        return broken
    }

    /// I8, I9: targets keep to their ceiling and never name more machines than there are.
    private func targetsAreLawful() -> [String] {
        var broken: [String] = []
        for line in plan.explanation {
            if let ceiling = policy[line.role]?.max, line.target > ceiling {
                broken.append("I8: target \(line.target) of \(line.role) is over \(ceiling)")
            }
        }
        // I9: what targets do not take stays idle, and while a role has too little nothing does.
        let sum = plan.explanation.reduce(0) { $0 + $1.target }
        let usable = usable
        if sum > usable { broken.append("I9: targets add up to \(sum), usable are \(usable)") }
        return broken + targetsAreReachable()
    }

    /// I10: only legal transitions, one per machine; roles change through idle.
    private func transitionsAreLegal() -> [String] {
        var broken: [String] = []
        if Set(plan.actions.map(\.smurf)).count != plan.actions.count {
            broken.append("I10: two changes of one machine")
        }
        for action in plan.actions {
            let isLegal =
                switch (action.from, action.to) {
                case (.joining, .idle), (.idle, .warming), (.idle, .quarantined),
                    (.draining, .idle),
                    (.warming, .idle):
                    true
                case (.warming(let a), .serving(let b)), (.warming(let a), .draining(let b)),
                    (.serving(let a), .draining(let b)):
                    a == b
                default: false
                }
            if !isLegal { broken.append("I10: \(action.from) → \(action.to)") }
        }
        return broken
    }

    /// I13: nobody warms up for longer than the law lets it, nor serves after it was not ready for the
    /// time that makes it dead. One tick of at most three seconds is between the limit and its notice.
    func waits() -> [String] {
        let slack = Duration.seconds(3)
        return plan.state.ids.compactMap { id -> String? in
            guard let record = plan.state.smurfs[id] else { return nil }
            switch record.state {
            case .warming(let role):
                let age = simulation.now.since(record.since)
                let limit = (policy[role]?.warm ?? .zero) + policy.guards.deadAfter
                return age > limit + slack ? "I13: \(id) warms up for \(age)" : nil
            case .serving:
                guard let since = simulation.unreadySince[id] else { return nil }
                let age = simulation.now.since(since)
                return age > policy.guards.deadAfter + slack + slack
                    ? "I13: \(id) serves, not ready for \(age)" : nil
            case .joining, .idle, .draining, .quarantined: return nil
            }
        }
    }

    /// I5: nobody goes idle before the caches forgot the address, or every core that is heard is done with it, or the
    /// deadline is over for those that only cores ask for.
    private func drainsAreFull() -> [String] {
        plan.actions.compactMap { action in
            guard case .draining(let role) = action.from, action.to == .idle,
                let since = before.smurfs[action.smurf]?.since, let rule = policy[role]
            else { return nil }
            let age = simulation.now.since(since)
            guard rule.drain.waitsForCores else {
                return age < rule.drainTime
                    ? "I5: drained in \(age), needs \(rule.drainTime)" : nil
            }
            if age >= min(rule.drainTime, rule.drain.deadline) { return nil }
            let addresses = before.smurfs[action.smurf]?.addresses ?? []
            let live = simulation.cores.values.filter {
                simulation.now.since($0.heard) <= policy.guards.downAfter
            }
            let areDone = live.allSatisfy {
                $0.asOf >= since && $0.uses.isDisjoint(with: addresses)
            }
            return !live.isEmpty && areDone ? nil : "I5: drained in \(age), cores are \(live)"
        }
    }

    /// I6: demand takes nobody away before it has served for a while; I4: never a pinned one.
    private func dwellIsKept() -> [String] {
        voluntary.flatMap { action -> [String] in
            guard case .serving = action.from, let record = before.smurfs[action.smurf],
                !action.why.hasPrefix("moved")
            else { return [] }
            let age = simulation.now.since(record.since)
            return (age < policy.movement.minDwell ? ["I6: taken after \(age)"] : [])
                + (policy.member(action.smurf).pin != nil ? ["I4: a pinned machine was taken"] : [])
        }
    }

    /// I7: demand never takes a role below its floor of healthy members.
    private func floorsAreKept() -> [String] {
        voluntary.compactMap { action in
            guard case .serving(let role) = action.from, !action.why.hasPrefix("moved"),
                view.isFit(action.smurf)
            else { return nil }
            let target = plan.explanation.first { $0.role == role }?.target ?? 0
            let floor = min(policy[role]?.min ?? 0, target)
            let left = PlanView(
                policy: policy, state: plan.state, health: simulation.health, now: simulation.now
            ).serving(role).count
            return left < floor ? "I7: \(role) left with \(left), floor \(floor)" : nil
        }
    }

    /// I4: nobody gets a role it must not hold, unless an operator says so.
    private func capabilitiesAreKept() -> [String] {
        plan.actions.compactMap { action in
            guard case .warming(let role) = action.to else { return nil }
            if case .move(let wanted)? = plan.state.smurfs[action.smurf]?.override?.kind {
                return wanted == role ? nil : "I4: moved to \(role) instead of \(wanted)"
            }
            let labels = before.smurfs[action.smurf]?.labels ?? []
            return MemberRules(policy).rule(of: action.smurf, labels).allows(role)
                ? nil : "I4: \(action.smurf) must not hold \(role)"
        }
    }

    /// What is held against a machine is the reason exactly when there is something and it is up.
    private func causesAreTrue() -> [String] {
        plan.actions.compactMap { action in
            let doubt = simulation.health[action.smurf]?.doubt
            switch action.cause {
            case .doubted(let said), .neverReady(_, _, let said?):
                return said == doubt ? nil : "E: \(action.smurf) is said to be \(said)"
            case .unready:
                return doubt == nil ? nil : "E: \(action.smurf) is \(doubt.debugDescription)"
            default: return nil
            }
        }
    }

    /// I14: a cordoned machine takes no role, and keeps the one it has unless it dies, or a hold or the policy
    /// takes it out.
    private func cordonsAreKept() -> [String] {
        plan.actions.compactMap { action in
            guard plan.state.smurfs[action.smurf]?.cordon != nil else { return nil }
            switch (action.from, action.to) {
            case (.idle, .warming):
                return "I14: \(action.smurf) is cordoned and takes a role: \(action.why)"
            case (.serving, .draining):
                return voluntary.contains(action)
                    ? "I14: \(action.smurf) is cordoned and taken away: \(action.why)" : nil
            default: return nil
            }
        }
    }

    /// I11 and the version: once non-empty, never empty; it grows exactly when something changed.
    static func views(
        _ old: Membership?, _ new: Membership, _ simulation: FarmSimulation
    ) -> [String] {
        var broken: [String] = []
        for records in old?.records ?? [] where !records.members.isEmpty {
            let now = new.records.first { $0.owner == records.owner && $0.kind == records.kind }
            if now?.members.isEmpty ?? true { broken.append("I11: \(records.owner) became empty") }
        }
        broken += answeredButNotReady(new, simulation)
        if let old {
            var same = new
            same.version = old.version
            if (same == old) != (new.version == old.version) || new.version < old.version {
                broken.append("version \(old.version) → \(new.version)")
            }
        }
        return broken
    }

    /// I13: beside healthy members, nobody is answered who has not been ready for a third of the time
    /// that makes it dead; all of them are only in panic or when nobody else is left.
    private static func answeredButNotReady(
        _ view: Membership, _ simulation: FarmSimulation
    ) -> [String] {
        view.records.flatMap { records -> [String] in
            let serving = simulation.state.ids.filter {
                simulation.state.smurfs[$0]?.state.description == "serving \(records.owner)"
            }
            let late = serving.filter { id in
                simulation.unreadySince[id].map {
                    simulation.now.since($0) > simulation.policy.guards.downAfter
                } ?? false
            }
            let isPanic =
                Double(serving.count - late.count)
                < simulation.policy.guards.panicBelow * Double(serving.count)
            // Silent members count towards panic as well; only what is certain is complained about.
            guard !isPanic, simulation.down.isDisjoint(with: serving) else { return [] }
            return records.members.filter(late.contains).map {
                "I13: \($0) is answered for \(records.owner), long not ready"
            }
        }
    }
}
