/// One run of the farm as a picture: who held which role, how the backlog went down, how long clicks and
/// bounces waited, and every move with its reason. It shows an outcome and computes nothing.
public struct Picture {
    private let outcome: Outcome
    private let title: String
    private let zone: String
    /// Seconds after which the mailing should be over; nil: nobody said.
    private let goal: Int?
    private let length: Int
    private static let colors = ["#0f766e", "#f59e0b", "#6366f1", "#db2777", "#64748b", "#84cc16"]
    private static let alarm = "#dc2626"
    private static let listed = 44

    /// - Parameters:
    ///   - title: what was simulated, in a few words.
    ///   - goal: seconds in which the mailing should be over.
    public init(_ outcome: Outcome, title: String, zone: String, goal: Int? = nil) {
        self.outcome = outcome
        self.title = title
        self.zone = zone
        self.goal = goal
        length = outcome.length
    }

    private var moves: [Outcome.Move] {
        outcome.log.filter { ($0.isChosen || $0.isDoubted) && $0.second >= 0 }
    }

    /// The document, in UTF-8.
    public var svg: String {
        let rows = (min(moves.count, Picture.listed) + 2) / 2
        var svg = SVG(width: 1200, height: 1330 + Double(max(rows, 1)) * 19)
        svg.text(90, 44, "A mailing through \(zone)", size: 26, color: "#0f172a", isBold: true)
        svg.text(90, 70, "\(title), steered by \(outcome.name)", size: 15)
        svg.text(90, 92, summary, size: 15)
        members(&svg)
        backlog(&svg)
        waits(&svg)
        lanes(&svg)
        return svg.document
    }

    private var summary: String {
        let done = outcome.completion.map { "sent after \(Picture.clock($0))" } ?? "never all sent"
        return "\(done) · oldest bounce \(outcome.worstBounceAge) s · unsubscribe click p99 "
            + "\(outcome.clickWaitP99) s · \(outcome.moves) moves, \(outcome.flaps) of them turned back"
    }

    private func members(_ svg: inout SVG) {
        let most = outcome.minutes.map { $0.members.values.reduce(0, +) }.max() ?? 1
        let panel = Panel(top: 150, height: 300, seconds: length, most: Double(most))
        panel.frame(&svg, title: "Members per role", unit: "machines")
        var base = outcome.minutes.map { _ in 0.0 }
        var goal = base
        for (index, role) in outcome.roles.enumerated() {
            let color = Picture.colors[index % Picture.colors.count]
            let top = zip(base, outcome.minutes).map { $0 + Double($1.members[role] ?? 0) }
            svg.polygon(
                steps(panel, top) + steps(panel, base).reversed(), fill: color, opacity: 0.85)
            goal = zip(goal, outcome.minutes).map { $0 + Double($1.targets[role] ?? 0) }
            if goal.contains(where: { $0 > 0 }) {
                svg.polyline(steps(panel, goal), "#0f172a", width: 1.5, dashes: "2 3")
            }
            base = top
        }
        holes(&svg, panel)
        legend(&svg, y: panel.top - 26)
        mark(&svg, panel)
    }

    private func legend(_ svg: inout SVG, y: Double) {
        var x = 420.0
        for (index, role) in outcome.roles.enumerated() {
            svg.rectangle(x, y, 14, 14, fill: Picture.colors[index % Picture.colors.count])
            svg.text(x + 20, y + 12, role, size: 13)
            x += 44 + Double(role.count) * 8
        }
        svg.line((x, y + 7), (x + 26, y + 7), "#0f172a", width: 1.5, dashes: "2 3")
        svg.text(x + 32, y + 12, "targets, stacked the same way", size: 13)
        guard !outcome.holes.isEmpty else { return }
        svg.line((x + 245, y + 7), (x + 271, y + 7), Picture.alarm, width: 2)
        svg.text(x + 277, y + 12, "black holes", size: 13, color: Picture.alarm)
    }

    /// How many machines take work and do none of it.
    private func holes(_ svg: inout SVG, _ panel: Panel) {
        guard !outcome.holes.isEmpty else { return }
        svg.polyline(
            steps(panel, outcome.minutes.map { Double($0.holes) }), Picture.alarm, width: 2)
    }

    private func steps(_ panel: Panel, _ values: [Double]) -> [(Double, Double)] {
        var points: [(Double, Double)] = []
        for (minute, value) in zip(outcome.minutes, values) {
            if let last = points.last { points.append((panel.x(minute.second), last.1)) }
            points.append((panel.x(minute.second), panel.y(value)))
        }
        return points
    }

