/// What a reading of a signal gave.
enum SignalReading: Hashable, Sendable {
    /// - Parameter age: seconds since it was measured.
    case value(Double, age: Double)
    /// Why there is no number.
    case trouble(String)

    /// `value` must be finite and not negative, as all demand is.
    static func checked(_ text: some StringProtocol, age: Double = 0) -> SignalReading {
        guard text.utf8.count <= 64, let value = Double(String(text)), value.isFinite, value >= 0
        else {
            return .trouble("'\(PolicyProblems.printable(text.prefix(64)))' is no number from 0")
        }
        return .value(value, age: age)
    }
}
