/// A point on some monotonic clock, in nanoseconds. The farm's pure parts are handed the moment as an
/// argument; only the shells read a clock. Moments of different machines cannot be compared, and none
/// of them is a wall-clock time.
public struct Moment: Hashable, Comparable, Sendable {
    public let nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// - Parameter seconds: since the clock's origin; beyond ±292 years it sticks to the limit.
    public init(seconds: Double) {
        let value = seconds * 1e9
        if value >= 9.2e18 {
            nanoseconds = .max
        } else if value <= -9.2e18 {
            nanoseconds = .min
        } else {
            nanoseconds = value.isNaN ? 0 : Int64(value)
        }
    }

    /// The moment `duration` later; sticks to the ends of the scale instead of trapping.
    public func advanced(by duration: Duration) -> Moment {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.clampedNanoseconds)
        guard overflow else { return Moment(nanoseconds: sum) }
        return Moment(nanoseconds: duration < .zero ? .min : .max)
    }

    /// How long after `earlier` this moment is; negative when it is before it.
    public func since(_ earlier: Moment) -> Duration {
        let (difference, overflow) = nanoseconds.subtractingReportingOverflow(earlier.nanoseconds)
        guard overflow else { return .nanoseconds(difference) }
        return .nanoseconds(nanoseconds < earlier.nanoseconds ? Int64.min : Int64.max)
    }

    public static func < (left: Moment, right: Moment) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}

extension Duration {
    /// The duration in whole nanoseconds, held within what an `Int64` can say.
    public var clampedNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        if seconds > 9_223_372_035 { return .max }
        if seconds < -9_223_372_035 { return .min }
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    /// The duration in seconds.
    public var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
