import ArgumentParser
import Foundation
import RoleScheduler
import RoleSimulation

/// `smurf trace`: what a farm saw, for `smurf policy simulate --trace`.
struct TraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Takes out what a control node recorded of its farm.",
        subcommands: [Export.self])

    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "export",
            abstract: "Writes the last mailing, or all that is recorded, as a trace.",
            discussion: """
                Every control node that leads keeps a trace of the numbers, the machines that went down and came up, \
                and the moves, in its data directory: two files of at most 16 MB. Another policy can live through \
                it again:

                  smurf trace export --data /var/lib/smurf --to may.jsonl
                  smurf policy simulate new.yml --against policy.yml --trace may.jsonl --recipients 800k
                """)

        @Option(help: "The control node's data directory; it may run meanwhile.")
        var data = "smurf-data"
        @Option(help: "Write to this file; by default to standard output.") var to: String?
        @Flag(help: "All that is recorded, not only since the last mailing began.") var all = false

        func run() throws {
            let recorded: RecordedTrace
            do {
                recorded = try RecordedTrace(directory: data)
            } catch {
                throw Report.failure("\(error)", status: Report.badInput)
            }
            if recorded.unreadable > 0 {
                Report.note("\(recorded.unreadable) lines could not be read and are left out")
            }
            let run = RecordedRun(recorded.lines, isWhole: all)
            guard !run.trace.lines.isEmpty else {
                throw Report.failure("nothing was recorded yet", status: Report.badInput)
            }
            if let to {
                try TraceFile.write(run.trace, to: to)
            } else {
                FileHandle.standardOutput.write(try TraceFile.text(run.trace))
            }
            Report.note(
                "\(run.trace.lines.count) lines; simulate it with --recipients \(run.rows) "
                    + "--smurfs \(run.machines)")
        }
    }
}

/// A recorded trace as the simulation takes it: seconds from the start of a mailing, machines by number.
struct RecordedRun {
    private(set) var trace = Trace([])
    /// Rows that were seen to be put into the backlog, at least 1.
    private(set) var rows = 1
    /// Machines, at least 1.
    private(set) var machines = 1

    /// - Parameter isWhole: else from where the backlog rose last, after it had been empty.
    init(_ lines: [TraceLine], isWhole: Bool) {
        let start = isWhole ? lines.first?.ms ?? 0 : RecordedRun.start(of: lines)
        let named = Set(lines.flatMap { [$0.down, $0.up, $0.smurf].compactMap { $0 } }).sorted()
        let numbers = Dictionary(
            uniqueKeysWithValues: zip(named, 1...max(named.count, 1)))
        machines = max(lines.compactMap(\.machines).max() ?? 1, named.count, 1)
        var taken: [Trace.Line] = []
        var backlog = 0.0
        var total = 0.0
        // What was so before the start is so at the start.
        var before: [String: Trace.Line] = [:]
        for line in lines {
            // Octets of a damaged file may say any number.
            let at = (Double(line.ms) - Double(start)) / 1000
            guard let item = RecordedRun.line(line, at: max(at, 0), numbers), item.fault == nil
            else { continue }
            let key = item.signal ?? "machine \(item.down ?? item.up ?? 0)"
            if line.signal == "outbound.backlog", let value = line.value {
                if at >= 0 { total += max(value - backlog, 0) }
                backlog = at >= 0 ? value : 0
            }
            if at < 0 { before[key] = item } else { taken.append(item) }
        }
        rows = max(Int(total), 1)
        trace = Trace(before.sorted { $0.key < $1.key }.map(\.value) + taken)
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
        return line.up.flatMap { numbers[$0] }.map {
            Trace.Line(at: at, machine: $0, isDown: false)
        }
    }

    /// When the last mailing began, in milliseconds.
    private static func start(of lines: [TraceLine]) -> Int64 {
        var (start, isEmpty) = (lines.first?.ms ?? 0, true)
        for line in lines where line.signal == "outbound.backlog" {
            let waits = (line.value ?? 0) > 0
            if waits, isEmpty { start = line.ms }
            isEmpty = !waits
        }
        return start
    }
}