    private func backlog(_ svg: inout SVG) {
        let most = outcome.minutes.map(\.outboundBacklog).max() ?? 1
        let panel = Panel(top: 530, height: 160, seconds: length, most: most)
        panel.frame(&svg, title: "Messages not yet sent", unit: "rows")
        let points = outcome.minutes.map { (panel.x($0.second), panel.y($0.outboundBacklog)) }
        let ends = [(panel.x(length), panel.y(0)), (panel.x(0), panel.y(0))]
        svg.polygon(points + ends, fill: "#0f766e", opacity: 0.2)
        svg.polyline(points, "#0f766e", width: 2)
        if let goal { panel.moment(&svg, goal, "goal \(Picture.clock(goal))", "#dc2626", line: 34) }
        mark(&svg, panel, name: true)
    }

    private func waits(_ svg: inout SVG) {
        let clicks = outcome.minutes.map { Double($0.clickWaitP99) }
        let bounces = outcome.minutes.map { Double($0.bounceAge) }
        let upper = Panel(
            top: 770, height: 110, seconds: length, most: max(clicks.max() ?? 0, 12))
        upper.frame(&svg, title: "Unsubscribe clicks: 99th percentile of the wait", unit: "s")
        svg.polyline(
            zip(outcome.minutes, clicks).map { (upper.x($0.second), upper.y($1)) }, "#6366f1",
            width: 2)
        upper.limit(&svg, 10, "limit 10 s")
        let lower = Panel(
            top: 960, height: 110, seconds: length, most: max(bounces.max() ?? 0, 360))
        lower.frame(&svg, title: "Bounces: the oldest that waits", unit: "s")
        svg.polyline(
            zip(outcome.minutes, bounces).map { (lower.x($0.second), lower.y($1)) }, "#f59e0b",
            width: 2)
        lower.limit(&svg, 300, "limit 5 min")
        mark(&svg, upper)
        mark(&svg, lower)
    }

    /// Each move as a triangle in its role's lane, up for into and down for out of, and below why.
    private func lanes(_ svg: inout SVG) {
        let roles = outcome.roles
        let panel = Panel(top: 1150, height: 84, seconds: length, most: 1)
        svg.text(
            90, 1136, "Moves: ▲ into the role, ▼ out of it", size: 17, color: "#0f172a",
            isBold: true)
        svg.rectangle(panel.left, panel.top, panel.width, panel.height, fill: "#f8fafc")
        let lane = panel.height / Double(max(roles.count, 1))
        for (index, role) in roles.enumerated() {
            let y = panel.top + lane * (Double(index) + 0.5)
            svg.line((panel.left, y), (panel.left + panel.width, y), "#e2e8f0")
            svg.text(panel.left - 10, y + 4, role, size: 12, anchor: .end)
            for move in moves where move.role == role {
                let x = panel.x(move.second)
                let tip = move.to.hasPrefix("draining") ? 6.0 : -6.0
                svg.polygon(
                    [(x, y + tip), (x - 5, y - tip * 0.6), (x + 5, y - tip * 0.6)],
                    fill: move.isDoubted
                        ? Picture.alarm : Picture.colors[index % Picture.colors.count])
            }
        }
        mark(&svg, panel)
        reasons(&svg)
    }

    /// With its labels.
    private func named(_ smurf: String) -> String {
        guard let labels = outcome.labels[smurf] else { return smurf }
        return "\(smurf) [\(labels.joined(separator: " "))]"
    }

    private func reasons(_ svg: inout SVG) {
        guard !moves.isEmpty else { return svg.text(90, 1270, "Nobody moved.", size: 12) }
        let shown = moves.prefix(Picture.listed)
        let half = (shown.count + 1) / 2
        for (index, move) in shown.enumerated() {
            let x = index < half ? 90.0 : outcome.labels.isEmpty ? 620 : 650
            let y = 1270 + Double(index % half) * 19
            let arrow = move.to.hasPrefix("draining") ? "▼" : "▲"
            svg.text(
                x + 44, y, Picture.clock(move.second), size: 12, color: "#64748b", anchor: .end)
            svg.text(
                x + 56, y, "\(arrow) \(named(move.smurf)) \(move.role): \(move.why)", size: 12,
                color: move.isDoubted ? Picture.alarm : "#334155")
        }
        if moves.count > shown.count {
            svg.text(
                90, 1270 + Double(half) * 19, "and \(moves.count - shown.count) more", size: 12)
        }
    }

    private func mark(_ svg: inout SVG, _ panel: Panel, name: Bool = false) {
        guard let done = outcome.completion else { return }
        panel.moment(&svg, done, name ? "last row sent, \(Picture.clock(done))" : "", "#0f172a")
    }

    /// "83:20": minutes and seconds.
    private static func clock(_ second: Int) -> String {
        let rest = second % 60
        return "\(second / 60):\(rest < 10 ? "0" : "")\(rest)"
    }
}
