import Logging
import Synchronization

/// Work that is waited for only so long once it was cancelled. A node that shall end, or make room for its successor,
/// must not hang on a connection that does not notice: what does not end in time is named and left behind.
struct BoundedEnd: Sendable {
    /// What the log calls it.
    let name: String
    let logger: Logger
    var limit = Duration.seconds(3)

    /// Does the work, and cancels it with this task.
    /// - Throws: what the work throws; `CancellationError` when it was left behind.
    func run(_ work: @escaping @Sendable () async throws -> Void) async throws {
        let task = Task { try await work() }
        let end = FirstResult()
        Task { end.settle(await task.result) }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { end.await($0) }
        } onCancel: {
            task.cancel()
            Task {
                try? await Task.sleep(for: limit)
                if end.settle(.failure(CancellationError())) {
                    logger.warning("\(name) did not end within \(limit) and is left behind")
                }
            }
        }
    }

    /// A result that counts once, whoever has it first.
    private final class FirstResult: Sendable {
        private struct State {
            var result: Result<Void, any Error>?
            var waiting: CheckedContinuation<Void, any Error>?
        }

        private let state = Mutex(State())

        /// - Returns: whether this one counts.
        @discardableResult
        func settle(_ result: Result<Void, any Error>) -> Bool {
            let (isFirst, waiting) = state.withLock { state in
                guard state.result == nil else {
                    return (false, CheckedContinuation<Void, any Error>?.none)
                }
                state.result = result
                return (true, state.waiting)
            }
            waiting?.resume(with: result)
            return isFirst
        }

        func await(_ continuation: CheckedContinuation<Void, any Error>) {
            let known = state.withLock { state in
                if state.result == nil { state.waiting = continuation }
                return state.result
            }
            if let known { continuation.resume(with: known) }
        }
    }
}
