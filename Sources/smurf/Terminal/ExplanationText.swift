import FarmProtocol

/// The explanation of roles and machines as text.
enum ExplanationText {
    static func lines(of view: Smurffarm_V1_ExplainView) -> [String] {
        var lines = view.phase.isEmpty ? [] : ["phase \(view.phase)"]
        for role in view.roles {
            if !lines.isEmpty { lines.append("") }
            lines += self.lines(of: role)
        }
        for smurf in view.smurfs { lines += self.lines(of: smurf) }
        if !view.notes.isEmpty { lines += [""] + view.notes.map { "! " + $0 } }
        return lines
    }

    private static func lines(of role: Smurffarm_V1_RoleAccount) -> [String] {
        let ceiling = role.maximum == 0 ? "any number" : "\(role.maximum)"
        var lines = [
            "\(role.role)   priority \(role.priority), \(role.minimum) to \(ceiling)"
        ]
        guard role.planned else { return lines + ["  not planned yet"] }
        var table = Table(["  raw", role.raw.text])
        table.add(["  wanted", "\(role.wanted)"])
        table.add(["  stabilised", "\(role.stabilised)"])
        table.add(["  target", "\(role.target)   \(role.bound.text)"])
        table.add(["  has", "\(role.assigned)" + (role.hasDelay ? "   \(role.delay.text)" : "")])
        table.add(["  in DNS", "\(role.serving)"])
        lines += table.lines
        lines += passed(role)
        return lines + changes(role.changes)
    }

    private static func passed(_ role: Smurffarm_V1_RoleAccount) -> [String] {
        guard !role.passedOver.isEmpty else { return [] }
        var table = Table(["  SMURF", "WHY NOT"])
        for passed in role.passedOver where !passed.member {
            table.add([
                "  " + passed.smurf, passed.hasWhy ? passed.why.text : "could be taken",
            ])
        }
        for passed in role.passedOver where passed.member {
            let why = passed.hasWhy ? "stays: \(passed.why.text)" : "may leave"
            table.add(["  " + passed.smurf, why])
        }
        return [""] + table.lines
    }

    private static func lines(of account: Smurffarm_V1_SmurfAccount) -> [String] {
        let smurf = account.smurf
        let state = BoardText.name(of: smurf.state) + (smurf.role.isEmpty ? "" : " " + smurf.role)
        var lines = [
            "\(smurf.smurf)   \(state) for \(spoken(seconds: smurf.secondsInState)), "
                + (smurf.healthy ? "up" : "down") + ": \(smurf.reason)"
        ]
        if !smurf.labels.isEmpty {
            lines.append("  labels \(smurf.labels.joined(separator: ", "))")
        }
        if !smurf.trouble.isEmpty { lines.append("  \(smurf.trouble)") }
        lines += smurf.words.map { "  " + BoardText.words($0) }
        var table = Table(["  ROLE", "WHY NOT"])
        for role in account.roles {
            table.add(["  " + role.role, role.hasWhy ? role.why.text : "could be taken"])
        }
        return lines + [""] + table.lines + changes(account.changes)
    }

    private static func changes(_ changes: [Smurffarm_V1_HistoryLine]) -> [String] {
        changes.isEmpty ? [] : [""] + HistoryText.lines(of: changes).map { "  " + $0 }
    }
}
