import Farm
import RoleSchedulerCore

/// How a simulated farm follows a timetable: it orders what the turn of the moment says, and leaves draining and warming to
/// the production `plan`. It knows no demand and obeys no limit of movement, as somebody who knows all beforehand would.
extension Simulation {
    /// - Returns: whether it ordered anything.
    mutating func obeyTimetable(_ now: Moment) -> Bool {
        while let next = turns.first, next.second <= clock - scenario.lead {
            turn = next
            turns = turns.dropFirst()
        }
        guard let turn else { return false }
        let before = state.smurfs
        for rule in policy.roles {
            let held = state.ids.filter { state.smurfs[$0]?.assigned == rule.role }
            for id in held.dropFirst(max(turn.members[rule.role] ?? 0, 0)) {
                let isAnswered = state.smurfs[id]?.state == .serving(rule.role)
                order(id, isAnswered ? .draining(rule.role) : .idle, now)
            }
        }
        var free = state.ids.filter { state.smurfs[$0]?.state == .idle }[...]
        for rule in policy.roles {
            let held = state.smurfs.values.count { $0.assigned == rule.role }
            let missing = max((turn.members[rule.role] ?? 0) - held, 0)
            for id in free.prefix(missing) { order(id, .warming(rule.role), now) }
            free = free.dropFirst(missing)
        }
        return state.smurfs != before
    }

    private mutating func order(_ id: SmurfID, _ new: SmurfRecord.State, _ now: Moment) {
        state.smurfs[id]?.state = new
        state.smurfs[id]?.since = now
    }
}

extension Policy {
    /// The same, when somebody else chooses who moves: machines join, warm up, drain and die.
    var withoutMoves: Policy {
        var policy = self
        policy.movement.maxInflight = 0
        policy.phases = []
        for index in policy.roles.indices {
            policy.roles[index].min = 0
            policy.roles[index].soak = 0
        }
        return policy
    }
}
