import RoleScheduler
import RoleSimulation

/// A recorded trace as the simulation takes it: seconds from the start of a mailing, machines by number, and what came in
/// as the differences of counts that only grow. Recordings from before there were such counts have the numbers that were
/// planned by instead, which miss what was shorter than a look.
struct RecordedRun {
    private(set) var trace = Trace([])
    /// Rows that were taken up, at least 1.
    private(set) var rows = 1
    /// Machines, at least 1.
    private(set) var machines = 1

    /// - Parameter isWhole: else from where the last mailing began that found nothing else to be sent.
    init(_ lines: [TraceLine], isWhole: Bool) {
        let counted = CountedArrivals(lines)
        let first = lines.first?.ms ?? 0
        let start = isWhole ? first : counted.lastStart ?? RecordedRun.lastRise(lines) ?? first
        let named = Set(
            lines.flatMap { [$0.down, $0.up, $0.hole, $0.well, $0.smurf].compactMap { $0 } }
        ).sorted()
        let numbers = Dictionary(
            uniqueKeysWithValues: zip(named, 1...max(named.count, 1)))
        machines = max(lines.compactMap(\.machines).max() ?? 1, named.count, 1)
        var taken = counted.lines(since: start)
        let replaced = Set(taken.compactMap(\.signal))
        var backlog = 0.0
        var total = counted.rows(since: start)
        // What was so before the start is so at the start.
        var before: [String: Trace.Line] = [:]
        for line in lines {
            // Octets of a damaged file may say any number.
            let at = (Double(line.ms) - Double(line.idle ?? 0) - Double(start)) / 1000
            guard let item = RecordedRun.line(line, at: max(at, 0), numbers), item.fault == nil
            else { continue }
            let isCounted = counted.first.map { line.ms >= $0 } ?? false
            if isCounted, let signal = line.signal, replaced.contains(signal) { continue }
            let key = RecordedRun.subject(item)
            if !isCounted, line.signal == "outbound.backlog", let value = line.value {
                if at >= 0 { total += max(value - backlog, 0) }
                backlog = at >= 0 ? value : 0
            }
            if at < 0 { before[key] = item } else { taken.append(item) }
        }
        rows = Int(min(max(total, 1), 1e12))
        trace = Trace(before.sorted { $0.key < $1.key }.map(\.value) + taken)
    }

    /// What it says something of; what was said of that before counts no more.
    private static func subject(_ item: Trace.Line) -> String {
        if let number = item.down ?? item.up { return "machine \(number)" }
        if let number = item.hole ?? item.well { return "work of \(number)" }
        return item.signal ?? "labels of \(item.machine ?? 0)"
    }

    private static func line(
        _ line: TraceLine, at: Double, _ numbers: [String: Int]
    ) -> Trace.Line? {
        if let signal = line.signal, let value = line.value {
            return Trace.Line(at: at, signal: signal, value: value)
        }
        if let number = line.down.flatMap({ numbers[$0] }) {
            return Trace.Line(at: at, machine: number, isDown: true)
        }
        if let number = line.up.flatMap({ numbers[$0] }) {
            return Trace.Line(at: at, machine: number, isDown: false)
        }
        if let number = line.hole.flatMap({ numbers[$0] }) {
            return Trace.Line(at: at, machine: number, isHole: true)
        }
        if let number = line.well.flatMap({ numbers[$0] }) {
            return Trace.Line(at: at, machine: number, isHole: false)
        }
        guard let labels = line.labels, let number = line.smurf.flatMap({ numbers[$0] }) else {
            return nil
        }
        return Trace.Line(at: at, machine: number, labels: labels)
    }

    /// When the backlog rose last after it had been empty, in milliseconds.
    private static func lastRise(_ lines: [TraceLine]) -> Int64? {
        var (start, isEmpty): (Int64?, Bool) = (nil, true)
        for line in lines where line.signal == "outbound.backlog" {
            let waits = (line.value ?? 0) > 0
            if waits, isEmpty { start = line.ms }
            isEmpty = !waits
        }
        return start
    }
}
