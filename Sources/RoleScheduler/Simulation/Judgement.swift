import Farm
import RoleSchedulerCore

/// How a simulated farm judges its machines: it finds black holes by the counters of work, as the service does (`BlackHoleWatch`), and
/// by checks who has no agent and is down. A policy by which nobody is a hole (`black_hole_after: 0s`) finds none.
extension Simulation {
    /// Takes every counter up, and looks who is suspect.
    mutating func suspectHoles(_ now: Moment) {
        let lasting = policy.guards.blackHoleAfter
        guard lasting > .zero else { return }
        for id in machines.ids where machines.isUp(id) {
            holeWatch.note(
                id, serving: knownRole(id, now), work: machines.workDone(id), over: lasting, at: now
            )
        }
        suspects = Set(
            holeWatch.judge(over: lasting, at: now)
                .filter { state.smurfs[$0.key]?.state == .serving($0.value) }.keys)
    }

    /// The role in which all caches know the machine; one without an agent tells no counter.
    private func knownRole(_ id: SmurfID, _ now: Moment) -> Role? {
        guard let record = state.smurfs[id], case .serving(let role) = record.state,
            let rule = policy[role], !agentless.contains(id),
            now.since(record.since) >= .seconds(Int(rule.ttl))
        else { return nil }
        return role
    }

    /// Health as it counts: what agents say, and what the farm finds by itself. A check finds at once that a machine without
    /// an agent is down.
    func judgedHealth(_ now: Moment) -> [SmurfID: Health] {
        var health = machines.health
        for id in suspects { health[id]?.doubt(.blackHole) }
        for id in agentless where !machines.isUp(id) {
            guard let role = state.smurfs[id]?.assigned, policy[role]?.check != nil else {
                continue
            }
            health[id] = Health(
                heard: now, ready: false, role: role, connections: 0, load: 0, work: 0)
            health[id]?.doubt(.check(trouble: "no answer in time"))
        }
        return health
    }

    /// What the members of a role show that they can do, on average; those that are taken for black holes do not count.
    func shownRate(_ rule: RolePolicy) -> Double {
        let rate = scenario.rate(of: rule)
        let members = state.smurfs.keys.filter {
            state.smurfs[$0]?.state == .serving(rule.role) && !suspects.contains($0)
        }
        guard !members.isEmpty else { return rate }
        let working = members.filter { !machines.isHole($0) }
        return rate * working.reduce(0) { $0 + strength($1) } / Double(members.count)
    }

    /// What the machine does of what its role's capacity says.
    func strength(_ id: SmurfID) -> Double { strengths[id] ?? 1 }
}
