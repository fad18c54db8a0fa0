/// One chart of a picture: a frame with its title, a scale of time across and one of amounts upwards. It
/// knows where a value lies, not what the values mean.
struct Panel {
    let left: Double
    let top: Double
    let width: Double
    let height: Double
    /// The last second, and the greatest amount, of the scales.
    let seconds: Double
    let most: Double

    init(top: Double, height: Double, seconds: Int, most: Double) {
        left = 90
        width = 1040
        self.top = top
        self.height = height
        self.seconds = Double(max(seconds, 60))
        let step = Panel.step(max(most, 1), parts: 4)
        self.most = (max(most, 1) / step).rounded(.up) * step
    }

    func x(_ second: Int) -> Double { left + width * min(Double(second) / seconds, 1) }

    func y(_ amount: Double) -> Double { top + height * (1 - min(max(amount / most, 0), 1)) }

    /// The frame, the grid and what the scales say.
    func frame(_ svg: inout SVG, title: String, unit: String) {
        svg.text(left, top - 14, title, size: 17, color: "#0f172a", isBold: true)
        svg.text(left - 10, top - 14, unit, size: 12, color: "#64748b", anchor: .end)
        svg.rectangle(left, top, width, height, fill: "#f8fafc")
        let step = Panel.step(most, parts: 4)
        for index in 0...Int((most / step).rounded()) {
            let amount = Double(index) * step
            svg.line((left, y(amount)), (left + width, y(amount)), "#e2e8f0")
            svg.text(left - 10, y(amount) + 4, Panel.short(amount), size: 12, anchor: .end)
        }
        let minutes = Panel.minuteStep(seconds / 60)
        for minute in stride(from: 0, through: Int(seconds / 60), by: minutes) {
            svg.line((x(minute * 60), top + height), (x(minute * 60), top + height + 5), "#94a3b8")
            svg.text(
                x(minute * 60), top + height + 19, minute == 0 ? "0 min" : "\(minute)", size: 12,
                anchor: .middle)
        }
        svg.line((left, top + height), (left + width, top + height), "#94a3b8")
    }

    /// A horizontal limit with its name at the right edge.
    func limit(_ svg: inout SVG, _ amount: Double, _ name: String) {
        svg.line((left, y(amount)), (left + width, y(amount)), "#dc2626", width: 1.5, dashes: "7 4")
        svg.text(left + width - 6, y(amount) - 6, name, size: 12, color: "#dc2626", anchor: .end)
    }

    /// A vertical line at a moment, with its name beside it.
    func moment(_ svg: inout SVG, _ second: Int, _ name: String, _ color: String, line: Double = 16)
    {
        guard Double(second) <= seconds else { return }
        let isLate = Double(second) > seconds * 0.8
        svg.line((x(second), top), (x(second), top + height), color, width: 1.5, dashes: "7 4")
        svg.text(
            x(second) + (isLate ? -6 : 6), top + line, name, size: 12, color: color,
            anchor: isLate ? .end : .start)
    }

    /// A round step (1, 2, 5 × 10ⁿ) that makes about so many parts.
    static func step(_ most: Double, parts: Double) -> Double {
        var step = 1.0
        while most / step > parts * 10 { step *= 10 }
        for factor in [1.0, 2, 5, 10] where most / (step * factor) <= parts + 1 {
            return step * factor
        }
        return step * 20
    }

    private static func minuteStep(_ minutes: Double) -> Int {
        for step in [1, 5, 10, 15, 30, 60, 120, 240] where minutes / Double(step) <= 16 {
            return step
        }
        return 480
    }

    private static func short(_ amount: Double) -> String {
        amount >= 1e6 && amount.truncatingRemainder(dividingBy: 1e5) == 0
            ? "\(Int(amount / 1e5) / 10)"
                + (Int(amount / 1e5) % 10 == 0 ? "M" : ".\(Int(amount / 1e5) % 10)M")
            : amount >= 1000 ? "\(Int(amount / 1000))k" : "\(Int(amount))"
    }
}
