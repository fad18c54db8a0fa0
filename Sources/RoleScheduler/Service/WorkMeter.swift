import Farm

/// Work units per second of one machine, from a counter that may start anew.
struct WorkMeter: Sendable {
    private var last: (count: UInt64, at: Moment)?
    private var smoothed = 0.0

    mutating func note(_ count: UInt64, at now: Moment) {
        defer { last = (count, now) }
        guard let last, count >= last.count else { return }
        let seconds = now.since(last.at).inSeconds
        guard seconds > 0.05 else { return }
        smoothed = smoothed * 0.5 + Double(count - last.count) / seconds * 0.5
    }

    /// The counter as it was noted last.
    var count: UInt64? { last?.count }

    /// The rate, or 0 when nothing was heard for ten seconds.
    func rate(at now: Moment) -> Double {
        guard let last, now.since(last.at) < .seconds(10) else { return 0 }
        return smoothed
    }
}
