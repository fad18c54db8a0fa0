/// Where a recipient stands in the ledger. The numbers are on disk: they do not change.
public enum RecipientState: Int, CaseIterable, Sendable {
    case pending = 0
    case leased = 1
    case accepted = 2
    case failed = 3
    /// Another MTA has the message and goes on trying.
    case bogged = 4
    /// A delivery status notification said that it arrived.
    case delivered = 5
    case suppressed = 6
    case cancelled = 7

    public var name: String { String(describing: self) }

    public init?(name: String) {
        guard let state = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = state
    }

    /// The message is with another mail system, as far as the ledger knows.
    var isSent: Bool { self == .accepted || self == .bogged || self == .delivered }
}

/// What is known of a recipient besides its state; marks are never taken away.
public struct RecipientMarks: OptionSet, Hashable, Sendable {
    public let rawValue: Int

    public init(rawValue: Int) { self.rawValue = rawValue }

    /// May have been sent twice (RFC 1047, or a smurf that was lost).
    public static let doubtful = RecipientMarks(rawValue: 1)
    public static let bounced = RecipientMarks(rawValue: 2)
    public static let unsubscribed = RecipientMarks(rawValue: 4)

    static let named: [(RecipientMarks, String)] = [
        (.doubtful, "doubtful"), (.bounced, "bounced"), (.unsubscribed, "unsubscribed"),
    ]
}

/// How one try at a recipient ended, as the smurf reports it.
public struct RowOutcome: Hashable, Sendable {
    public enum Verdict: Hashable, CaseIterable, Sendable {
        /// 250 after the final dot.
        case accepted
        /// Another MTA took it for slow retries.
        case bogged
        /// 4yz, or the connection failed before the final dot was sent.
        case deferred
        /// 5yz.
        case refused
        /// Final dot sent, no answer (RFC 1047).
        case doubtful
        /// The row does not fit the template.
        case unrenderable
        /// Not tried: drained or cancelled.
        case returned
    }

    public var recipient: UInt32
    public var verdict: Verdict
    /// The reply in one line; empty for the usual 250.
    public var reply: String

    public init(recipient: UInt32, verdict: Verdict, reply: String = "") {
        self.recipient = recipient
        self.verdict = verdict
        self.reply = reply
    }
}
