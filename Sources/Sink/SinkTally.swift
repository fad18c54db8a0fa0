import Synchronization

/// What a sink counted so far; complete once the sink has ended.
public struct SinkReport: Codable, Hashable, Sendable {
    public struct Fault: Codable, Hashable, Sendable {
        public var messageID: String
        public var recipient: String
        public var reason: String
    }

    public var messages = 0
    public var distinctRecipients = 0
    /// Octets of content on the wire.
    public var bytes = 0
    /// `recipient Message-ID`, once per copy beyond the first.
    public var duplicates: [String] = []
    /// The first thousand faults; `faults` counts them all.
    public var malformed: [Fault] = []
    public var faults = 0
    /// Replies 5yz and 4yz to RCPT.
    public var rejected = 0
    public var deferred = 0
    /// From the first message to the last.
    public var seconds = 0.0
    /// Messages per second.
    public var rate = 0.0
    public var reactions = ReactionReport()

    public init() {}
}

/// The counts of a running sink, shared by its threads. Any thread may call anything.
final class SinkTally: Sendable {
    private struct State {
        var report = SinkReport()
        var recipients: Set<String> = []
        var seen: Set<String> = []
        var first: Double?
        var last = 0.0
    }

    /// More faults are counted and not listed: the list is for people.
    static let mostFaults = 1000
    private let state = Mutex(State())

    /// Notes a whole batch without looking at recipients; the cheap way.
    func count(messages: Int, bytes: Int, at now: Double) {
        state.withLock { state in
            state.report.messages += messages
            state.report.bytes += bytes
            state.first = state.first ?? now
            state.last = now
        }
    }

    /// Notes one verified message for each of its recipients.
    func note(_ message: SinkMessage, messageID: String, faults: [String]) {
        state.withLock { state in
            for recipient in message.recipients {
                state.recipients.insert(recipient)
                let copy = "\(recipient) \(messageID)"
                if !state.seen.insert(copy).inserted { state.report.duplicates.append(copy) }
                state.report.faults += faults.count
                for reason in faults where state.report.malformed.count < SinkTally.mostFaults {
                    state.report.malformed.append(
                        .init(messageID: messageID, recipient: recipient, reason: reason))
                }
            }
        }
    }

    func update(_ change: (inout SinkReport) -> Void) {
        state.withLock { change(&$0.report) }
    }

    /// Messages so far.
    var messages: Int { state.withLock { $0.report.messages } }

    var report: SinkReport {
        state.withLock { state in
            var report = state.report
            report.distinctRecipients = state.recipients.count
            report.duplicates.sort()
            report.seconds = state.last - (state.first ?? state.last)
            report.rate = report.seconds > 0 ? Double(report.messages) / report.seconds : 0
            return report
        }
    }
}
