import Synchronization

/// Submitters that wait for the relay's word on their message, by its number.
final class SubmissionWaiters: Sendable {
    private struct State {
        var last: UInt64 = 0
        var waiting: [UInt64: CheckedContinuation<DeliveryReport, Never>] = [:]
    }

    private let state = Mutex(State())

    /// Hands a message over under a new number and waits for its report.
    func answer(_ handOver: (UInt64) -> Void) async -> DeliveryReport {
        await withCheckedContinuation { continuation in
            let number = state.withLock { state in
                state.last += 1
                state.waiting[state.last] = continuation
                return state.last
            }
            handOver(number)
        }
    }

    func answer(_ number: UInt64, _ report: DeliveryReport) {
        state.withLock { $0.waiting.removeValue(forKey: number) }?.resume(returning: report)
    }
}
