import NIOCore
import Synchronization

/// Jobs that wait for a connection with room. Any thread may put in and take out; nothing blocks.
final class JobQueue: Sendable {
    private struct State {
        var waiting = CircularBuffer<DeliveryJob>()
        var isClosed = false
    }

    private let state = Mutex(State())

    var count: Int { state.withLock { $0.waiting.count } }

    /// - Returns: false when the queue was closed: nothing was taken in.
    func append(_ jobs: [DeliveryJob]) -> Bool {
        state.withLock { state in
            if state.isClosed { return false }
            state.waiting.append(contentsOf: jobs)
            return true
        }
    }

    /// Puts a job that was taken out back at the front.
    /// - Returns: false when the queue was closed meanwhile.
    func putBack(_ job: DeliveryJob) -> Bool {
        state.withLock { state in
            if state.isClosed { return false }
            state.waiting.prepend(job)
            return true
        }
    }

    func take() -> DeliveryJob? { state.withLock { $0.waiting.popFirst() } }

    /// Takes everything out; with `closing`, nothing can be put in any more.
    func takeAll(closing: Bool) -> [DeliveryJob] {
        state.withLock { state in
            if closing { state.isClosed = true }
            let jobs = Array(state.waiting)
            state.waiting.removeAll()
            return jobs
        }
    }
}
