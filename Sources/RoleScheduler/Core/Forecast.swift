import Farm

/// How what one role gets follows from what another sent before: the share of sent items that come back, learnt from
/// both numbers, and what has been sent lately, from which it tells what is still to come. Everything that arrives
/// within the shortest lag has been sent already, so that the role can be ready before it. It knows rates only, not
/// items, and takes lags to be spread evenly between the shortest and the longest.
public struct Forecast: Hashable, Sendable, Codable {
    /// What was sent between two moments.
    struct Span: Hashable, Sendable, Codable {
        var from: Moment
        var to: Moment
        var amount: Double
    }

    /// Oldest first, without gaps; some dozens, about as long as the longest lag.
    private(set) var spans: [Span] = []
    /// The last rate that was seen: it holds until another is, for a missing number is not zero.
    private var rate: Double?
    /// Items that came, and would have come if all came back, both fading: their quotient is the share.
    private var came = 0.0
    private var due = 0.0

    public init() {}

    /// Items that would have come if all came back, before the share counts as learnt.
    private static let enough = 200.0
    private static let spansKept = 64.0

    /// The share of sent items that come back, 0…1.
    /// - Parameter assumed: counts until one is learnt.
    func share(assumed: Double) -> Double {
        guard due >= Forecast.enough else { return assumed }
        return Swift.min(came / due, 1)
    }

    /// Whether the share was learnt, not assumed.
    var isLearnt: Bool { due >= Forecast.enough }

    /// Takes up what was measured since the last call.
    /// - Parameters:
    ///   - sent: items per second; nil while nobody knows.
    ///   - arrival: items per second that came back; nil while nobody knows: then nothing is learnt.
    mutating func step(_ rule: PredictRule, sent: Double?, arrival: Double?, at now: Moment) {
        rate = sent ?? rate
        let before = spans.last?.to ?? now
        guard now > before else {
            if spans.isEmpty { spans.append(Span(from: now, to: now, amount: 0)) }
            return
        }
        let seconds = now.since(before).inSeconds
        note((rate ?? 0) * seconds, from: before, to: now, rule)
        guard let arrival, sent != nil else { return }
        // Fades within the longest lag: the next mailing may go to other people.
        let fading = Swift.max(1 - seconds / Swift.max(rule.latest.inSeconds, 1), 0)
        came = came * fading + arrival * seconds
        due = due * fading + unit(rule, at: now) * seconds
    }

    /// Items per second to be ready for: the most that come within the shortest lag from now.
    func arrival(_ rule: PredictRule, at now: Moment) -> Double {
        let steps = rule.earliest > .zero ? 8 : 0
        let most = (0...steps).map { step in
            unit(rule, at: now.advanced(by: rule.earliest * step / Swift.max(steps, 1)))
        }.max()
        return share(assumed: rule.share) * (most ?? 0)
    }

    /// Items per second that come at `moment` if all come back.
    private func unit(_ rule: PredictRule, at moment: Moment) -> Double {
        let from = moment.advanced(by: .zero - rule.latest)
        let to = moment.advanced(by: .zero - rule.earliest)
        let sent = spans.reduce(0) { sum, span in
            let length = span.to.since(span.from).inSeconds
            let common = Swift.min(span.to, to).since(Swift.max(span.from, from)).inSeconds
            return common > 0 && length > 0 ? sum + span.amount * common / length : sum
        }
        return sent / Swift.max((rule.latest - rule.earliest).inSeconds, 1)
    }

    private mutating func note(
        _ amount: Double, from: Moment, to: Moment, _ rule: PredictRule
    ) {
        let width = rule.latest.inSeconds / Forecast.spansKept
        if let last = spans.last, to.since(last.from).inSeconds <= width {
            spans[spans.count - 1] = Span(from: last.from, to: to, amount: last.amount + amount)
        } else {
            spans.append(Span(from: from, to: to, amount: amount))
        }
        spans.removeAll { to.since($0.to) > rule.latest }
    }
}

/// That what a role gets follows from what was sent: `predict: {from: outbound.sent, lag: 5m..60m}`.
public struct PredictRule: Hashable, Sendable {
    /// Signal: items per second that are sent.
    public var from: String
    /// The shortest and the longest time until one comes back; shortest < longest.
    public var earliest: Duration
    public var latest: Duration
    /// Share of sent items, 0…1, that is expected to come back until it has been measured.
    public var share: Double

    public init(from: String, earliest: Duration, latest: Duration, share: Double = 0) {
        self.from = from
        self.earliest = earliest
        self.latest = latest
        self.share = share
    }
}
