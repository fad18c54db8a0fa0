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
