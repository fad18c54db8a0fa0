import Farm

@testable import RoleSchedulerCore

/// Whether what a plan says of itself is so: the reason of every target re-derives it, a delay is said exactly
/// when there is one, and the actions are the whole difference between the states.
extension InvariantCheck {
    /// Machines that could be shared out when targets were made.
    var usable: Int {
        var planner = Planner(
            policy: policy, state: before, health: simulation.health, now: simulation.now)
        planner.live()
        return planner.machines.indices.count(where: planner.isUsable)
    }

    /// I9: the machines can be arranged so that all targets are met, and whoever has too few cannot be given one
    /// more by any arrangement (Hall: no set of roles is given more machines than there are for it).
    func targetsAreReachable() -> [String] {
        var planner = Planner(
            policy: policy, state: before, health: simulation.health, now: simulation.now)
        planner.live()
        let lines = plan.explanation
        let able = planner.machines.indices.filter(planner.isUsable).map { place in
            lines.map { planner.mayHold(place, $0.role) }
        }
        /// Machines too many for some set of roles, with one more for `extra`.
        func isTooMuch(_ extra: Int?) -> Bool {
            (1..<1 << lines.count).contains { set in
                let roles = lines.indices.filter { set >> $0 & 1 == 1 }
                let asked = roles.reduce(0) { $0 + lines[$1].target + ($1 == extra ? 1 : 0) }
                return asked > able.count { machine in roles.contains { machine[$0] } }
            }
        }
        var broken = isTooMuch(nil) ? ["I9: targets \(lines) cannot be met"] : []
        for index in lines.indices where lines[index].bound == .share && !isTooMuch(index) {
            broken.append("I9: \(lines[index].role) has too few, and could have one more")
        }
        return broken
    }

    func targetsAreExplained() -> [String] {
        plan.explanation.compactMap { line in
            guard let rule = policy[line.role] else { return "E: \(line.role) is explained" }
            return derives(line, rule) ? nil : "E: \(line) of \(rule)"
        }
    }

    private func derives(_ line: RoleExplanation, _ rule: RolePolicy) -> Bool {
        let raw = line.raw.members
        let whole = Int((raw - 1e-9).rounded(.up))
        switch line.bound {
        case .demand, .prediction:
            return (line.raw.formula?.predicted != nil) == (line.bound == .prediction)
                && line.target == line.setpoint && line.setpoint == line.wanted
                && line.wanted == whole
        case .tolerance:
            return line.target == line.setpoint && line.wanted != whole
                && abs(raw - Double(line.wanted)) <= policy.tolerance * Double(line.wanted) + 1e-9
        case .minimum: return line.target == rule.min
        case .maximum: return line.target == rule.max
        case .saturation:
            guard let formula = line.raw.formula else { return false }
            let share = Swift.max(0.95, rule.utilisation)
            let needed = formula.arrival / (share * formula.capacity)
            return line.target == line.wanted && Double(line.wanted) >= needed - 1e-6
        case .latency: return line.target == line.setpoint && line.wanted == line.setpoint
        case .signalLoss, .fallback:
            return !line.raw.missing.isEmpty && line.target == line.setpoint
        case .upWindow(let share):
            return line.target == line.setpoint && line.wanted > line.setpoint
                && (0...1).contains(share)
        case .downWindow(let left):
            return line.target == line.setpoint && line.wanted < line.setpoint
                && left >= .zero && left <= policy.movement.downWindow
        case .shareOfFarm(let share):
            return line.target == line.setpoint && line.setpoint == line.wanted
                && line.wanted == rule.clamp(Int((share * Double(usable)).rounded()))
        case .share: return line.target < rule.clamp(line.setpoint)
        case .soak: return line.target > line.setpoint && rule.soak > 0
        case .phase(let name):
            guard name == plan.phase, let phase = simulation.policy.phase(name) else {
                return false
            }
            let changes = phase.changes[line.role]
            return changes?.min == line.target || changes?.max == line.target
                || phase.idle == line.role
        }
    }

    func delaysAreExplained() -> [String] {
        plan.explanation.compactMap { line in
            let planner = Planner(
                policy: policy, state: plan.state, health: simulation.health, now: simulation.now)
            let assigned = planner.machines.indices.filter { planner.isAssigned($0, line.role) }
            let warming = assigned.filter { planner.record($0).state == .warming(line.role) }
            let isThere = assigned.count == line.target && warming.isEmpty
            if isThere != (line.delay == nil) || assigned.count != line.assigned {
                return "E: \(line) with \(assigned.count), \(warming.count) on the way"
            }
            return nil
        }
    }

    /// replay(audit) = state: every action begins where the machine was, and together they are all that changed.
    func auditIsWhole() -> [String] {
        var states = before.smurfs.mapValues(\.state)
        for action in plan.actions {
            guard states[action.smurf] == action.from else {
                return ["A: \(action.smurf) was \(String(describing: states[action.smurf]))"]
            }
            states[action.smurf] = action.to
        }
        return states == plan.state.smurfs.mapValues(\.state)
            ? [] : ["A: a change without an action"]
    }
}
