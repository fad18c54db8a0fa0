import RoleSimulation

/// Simulated runs side by side.
enum OutcomeTable {
    static func lines(of outcomes: [Outcome]) -> [String] {
        let haveHoles = outcomes.contains { !$0.holes.isEmpty }
        var table = Table(
            [
                "STEERED BY", "DONE AFTER", "OLDEST BOUNCE", "MOST BOUNCES WAIT", "CLICK P50",
                "P99", "MOVES", "FLAPS", "LIMITS",
            ] + (haveHoles ? ["BLACK HOLES"] : []))
        for outcome in outcomes {
            let done = outcome.completion.map { spoken(seconds: Double($0)) }
            table.add(
                [
                    outcome.name, done ?? "never (\(Int(outcome.unsent)) left)",
                    spoken(seconds: Double(outcome.worstBounceAge)),
                    String(Int(outcome.worstBounceBacklog)),
                    spoken(seconds: Double(outcome.clickWaitMedian)),
                    spoken(seconds: Double(outcome.clickWaitP99)), String(outcome.moves),
                    String(outcome.flaps), outcome.keepsLimits ? "kept" : "broken",
                ] + (haveHoles ? [holes(outcome)] : []))
        }
        return table.lines
    }

    /// How many were found, and after how long the last of them was.
    private static func holes(_ outcome: Outcome) -> String {
        let delays = outcome.holes.compactMap { hole in hole.found.map { $0 - hole.from } }
        let count = "\(delays.count) of \(outcome.holes.count) found"
        return delays.max().map { count + " within " + spoken(seconds: Double($0)) } ?? count
    }

    /// How many of the machines with each label held each role, on average.
    static func labels(of outcomes: [Outcome]) -> [String] {
        guard let first = outcomes.first, !first.labels.isEmpty || !first.labelled.isEmpty else {
            return []
        }
        var table = Table(
            ["STEERED BY", "LABEL", "MACHINES"] + first.roles.map { $0.uppercased() })
        for outcome in outcomes {
            let said = Set(outcome.labels.values.joined()).union(outcome.labelled.keys)
            for label in said.sorted() {
                let count = outcome.labels.values.count { $0.contains(label) }
                table.add(
                    [outcome.name, label, "\(count)"]
                        + first.roles.map { role in
                            let mean = outcome.labelled[label]?[role] ?? 0
                            return "\((mean * 10).rounded() / 10)"
                        })
            }
        }
        return table.lines
    }
}
