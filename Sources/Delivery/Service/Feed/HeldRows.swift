import FarmProtocol
import SwiftProtobuf
import Synchronization

/// The rows a smurf holds under leases: waiting, being sent, or done with an outcome that the core has not
/// receipted. It outlives streams and roles, so that an outcome is repeated until the core has it on disk, and
/// a new stream can be told exactly what is held. It sends nothing itself. Any thread; each call is short.
final class HeldRows: Sendable {
    /// Rows under way at most, over all mailings.
    let window: Int
    /// Chosen at start: a core that sees another run knows that what was held before is lost.
    let run: UInt64

    private static let batchSize = 256

    private struct Lease: Hashable {
        var mailing: UInt32
        var epoch: UInt64
    }

    private struct State {
        var highestEpoch: UInt64 = 0
        var generation = 0
        var replies: AsyncStream<Smurffarm_V1_FeedReply>.Continuation?
        /// Rows that the core may still send without being asked.
        var granted = 0
        var rows: [Lease: Set<UInt32>] = [:]
        var held = 0
        var gathered: [Lease: [Smurffarm_V1_Outcome]] = [:]
        var batches: [Smurffarm_V1_Outcomes] = []
        var lastBatch: UInt64 = 0
    }

    private let state = Mutex(State())

    init(window: Int, run: UInt64) {
        self.window = window
        self.run = run
    }

    /// Rows held now.
    var count: Int { state.withLock { $0.held } }

    // MARK: Streams

    /// Why a stream does not begin.
    enum Refusal: Error {
        /// Another core has replaced the one that asks.
        case outdated
        /// This core feeds the smurf already, by another address maybe.
        case busy
    }

    /// A stream begins; that of an older core, if any, ends.
    /// - Returns: the generation of the stream and its replies, beginning with the welcome and all outcomes
    ///   without receipt.
    func attach(
        epoch: UInt64, smurf: String
    ) throws(Refusal) -> (Int, AsyncStream<Smurffarm_V1_FeedReply>) {
        try state.withLock { state throws(Refusal) in
            guard epoch >= state.highestEpoch else { throw .outdated }
            guard epoch > state.highestEpoch || state.replies == nil else { throw .busy }
            state.highestEpoch = epoch
            state.replies?.finish()
            let (stream, continuation) = AsyncStream.makeStream(of: Smurffarm_V1_FeedReply.self)
            state.generation += 1
            state.replies = continuation
            state.granted = 0
            let welcome = Smurffarm_V1_FeedWelcome.with {
                $0.smurf = smurf
                $0.run = run
                $0.working = state.rows.filter { !$0.value.isEmpty }.map { lease, recipients in
                    .with {
                        $0.mailing = lease.mailing
                        $0.epoch = lease.epoch
                        $0.recipients = recipients.sorted()
                    }
                }
            }
            continuation.yield(.with { $0.welcome = welcome })
            for batch in state.batches { continuation.yield(.with { $0.outcomes = batch }) }
            return (state.generation, stream)
        }
    }

    func detach(generation: Int) {
        state.withLock { state in
            guard state.generation == generation else { return }
            state.replies?.finish()
            state.replies = nil
        }
    }

    /// Whether a core is connected.
    var isAttached: Bool { state.withLock { $0.replies != nil } }

    // MARK: Rows and outcomes

    /// Takes rows in.
    /// - Returns: those that are not held already; nil when the stream is not the newest one.
    func take(
        _ recipients: [UInt32], mailing: UInt32, epoch: UInt64, generation: Int
    ) -> Set<UInt32>? {
        state.withLock { state in
            guard state.generation == generation else { return nil }
            state.granted = max(0, state.granted - recipients.count)
            let lease = Lease(mailing: mailing, epoch: epoch)
            let fresh = Set(recipients).subtracting(state.rows[lease] ?? [])
            state.rows[lease, default: []].formUnion(fresh)
            state.held += fresh.count
            return fresh
        }
    }

    /// Notes how a row ended; it stays held until its receipt.
    func note(_ outcome: Smurffarm_V1_Outcome, mailing: UInt32, epoch: UInt64) {
        state.withLock { state in
            let lease = Lease(mailing: mailing, epoch: epoch)
            state.gathered[lease, default: []].append(outcome)
            if let items = state.gathered[lease], items.count >= Self.batchSize {
                state.gathered[lease] = nil
                Self.send(items, lease, &state)
            }
        }
    }

    /// Sends what was gathered, and credit for rows that may come. To be called some times a second.
    /// - Parameter mayTakeMore: false while the relay is out of reach.
    func flush(mayTakeMore: Bool) {
        state.withLock { state in
            for (lease, items) in state.gathered { Self.send(items, lease, &state) }
            state.gathered.removeAll(keepingCapacity: true)
            let credit = window - state.held - state.granted
            guard mayTakeMore, credit >= window / 8, let replies = state.replies else { return }
            state.granted += credit
            replies.yield(.with { $0.credit.rows = UInt32(clamping: credit) })
        }
    }

    /// The core has all batches up to `batch` on disk: their rows are held no more.
    func receipt(upTo batch: UInt64) {
        state.withLock { state in
            let done = state.batches.prefix { $0.batch <= batch }
            for outcomes in done {
                let lease = Lease(mailing: outcomes.mailing, epoch: outcomes.epoch)
                for item in outcomes.items
                where state.rows[lease]?.remove(item.recipient) != nil { state.held -= 1 }
                if state.rows[lease]?.isEmpty == true { state.rows[lease] = nil }
            }
            state.batches.removeFirst(done.count)
        }
    }

    private static func send(
        _ items: [Smurffarm_V1_Outcome], _ lease: Lease, _ state: inout State
    ) {
        state.lastBatch += 1
        let batch = Smurffarm_V1_Outcomes.with {
            $0.batch = state.lastBatch
            $0.mailing = lease.mailing
            $0.epoch = lease.epoch
            $0.items = items
        }
        state.batches.append(batch)
        state.replies?.yield(.with { $0.outcomes = batch })
    }

    /// Says why a template does not compile.
    func refuse(mailing: UInt32, reason: String) {
        state.withLock { state in
            _ = state.replies?.yield(
                .with {
                    $0.refused.mailing = mailing
                    $0.refused.reason = reason
                })
        }
    }
}
