/// What there is to do, as plain numbers with names ("outbound.backlog", "bounces.arrival", …). The
/// delivery side and the agents measure it, the policy file says which role it concerns. A number that
/// is missing or old is never taken for zero.
public struct Demand: Hashable, Sendable {
    /// One measured number.
    public struct Signal: Hashable, Sendable {
        /// Finite, not negative. Rates are per second, backlogs are counts, latencies are seconds.
        public var value: Double
        /// When it was measured, on the reader's own clock.
        public var observed: Moment

        public init(value: Double, observed: Moment) {
            self.value = value
            self.observed = observed
        }
    }

    public private(set) var signals: [String: Signal]

    public init() { signals = [:] }

    /// Names of the numbers that the delivery side and the agents measure by themselves.
    public static let measured: Set<String> = [
        "outbound.backlog", "outbound.deadline", "outbound.sent", "bounces.arrival",
        "unsubscribes.arrival",
        "unsubscribes.p95",
    ]

    /// The newest number of this name; nil when none was ever seen.
    public subscript(name: String) -> Signal? { signals[name] }

    /// Notes a number. Absurd ones (not finite, negative) are dropped: they keep the old one ageing.
    /// - Returns: whether it was taken.
    @discardableResult
    public mutating func note(_ name: String, _ value: Double, at now: Moment) -> Bool {
        guard value.isFinite, value >= 0 else { return false }
        signals[name] = Signal(value: value, observed: now)
        return true
    }
}
