import Synchronization

/// What one stream of the core has to remember between its reader, its writer and its claims: credit, rows
/// that are out, templates offered, and whether the address is still in the name. Any thread; calls are short.
final class FeedBook: Sendable {
    private struct State {
        var credit = 0
        var out = 0
        var offered: Set<UInt32> = []
        var isLeaving = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// Rows that were fed and have no receipted outcome.
    var rowsOut: Int { state.withLock { $0.out } }

    var isLeaving: Bool {
        get { state.withLock { $0.isLeaving } }
        set {
            state.withLock { $0.isLeaving = newValue }
            wake()
        }
    }

    func grant(_ rows: Int) {
        state.withLock { $0.credit += rows }
        wake()
    }

    /// Rows that are out already when the stream begins.
    func begin(rowsOut: Int) { state.withLock { $0.out = rowsOut } }

    /// Waits until rows may be fed or the address has left the name.
    /// - Returns: rows that may be fed; 0 when it is leaving or the task was cancelled.
    func waitForCredit() async -> Int {
        await wait { $0.isLeaving || $0.credit > 0 }
        return state.withLock { $0.isLeaving ? 0 : $0.credit }
    }

    /// Waits until the address has left the name and nothing is out any more, or it has come back.
    func waitForEnd() async {
        await wait { !$0.isLeaving || $0.out == 0 }
    }

    /// Notes rows that go out.
    /// - Returns: whether the mailing's template has to go first.
    func feed(_ rows: Int, of mailing: UInt32) -> Bool {
        state.withLock { state in
            state.credit = max(0, state.credit - rows)
            state.out += rows
            return state.offered.insert(mailing).inserted
        }
    }

    func settle(_ rows: Int) {
        state.withLock { $0.out = max(0, $0.out - rows) }
        wake()
    }

    /// Returns when `isDone` holds or the task is cancelled.
    private func wait(until isDone: @escaping @Sendable (State) -> Bool) async {
        while !Task.isCancelled, !state.withLock({ isDone($0) }) {
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isOver = state.withLock { state in
                        // Looked at under the lock, so that no change is missed.
                        if Task.isCancelled || isDone(state) { return true }
                        state.waiters.append(continuation)
                        return false
                    }
                    if isOver { continuation.resume() }
                }
            } onCancel: {
                wake()
            }
        }
    }

    private func wake() {
        let waiters = state.withLock { state in
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
