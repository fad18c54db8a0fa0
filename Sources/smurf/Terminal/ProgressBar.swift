/// A line that tells how far long work is: repainted on a terminal, printed anew every few seconds
/// otherwise.
struct ProgressBar {
    private let terminal: Bool
    private let plainEvery: Duration
    private var lastPlain: ContinuousClock.Instant?

    /// - Parameter plainEvery: least time between two lines when standard output is no terminal.
    init(terminal: Bool = Report.isTerminal, plainEvery: Duration = .seconds(5)) {
        self.terminal = terminal
        self.plainEvery = plainEvery
    }

    /// Shows the state of the work.
    /// - Parameters:
    ///   - fraction: 0…1 of it is done.
    ///   - text: what stands beside the bar.
    mutating func show(fraction: Double, _ text: String) {
        if terminal {
            Report.paint("\r\u{1B}[2K" + ProgressBar.bar(fraction) + " " + text)
            return
        }
        let now = ContinuousClock.now
        if let lastPlain, now - lastPlain < plainEvery { return }
        lastPlain = now
        Report.paint("\(Int(fraction * 100)) % \(text)\n")
    }

    /// Leaves the line as it is and goes to the next.
    func finish() {
        if terminal { Report.paint("\n") }
    }

    static func bar(_ fraction: Double, width: Int = 24) -> String {
        let bounded = fraction.isFinite ? min(max(fraction, 0), 1) : 0
        let full = Int(bounded * Double(width))
        return "[" + String(repeating: "█", count: full)
            + String(repeating: "·", count: width - full) + "] \(Int(bounded * 100)) %"
    }
}
