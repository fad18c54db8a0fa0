import FarmProtocol
import Foundation

/// What the running farm would make of another policy, shown to the operator, and the question whether it shall. What
/// differs between the two is shown by whoever asks.
enum PolicyQuestion {
    /// Shows the moves that the farm would make, and asks.
    /// - Parameters:
    ///   - force: whether names may be left without members.
    ///   - yes: it was answered on the command line.
    /// - Throws: `Report.badInput` when it must not be, or the operator does not want it.
    static func ask(
        _ question: String, _ view: Smurffarm_V1_PolicyView, force: Bool, yes: Bool
    ) throws {
        print("\n" + moves(view).joined(separator: "\n"))
        if !view.emptied.isEmpty {
            print("\nNames would be left without members:")
            for name in view.emptied { print("  " + name) }
            guard force else {
                throw Report.failure(
                    "refused: names would be left without members; --force does it anyway",
                    status: Report.badInput)
            }
        }
        guard !view.shared || view.refusal.isEmpty else {
            throw Report.failure(view.refusal, status: Report.badInput)
        }
        guard yes || confirmed(question) else {
            throw Report.failure("nothing was changed", status: Report.badInput)
        }
    }

    private static func moves(_ view: Smurffarm_V1_PolicyView) -> [String] {
        var lines = ["This farm, if its numbers stayed as they are:"]
        var table = Table(["ROLE", "NOW", "THEN"])
        for role in view.roles { table.add([role.role, "\(role.now)", "\(role.then)"]) }
        lines += table.lines
        if !view.atRest { lines.append("It does not come to rest within an hour.") }
        guard !view.moves.isEmpty else { return lines + ["", "Nobody moves."] }
        table = Table(["AFTER", "SMURF", "FROM", "TO", "WHY"])
        for move in view.moves {
            table.add([
                spoken(seconds: Double(move.second)), move.smurf, move.from, move.to, move.why,
            ])
        }
        let rest = Int(view.moveCount) - view.moves.count
        return lines + ["", "First moves:"] + table.lines
            + (rest > 0 ? ["… and \(rest) more"] : [])
    }

    private static func confirmed(_ question: String) -> Bool {
        guard isatty(STDIN_FILENO) == 1 else {
            Report.note("standard input is no terminal to ask on; --yes does without")
            return false
        }
        Report.paint("\n\(question) [y/N] ")
        return ["y", "yes"].contains(readLine()?.lowercased() ?? "")
    }
}
