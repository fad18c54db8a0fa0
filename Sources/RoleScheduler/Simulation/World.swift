/// What flows around the farm: rows that wait to be sent, bounces and clicks that follow from what was
/// sent, and the numbers that a farm can measure of them. It knows no machines.
struct World {
    /// What comes in from outside.
    enum Kind { case bounces, clicks }

    private let scenario: Scenario
    /// Rows left per site; the last entry is the rest of the internet.
    private var rows: [Double]
    private let limits: [Double]
    /// Running sum of rows sent, per second of the mailing.
    private(set) var sent: [Double] = []
    private(set) var bounces = WaitQueue()
    private(set) var clicks = WaitQueue()
    private(set) var bounceWaits = Waits()
    private(set) var clickWaits = Waits()
    /// Of the current minute; whoever records takes them.
    var minuteWaits = Waits()
    private(set) var arrivedBounces = 0.0
    private(set) var arrivedClicks = 0.0
    /// Taken per second, the last ten: what the farm can measure.
    private var takenBounces: [Double] = []
    private var takenClicks: [Double] = []
    private var recentWaits: [Waits] = []
    private(set) var completion: Int?
    private(set) var worstBounceBacklog = 0.0
    private var random: SeededRandom
    /// What comes in by a trace; nil when it follows from what was sent.
    private var replay: Replay?

    init(_ scenario: Scenario) {
        self.scenario = scenario
        random = SeededRandom(seed: scenario.seed ^ 0x5EED)
        let rest = max(1 - scenario.sites.reduce(0) { $0 + $1.share }, 0)
        rows = (scenario.sites.map(\.share) + [rest]).map { $0 * scenario.recipients }
        replay = scenario.trace.flatMap { $0.tellsArrivals ? Replay($0) : nil }
        limits = scenario.sites.map(\.limit) + [.infinity]
    }

    /// Rows that wait.
    var backlog: Double { rows.reduce(0, +) }

    /// Whether nothing is left to happen.
    func isOver(_ second: Int) -> Bool {
        guard let completion, bounces.total < 0.5, clicks.total < 0.5 else { return false }
        if let trace = scenario.trace, replay != nil {
            return second >= max(completion + 1, trace.length + Trace.lastHolds)
        }
        return second > completion + max(scenario.bounceLag.longest, scenario.clickLag.longest)
    }

    /// The numbers that the product measures, by their names: arrivals as they were taken, not as they
    /// knocked, because nobody can count what waits at other sites.
    mutating func numbers(_ second: Int) -> [(String, Double)] {
        let noise = 1 + scenario.noise * (2 * random.fraction() - 1)
        let waiting = second < 0 ? 0 : backlog.rounded(.up)
        func mean(_ values: [Double]) -> Double {
            values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count) * noise
        }
        var waits = Waits()
        for part in recentWaits { waits.add(part) }
        return [
            ("outbound.backlog", waiting), ("outbound.sent", sentLately()),
            ("bounces.arrival", mean(takenBounces)),
            ("unsubscribes.arrival", mean(takenClicks)),
            ("unsubscribes.p95", Double(waits.percentile(0.95))),
        ]
    }

    /// Rows per second, the mean of the last ten.
    private func sentLately() -> Double {
        guard let last = sent.last else { return 0 }
        let before = sent.count > 10 ? sent[sent.count - 11] : 0
        return (last - before) / 10
    }

    mutating func arrive(_ second: Int) {
        guard second >= 0 else { return }
        replay?.step(second)
        arrivedBounces =
            replay?.bounces
            ?? scenario.bounceShare * scenario.bounceLag.arrivals(at: second, causes: sent)
        arrivedClicks =
            replay?.clicks
            ?? scenario.clickShare * scenario.clickLag.arrivals(at: second, causes: sent)
        bounces.add(arrivedBounces, at: second)
        clicks.add(arrivedClicks, at: second)
    }

    func load(_ kind: Kind) -> Double { kind == .bounces ? bounces.total : clicks.total }

    mutating func take(_ kind: Kind, _ amount: Double, _ second: Int) {
        switch kind {
        case .bounces:
            bounces.take(amount, at: second, into: &bounceWaits)
            worstBounceBacklog = max(worstBounceBacklog, bounces.total)
            takenBounces = takenBounces.suffix(9) + [amount]
        case .clicks:
            var waits = Waits()
            clicks.take(amount, at: second, into: &waits)
            clickWaits.add(waits)
            minuteWaits.add(waits)
            takenClicks = takenClicks.suffix(9) + [amount]
            recentWaits = recentWaits.suffix(9) + [waits]
        }
    }

    /// Sends up to `capacity` rows, a site's part by how much waits for it, no site more than its limit.
    mutating func send(_ capacity: Double, _ second: Int) {
        guard second >= 0 else { return }
        var left = capacity
        var quota = zip(rows, limits).map { min($0, $1) }
        var done = 0.0
        for _ in 0..<4 where left > 1e-9 {
            let open = zip(rows, quota).reduce(0) { $0 + ($1.1 > 0 ? $1.0 : 0) }
            guard open > 0 else { break }
            let round = left
            for index in rows.indices where quota[index] > 0 {
                let part = min(round * rows[index] / open, quota[index], left)
                rows[index] -= part
                quota[index] -= part
                left -= part
                done += part
            }
        }
        sent.append((sent.last ?? 0) + done)
        guard completion == nil, backlog < 0.5 else { return }
        rows = rows.map { _ in 0 }
        completion = second
    }

    /// Counts what still waits at the end as if it were taken then.
    mutating func settle(at second: Int) {
        bounces.settle(at: second, into: &bounceWaits)
        clicks.settle(at: second, into: &clickWaits)
    }
}
