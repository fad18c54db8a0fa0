import Synchronization
import UnixSignals

/// What the process was told by signals: to end, or to read its files anew. Trapped once for as long as the process
/// lives and kept until somebody looks, so that one that comes while nobody waits, as between two nodes in the same
/// process, is not lost.
final class ProcessSignals: Sendable {
    private struct Told {
        var hasEnd = false
        var reloads = 0
        var waiting: [Int: AsyncStream<Void>.Continuation] = [:]
        var last = 0
    }

    private let told = Mutex(Told())

    /// Traps SIGTERM, SIGINT and SIGHUP; to be called once.
    init() async {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
        // Until the process ends.
        Task { [self] in
            for await signal in signals { note(signal) }
        }
    }

    private func note(_ signal: UnixSignal) {
        let waiting = told.withLock { told in
            if signal == .sighup { told.reloads += 1 } else { told.hasEnd = true }
            return told.waiting.values.map { $0 }
        }
        for one in waiting { one.yield() }
    }

    /// Whether the process was told to end; it stays so.
    var hasEnd: Bool { told.withLock { $0.hasEnd } }

    /// Returns once the process is told to end, at once when it was, or when the task is cancelled.
    func end() async { await wait { $0.hasEnd } }

    /// Returns once the files are to be read anew; several signals that nobody waited for are one. Or when the task
    /// is cancelled.
    /// - Returns: false when it was cancelled.
    func reload() async -> Bool {
        await wait { told in
            defer { told.reloads = 0 }
            return told.reloads > 0
        }
        return !Task.isCancelled
    }

    private func wait(_ hasCome: (inout Told) -> Bool) async {
        // One is enough: whoever waits looks at everything that was told.
        let (rings, bell) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let number = told.withLock { told in
            told.last += 1
            told.waiting[told.last] = bell
            return told.last
        }
        defer { told.withLock { _ = $0.waiting.removeValue(forKey: number) } }
        // What came before the bell was hung up.
        bell.yield()
        for await _ in rings where told.withLock({ hasCome(&$0) }) { return }
    }
}
