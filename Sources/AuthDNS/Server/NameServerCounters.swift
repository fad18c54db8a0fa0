import AuthDNSCore
import Synchronization

/// What one thread has counted. Only its thread writes; anyone may read.
final class WorkerCounters: Sendable {
    private let queries = Atomic<UInt64>(0)
    private let truncated = Atomic<UInt64>(0)
    private let silent = Atomic<UInt64>(0)
    private let formatErrors = Atomic<UInt64>(0)
    private let nameErrors = Atomic<UInt64>(0)
    private let refusals = Atomic<UInt64>(0)
    private let otherErrors = Atomic<UInt64>(0)
    private let answers = Atomic<UInt64>(0)

    /// Notes one query and what came of it.
    func note(_ outcome: Outcome) {
        WorkerCounters.add(queries)
        guard outcome.length > 0 else { return WorkerCounters.add(silent) }
        if outcome.isTruncated { WorkerCounters.add(truncated) }
        switch outcome.code {
        case 0: WorkerCounters.add(answers)
        case 1: WorkerCounters.add(formatErrors)
        case 3: WorkerCounters.add(nameErrors)
        case 5: WorkerCounters.add(refusals)
        default: WorkerCounters.add(otherErrors)
        }
    }

    /// One writer: a load and a store are enough.
    private static func add(_ counter: borrowing Atomic<UInt64>) {
        counter.store(counter.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }

    func add(to sum: inout NameServerCounters, isTCP: Bool) {
        let asked = queries.load(ordering: .relaxed)
        sum.queries += asked
        if isTCP { sum.tcpQueries += asked }
        sum.answers += answers.load(ordering: .relaxed)
        sum.truncated += truncated.load(ordering: .relaxed)
        sum.silent += silent.load(ordering: .relaxed)
        sum.formatErrors += formatErrors.load(ordering: .relaxed)
        sum.nameErrors += nameErrors.load(ordering: .relaxed)
        sum.refusals += refusals.load(ordering: .relaxed)
        sum.otherErrors += otherErrors.load(ordering: .relaxed)
    }
}

/// What a name server has counted since it started.
public struct NameServerCounters: Hashable, Sendable {
    /// Messages received, of which by TCP.
    public var queries: UInt64 = 0
    public var tcpQueries: UInt64 = 0
    /// Replies by response code.
    public var answers: UInt64 = 0
    public var formatErrors: UInt64 = 0
    public var nameErrors: UInt64 = 0
    public var refusals: UInt64 = 0
    public var otherErrors: UInt64 = 0
    /// Replies with TC set, and messages without a reply.
    public var truncated: UInt64 = 0
    public var silent: UInt64 = 0

    public init() {}
}
