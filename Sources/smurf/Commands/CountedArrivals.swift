import Farm
import RoleScheduler
import RoleSimulation

/// What a recorded trace counted, taken apart again into so much per second: each difference of two counts is spread over
/// the time between the two looks, so that the seconds add up to what was counted, neither more nor less.
struct CountedArrivals {
    /// What came between two looks.
    private struct Rise {
        var from: Int64
        var to: Int64
        var counts: WorkCounts
    }

    /// Of a count that stood still for long it is not written down when it was looked at last: about a second before.
    private static let longestLook: Int64 = 2000
    /// Seconds after a start that a trace may span.
    private static let longest: Int64 = 1_000_000
    private static var signals: [(name: String, number: (WorkCounts) -> Int)] {
        [
            ("outbound.arrival", \.rows), ("outbound.sent", \.settled),
            ("bounces.arrival", \.bounces), ("unsubscribes.arrival", \.unsubscribes),
        ]
    }

    /// When counting began, in milliseconds; nil when nothing was counted.
    private(set) var first: Int64?
    /// When the last mailing began before which nothing else was to be sent, in milliseconds.
    private(set) var lastStart: Int64?
    private var rises: [Rise] = []

    /// - Parameter lines: in the order of time.
    init(_ lines: [TraceLine]) {
        var last: (ms: Int64, counts: WorkCounts)?
        var backlog = 0.0
        for line in lines {
            if line.signal == "outbound.backlog", let value = line.value { backlog = value }
            guard let counts = line.counts else { continue }
            if let last {
                let (earliest, isBelow) = line.ms.subtractingReportingOverflow(
                    CountedArrivals.longestLook)
                let from = max(last.ms, isBelow ? .min : earliest)
                let rise = Rise(from: from, to: line.ms, counts: counts.since(last.counts))
                // What was put off by its receivers is open, and waits for its time.
                let isAlone = backlog == 0 || last.counts.rows == last.counts.settled
                if rise.counts.rows > 0, isAlone { lastStart = from }
                rises.append(rise)
            } else {
                first = line.ms
            }
            last = (line.ms, counts)
        }
    }

    /// Rows that were taken up.
    func rows(since start: Int64) -> Double {
        rises.reduce(0) { $1.from >= start ? $0 + Double($1.counts.rows) : $0 }
    }

    /// What came in per second from `start` on, a line for each second in which something did; none when nothing was
    /// counted.
    func lines(since start: Int64) -> [Trace.Line] {
        guard let first else { return [] }
        let (since, isBeyond) = first.subtractingReportingOverflow(start)
        let taken = rises.filter { $0.from >= start }
        return CountedArrivals.signals.flatMap { signal in
            // Nothing, from when it is counted: what was recorded until then is not.
            var seconds: [Int64: Double] = [isBeyond ? 0 : max(since, 0) / 1000: 0]
            for rise in taken {
                let amount = Double(signal.number(rise.counts))
                if amount > 0 { CountedArrivals.spread(amount, rise, start, &seconds) }
            }
            return CountedArrivals.lines(signal.name, seconds)
        }
    }

    /// Puts an amount into the seconds that it came in.
    private static func spread(
        _ amount: Double, _ rise: Rise, _ start: Int64, _ seconds: inout [Int64: Double]
    ) {
        let (from, isBefore) = rise.from.subtractingReportingOverflow(start)
        let (to, isBehind) = rise.to.subtractingReportingOverflow(start)
        guard !isBefore, !isBehind, to / 1000 < longest else { return }
        guard from < to else {
            seconds[to / 1000, default: 0] += amount
            return
        }
        for second in (from / 1000)...((to - 1) / 1000) {
            let overlap = min(to, (second + 1) * 1000) - max(from, second * 1000)
            seconds[second, default: 0] += amount * Double(overlap) / Double(to - from)
        }
    }

    private static func lines(_ name: String, _ seconds: [Int64: Double]) -> [Trace.Line] {
        var lines: [Trace.Line] = []
        for (second, value) in seconds.sorted(by: { $0.key < $1.key }) {
            lines.append(Trace.Line(at: Double(second), signal: name, value: value))
            if value > 0, seconds[second + 1] == nil {
                lines.append(Trace.Line(at: Double(second + 1), signal: name, value: 0))
            }
        }
        return lines.filter { $0.fault == nil }
    }
}
