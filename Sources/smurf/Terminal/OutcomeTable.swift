import RoleSimulation

/// Simulated runs side by side.
enum OutcomeTable {
    static func lines(of outcomes: [Outcome]) -> [String] {
        var table = Table([
            "STEERED BY", "DONE AFTER", "OLDEST BOUNCE", "MOST BOUNCES WAIT", "CLICK P50", "P99",
            "MOVES", "FLAPS", "LIMITS",
        ])
        for outcome in outcomes {
            let done = outcome.completion.map { spoken(seconds: Double($0)) }
            table.add([
                outcome.name, done ?? "never (\(Int(outcome.unsent)) left)",
                spoken(seconds: Double(outcome.worstBounceAge)),
                String(Int(outcome.worstBounceBacklog)),
                spoken(seconds: Double(outcome.clickWaitMedian)),
                spoken(seconds: Double(outcome.clickWaitP99)), String(outcome.moves),
                String(outcome.flaps), outcome.keepsLimits ? "kept" : "broken",
            ])
        }
        return table.lines
    }
}
