import Farm
import Logging
import RoleSchedulerCore

/// What the scheduler makes of the counters of work in the machines' reports: how fast members are while work waits for
/// them, and who does nothing at all.
extension RoleSchedulerService {
    /// Members that have served for so long are as fast as they get.
    private static let warmedUp = Duration.seconds(20)

    /// Notes the mean rate of the members of each role whose policy lets it count.
    func noteRates(_ now: Moment) {
        for rule in policy.roles where rule.measuredWithin > 0 {
            let rates = state.smurfs.compactMap { id, record -> Double? in
                guard record.state == .serving(rule.role), holes[id] == nil,
                    health[id]?.ready == true,
                    now.since(record.since) >= RoleSchedulerService.warmedUp
                else { return nil }
                return meters[id]?.rate(at: now)
            }
            guard !rates.isEmpty else { continue }
            demand.note(rule.rateSignal, rates.reduce(0, +) / Double(rates.count), at: now)
        }
    }

    /// A member is watched once all caches know it.
    /// - Parameter record: its own.
    func watchForHoles(_ id: SmurfID, _ record: SmurfRecord?, _ work: UInt64, _ now: Moment) {
        let lasting = policy.guards.blackHoleAfter
        guard lasting > .zero, let record, case .serving(let role) = record.state,
            let ttl = policy.ttl(of: role), now.since(record.since) >= .seconds(Int(ttl))
        else { return holeWatch.note(id, serving: nil, work: work, over: lasting, at: now) }
        holeWatch.note(id, serving: role, work: work, over: lasting, at: now)
    }

    /// Looks for holes about once a second.
    func suspectHoles(_ now: Moment) {
        if let last = lastLookForHoles, now.since(last) < .seconds(1) { return }
        lastLookForHoles = now
        let found = holeWatch.judge(over: policy.guards.blackHoleAfter, at: now)
        for (id, role) in found where holes[id] == nil {
            logger.warning("\(id) is a black hole: in \(role) it does nothing while others work")
            let since = holeWatch.idleSince(id) ?? now
            provenHoles[id] = provenHoles[id] ?? (since, meters[id]?.count ?? 0)
        }
        holes = found
    }

    var holeNotes: [String] {
        holes.keys.sorted().compactMap { id in
            guard let role = holes[id], state.smurfs[id]?.state == .serving(role) else {
                return nil
            }
            return "\(id) is \(Doubt.blackHole)"
        }
    }

    /// What a machine waits for, what is wrong with it, and how often it fell.
    func trouble(_ record: SmurfRecord, _ id: SmurfID, _ planner: PlanView) -> String {
        var said: [String] = []
        if let wait = planner.drainWait(id) { said.append(wait) }
        if let role = holes[id], record.state == .serving(role) {
            said.append("is \(Doubt.blackHole)")
        }
        if record.falls > 0 {
            said.append(
                "fell from service \(record.falls) times; \(PlanView.fallsUntilQuarantine) quarantine it"
            )
        }
        return said.joined(separator: "; ")
    }
}
