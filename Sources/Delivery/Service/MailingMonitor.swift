public import Farm
import Foundation

/// Watches the mailings as they run: how fast each goes, and what the farm has to do. It asks the ledger once
/// a second and changes nothing.
public actor MailingMonitor {
    /// Time over which rates are taken.
    public static let window = Duration.seconds(10)

    private struct Sample {
        var at: ContinuousClock.Instant
        var done: Int
    }

    private let ledger: SQLiteLedger
    private var samples: [UInt32: [Sample]] = [:]
    /// What was counted up to the last look.
    public private(set) var counts: WorkCounts
    /// What came between two looks.
    private var news: [(at: ContinuousClock.Instant, counts: WorkCounts)] = []
    private var latencies: [String: (at: ContinuousClock.Instant, seconds: Double)] = [:]

    public init(ledger: SQLiteLedger) {
        self.ledger = ledger
        counts = ledger.openingCounts
    }

    /// Looks at the ledger.
    /// - Returns: the demand signals of what is to be sent and of what comes back: `outbound.backlog` (rows
    ///   that may be sent now), `outbound.deadline` (seconds left, when a mailing has one), `outbound.sent` (rows
    ///   per second that were settled), `bounces.arrival` and `unsubscribes.arrival` (per second), `unsubscribes.p95` (seconds, while there are requests).
    public func look() async throws -> [String: Double] {
        let now = ContinuousClock.now
        try await count(now)
        let unixTime = Int64(Date().timeIntervalSince1970)
        var backlog = 0
        var deadline: Int64?
        let running = try await ledger.runningMailings()
        let known = Set(running.map(\.id))
        samples = samples.filter { known.contains($0.key) }
        for mailing in running {
            note(mailing, now)
            guard mailing.state == .sending else { continue }
            let later = try await ledger.deferredRows(of: mailing.id, now: unixTime)
            backlog += max(0, mailing.counts.open - later)
            if mailing.deadline != 0 { deadline = min(deadline ?? .max, mailing.deadline) }
        }
        var signals = [
            "outbound.backlog": Double(backlog),
            "outbound.sent": perSecond(\.settled),
            "bounces.arrival": perSecond(\.bounces),
            "unsubscribes.arrival": perSecond(\.unsubscribes),
        ]
        latencies = latencies.filter { now - $0.value.at <= .seconds(5) }
        if let worst = latencies.values.map(\.seconds).max() {
            signals["unsubscribes.p95"] = worst
        }
        if let deadline { signals["outbound.deadline"] = Double(max(0, deadline - unixTime)) }
        return signals
    }

    /// What the ledger counted misses nothing: a mailing may begin and be over between two looks.
    private func count(_ now: ContinuousClock.Instant) async throws {
        let counted = try await ledger.workCounts()
        news.append((now, counted.since(counts)))
        counts = counted
        news.removeAll { now - $0.at > Self.window }
    }

    private func perSecond(_ number: (WorkCounts) -> Int) -> Double {
        Double(news.reduce(0) { $0 + number($1.counts) }) / Double(Self.window.components.seconds)
    }

    /// Notes the 95th percentile of the request time of one web smurf, in seconds. The worst one counts: it is
    /// what a recipient may meet.
    public func note(latency seconds: Double, of smurf: String) {
        guard seconds.isFinite, seconds > 0 else { return }
        latencies[smurf] = (.now, seconds)
    }

    private func note(_ mailing: MailingRecord, _ now: ContinuousClock.Instant) {
        var history = samples[mailing.id] ?? []
        history.append(Sample(at: now, done: mailing.total - mailing.counts.open))
        // One sample older than the window is kept, so that the rate spans all of it.
        while history.count > 2, now - history[1].at >= Self.window { history.removeFirst() }
        samples[mailing.id] = history
    }

    /// Rows per second that were settled within the last `window`; 0 when nothing is known yet.
    public func rate(of mailing: UInt32) -> Double {
        guard let history = samples[mailing], let first = history.first, let last = history.last
        else { return 0 }
        let (seconds, attoseconds) = (last.at - first.at).components
        let time = Double(seconds) + Double(attoseconds) / 1e18
        return time > 0 ? max(0, Double(last.done - first.done)) / time : 0
    }
}
