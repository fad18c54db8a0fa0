import Farm
public import RoleSchedulerCore

/// When the mailing could be over at the earliest, in seconds: by somebody who knows every arrival
/// beforehand, can split machines into fractions and moves them at will. No whole number of machines
/// reaches it; it is there to be measured against.
///
/// Second by second: every role keeps its floor. Bounces are taken as late as `oldestBounce` allows and
/// clicks as late as `longestClick` allows, by the floor first and by as many fractional machines more
/// as that needs; all others send. A growth of those beyond what they ever were costs the drain and the
/// warm-up of the role that it comes from and goes to, less the TTL for which caches still bring work.
/// Sending as early as possible is best as long as the bounces and clicks of a row are less work than
/// sending it, because work that is put off only grows by what it causes: `bounceShare / bounce rate +
/// clickShare / click rate < 1 / sending rate`. Outages are left out, so it stays a bound with them.
/// - Returns: the horizon when rows would be left.
public func clairvoyantCompletion(
    _ scenario: Scenario, _ policy: Policy, oldestBounce: Int = 300, longestClick: Int = 10
) -> Int {
    guard let out = policy.roles.first(where: { $0.service == .smtpOut }) else {
        return scenario.horizon
    }
    var world = World(scenario)
    var bounces = LatestWork(policy, .smtpIn, scenario, within: oldestBounce)
    var clicks = LatestWork(policy, .web, scenario, within: longestClick)
    let others = policy.roles.filter {
        $0.service == .none && $0.role != out.role
    }
    let floors = others.reduce(bounces.floor + clicks.floor) { $0 + Double($1.min) }
    let shunt = max((out.drainTime + out.warm).inSeconds - Double(out.ttl), 0)
    var (most, debt) = (0.0, 0.0)
    for second in 0...max(scenario.horizon, 0) {
        world.arrive(second)
        let extra =
            bounces.extra(world.arrivedBounces, at: second)
            + clicks.extra(world.arrivedClicks, at: second)
        debt += max(extra - most, 0) * shunt
        most = max(most, extra)
        let free = max(Double(scenario.smurfs) - floors - extra, 0)
        let paid = min(debt, free)
        debt -= paid
        world.send((free - paid) * scenario.rate(of: out), second)
        if let completion = world.completion { return completion }
    }
    return scenario.horizon
}

/// One kind of work that comes in, done as late as is allowed.
private struct LatestWork {
    /// Machines that the role has in any case.
    let floor: Double
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
        let due = second >= delay ? arrived[second - delay] : 0
        guard due > done, rate.isFinite else { return 0 }
        let need = (due - done) / rate
        done = due
        return need
    }
}
