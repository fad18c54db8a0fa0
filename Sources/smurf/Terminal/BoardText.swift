import FarmProtocol
import Foundation

/// The farm's board as text: roles with their members, machines with their states, signals, notes.
enum BoardText {
    static func lines(of view: Smurffarm_V1_BoardView) -> [String] {
        let phase = view.phase.isEmpty ? "" : "   phase \(view.phase)"
        var lines = [
            "\(view.zone)   serial \(view.serial)   version \(view.version)\(phase)", "",
        ]
        if view.hasCluster { lines += nodes(view.cluster) + [""] }
        lines += roles(view.roles) + [""] + smurfs(view.smurfs)
        if !view.signals.isEmpty { lines += [""] + signals(view.signals) }
        if !view.notes.isEmpty { lines += [""] + view.notes.map { "! " + $0 } }
        return lines
    }

    private static func nodes(_ cluster: Smurffarm_V1_ClusterView) -> [String] {
        var table = Table(["NODE", "", "AGENTS", "SERIAL"])
        for node in cluster.nodes {
            var what = node.leads ? "leads, term \(cluster.term)" : "follows"
            if node.node == cluster.node { what += " (this one)" }
            table.add([
                node.node, what, node.agents, node.serial == 0 ? "-" : "\(node.serial)",
            ])
        }
        return table.lines
    }

    private static func roles(_ roles: [Smurffarm_V1_RoleLine]) -> [String] {
        var table = Table(["ROLE", "SERVING", "TARGET", "MIN", "MAX", "NAMES", "BECAUSE"])
        for role in roles {
            table.add([
                role.role, "\(role.serving.count)", "\(role.target)", "\(role.minimum)",
                role.maximum == 0 ? "-" : "\(role.maximum)", role.names.joined(separator: ", "),
                role.because,
            ])
        }
        return table.lines
    }

    private static func smurfs(_ smurfs: [Smurffarm_V1_SmurfLine]) -> [String] {
        var table = Table(["SMURF", "ADDRESS", "ROLE", "STATE", "FOR", "UP", "CONN", "RATE", ""])
        for smurf in smurfs {
            table.add([
                smurf.smurf, smurf.addresses.joined(separator: ","),
                smurf.role.isEmpty ? "-" : smurf.role, name(of: smurf.state),
                spoken(seconds: smurf.secondsInState), smurf.healthy ? "yes" : "no",
                "\(smurf.connections)", String(format: "%.1f/s", smurf.rate),
                remark(smurf),
            ])
        }
        return table.lines
    }

    private static func remark(_ smurf: Smurffarm_V1_SmurfLine) -> String {
        let labels = smurf.labels.isEmpty ? [] : ["[\(smurf.labels.joined(separator: " "))]"]
        let trouble = smurf.trouble.isEmpty ? [] : [smurf.trouble]
        return (labels + [smurf.reason] + trouble + smurf.words.map(words)).joined(separator: "; ")
    }

    /// "cordon for 52 min 3 s more by ann: new disk"
    static func words(_ word: Smurffarm_V1_OperatorWord) -> String {
        "\(word.word) for \(spoken(seconds: word.secondsLeft)) more by \(word.operator): \(word.reason)"
    }

    private static func signals(_ signals: [Smurffarm_V1_SignalLine]) -> [String] {
        var table = Table(["SIGNAL", "VALUE", "AGE"])
        for signal in signals {
            table.add([
                signal.name, signal.ageSeconds < 0 ? "-" : String(format: "%.1f", signal.value),
                signal.ageSeconds < 0 ? "never" : spoken(seconds: signal.ageSeconds),
            ])
        }
        return table.lines
    }

    /// The state as the operator's commands spell it.
    static func name(of state: Smurffarm_V1_RoleState) -> String {
        switch state {
        case .joining: "joining"
        case .idle: "idle"
        case .warming: "warming"
        case .serving: "serving"
        case .draining: "draining"
        case .quarantined: "quarantined"
        case .held: "held"
        case .unspecified, .UNRECOGNIZED: "?"
        }
    }
}
