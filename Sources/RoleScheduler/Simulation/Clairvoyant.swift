import Farm
public import RoleSchedulerCore

/// When the mailing could be over at the earliest, in seconds: by somebody who knows every arrival
/// beforehand, can split machines into fractions and moves them at will. No whole number of machines
/// reaches it; it is there to be measured against.
///
/// Second by second: every role keeps its floor. Bounces are taken as late as `oldestBounce` allows and
/// clicks as late as `longestClick` allows (the hundredth of them that may wait for longer, never), by the
/// floor first and by as many fractional machines more as that needs; all others send, from the first second
/// on: who knows when the mailing begins has them warm and known. What bounces and clicks need beyond their
/// floors, however evenly they are spread over time, has come from sending, and has paid the drain and the
/// warm-up, less what caches bring while it drains. Sending as early as possible is best as long as the
/// bounces and clicks of a row are less work than sending it, because work that is put off only grows by
/// what it causes: `bounceShare / bounce rate + clickShare / click rate < 1 / sending rate`. Outages are left
/// out, so it stays a bound with them. `ClairvoyantSearchTests` looks for schedules that beat it.
/// - Returns: the horizon when rows would be left.
/// - Complexity: O(seconds²/60).
public func clairvoyantCompletion(
    _ scenario: Scenario, _ policy: Policy, oldestBounce: Int = 300, longestClick: Int = 10
) -> Int {
    guard let out = policy.roles.first(where: { $0.service == .smtpOut }) else {
        return scenario.horizon
    }
    var world = World(scenario)
    var bounces = LatestWork(policy, .smtpIn, scenario, within: oldestBounce)
    var clicks = LatestWork(policy, .web, scenario, within: longestClick)
    clicks.never = scenario.clicksInAll / 100
    let others = policy.roles.filter {
        $0.service == .none && $0.role != out.role
    }
    let floors = others.reduce(bounces.floor + clicks.floor) { $0 + Double($1.min) }
    let shunt = leastShunt(from: out)
    var (moved, debt) = (0.0, 0.0)
    for second in 0...max(scenario.horizon, 0) {
        world.arrive(second)
        let extra =
            bounces.extra(world.arrivedBounces, at: second)
            + clicks.extra(world.arrivedClicks, at: second)
        let needed = growth([bounces, clicks], at: second)
        debt += max(needed - moved, 0) * shunt
        moved = max(moved, needed)
        let free = max(Double(scenario.smurfs) - floors - extra, 0)
        let paid = min(debt, free)
        debt -= paid
        world.send((free - paid) * scenario.rate(of: out), second)
        if let completion = world.completion { return completion }
    }
    return scenario.horizon
}

/// Seconds of one machine's sending that are lost when it leaves for another role: half of those who know it forget it
/// within half a TTL. Cores that say when they are done with it make it wait for nothing, and send it nothing.
private func leastShunt(from out: RolePolicy) -> Double {
    guard !out.drain.waitsForCores else { return out.warm.inSeconds }
    return max((out.drainTime + out.warm).inSeconds - Double(out.ttl) / 2, 0)
}

/// Machines beyond the floors that were busy at once at some moment until `second`, whoever made the schedule: what came
/// in after a moment and is due by now was done in between.
private func growth(_ works: [LatestWork], at second: Int) -> Double {
    var most = 0.0
    for from in stride(from: 0, to: second, by: 60) {
        most = max(most, works.reduce(0) { $0 + $1.extraMean(from: from, to: second) })
    }
    return most
}

/// One kind of work that comes in, done as late as is allowed.
private struct LatestWork {
    /// Machines that the role has in any case.
    let floor: Double
    /// As much as may wait for longer.
    var never = 0.0
    private let rate: Double
    private let delay: Int
    private var arrived: [Double] = []
    private var done = 0.0

    init(_ policy: Policy, _ service: Service, _ scenario: Scenario, within delay: Int) {
        let rule = policy.roles.first { $0.service == service }
        floor = Double(rule?.min ?? 0)
        rate = rule.map { scenario.rate(of: $0) } ?? .infinity
        self.delay = max(delay, 0)
    }

    /// Machines beyond the floor that this second needs, as a fraction.
    mutating func extra(_ arrivals: Double, at second: Int) -> Double {
        let all = (arrived.last ?? 0) + arrivals
        arrived.append(all)
        done = min(done + floor * rate, all)
        let due = due(second)
        guard due > done, rate.isFinite else { return 0 }
        let need = (due - done) / rate
        done = due
        return need
    }

    /// All that must be done by the end of `second`.
    private func due(_ second: Int) -> Double {
        second >= delay ? max(arrived[second - delay] - never, 0) : 0
    }

    /// Machines beyond the floor, on average over `from`..<`to`, that what both comes and is due in that time needs.
    func extraMean(from: Int, to second: Int) -> Double {
        let work = due(second) - arrived[from]
        guard work > 0, rate.isFinite else { return 0 }
        return max(work / rate / Double(second - from) - floor, 0)
    }
}
