import Farm

/// Gathers membership changes so that secondaries keep up: the first change after a quiet time passes
/// at once, and what comes within the window behind it passes together at its end, the newest for all.
struct ChangeWindow {
    private let length: Duration
    private var opens: ContinuousClock.Instant?
    private var newest: Change?
    private var lastTicket: UInt64 = 0
    private var passed: UInt64 = 0

    init(length: Duration) { self.length = length }

    /// What is to be published.
    struct Change {
        var membership: Membership
        /// nil: the next one.
        var serial: UInt32?
        /// nil: the zone keeps those that it has.
        var keys: SealedKeys.Zone?
    }

    /// What one caller has to do now.
    enum Turn {
        /// Publish this, then report its ticket by `pass`.
        case publish(Change, ticket: UInt64)
        /// Ask again after so long.
        case wait(Duration)
        /// A newer change has passed in the caller's place.
        case done
    }

    /// Notes a change; it replaces those that still wait.
    mutating func enter(_ change: Change) -> UInt64 {
        newest = change
        lastTicket += 1
        return lastTicket
    }

    mutating func turn(of ticket: UInt64, now: ContinuousClock.Instant) -> Turn {
        guard ticket > passed, let newest else { return .done }
        if let opens, now < opens {
            // Short steps: somebody else may publish meanwhile.
            return .wait(min(now.duration(to: opens), .milliseconds(10)))
        }
        opens = now.advanced(by: length)
        return .publish(newest, ticket: lastTicket)
    }

    /// Everything up to `ticket` is published.
    mutating func pass(_ ticket: UInt64) { passed = max(passed, ticket) }
}
