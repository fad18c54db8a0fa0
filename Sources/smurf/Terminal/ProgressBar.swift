/// A line that tells how far long work is: repainted on a terminal, printed anew every few seconds
/// otherwise.
struct ProgressBar {
    private let terminal: Bool
    private let plainEvery: Duration
    /// Nothing is shown before: short work needs no bar.
    private let begin: ContinuousClock.Instant
    private var last: ContinuousClock.Instant?

    /// - Parameters:
    ///   - delay: how long the work may take without a bar.
    ///   - plainEvery: least time between two lines when standard output is no terminal.
    init(
        terminal: Bool = Report.isTerminal, after delay: Duration = .zero,
        plainEvery: Duration = .seconds(5)
    ) {
        self.terminal = terminal
        self.plainEvery = plainEvery
        begin = .now + delay
    }

    /// Shows the state of the work.
    /// - Parameters:
    ///   - fraction: 0…1 of it is done.
    ///   - text: what stands beside the bar.
    mutating func show(fraction: Double, _ text: String) {
        let now = ContinuousClock.now
        if now < begin { return }
        if !terminal, let last, now - last < plainEvery { return }
        last = now
        if terminal {
            Report.paint("\r\u{1B}[2K" + ProgressBar.bar(fraction) + " " + text)
            return
        }
        Report.paint("\(Int(fraction * 100)) % \(text)\n")
    }

    /// Leaves the line as it is and goes to the next.
    func finish() {
        if terminal, last != nil { Report.paint("\n") }
    }

    static func bar(_ fraction: Double, width: Int = 24) -> String {
        let bounded = fraction.isFinite ? min(max(fraction, 0), 1) : 0
        let full = Int(bounded * Double(width))
        return "[" + String(repeating: "█", count: full)
            + String(repeating: "·", count: width - full) + "] \(Int(bounded * 100)) %"
    }
}
