import Dispatch
import Foundation
import Synchronization

/// What recipients sent back, kept on a smurf's disk until the control node has it. Whoever was told "250" or
/// "200" can rely on it: `append` returns after fsync; items that come while others are being written share
/// the next write. Numbers grow in the order of writing, for ever, also across restarts. A last record that a
/// crash has cut short was promised to nobody: it is dropped at the next start. Any thread.
public final class FeedbackSpool: Sendable {
    private struct Incoming {
        var feedback: AgentFeedback
        var done: CheckedContinuation<UInt64, any Error>
    }

    private struct State {
        var incoming: [Incoming] = []
        var isWriting = false
        /// On disk and not acknowledged, by number.
        var waiting: [SpooledFeedback] = []
    }

    private let state: Mutex<State>
    private let disk: SpoolDisk
    /// Disk work, one after the other, on a thread that may wait.
    private let queue = DispatchQueue(label: "feedback-spool")

    /// Opens the spool and reads what is in it.
    /// - Parameter directory: must exist; the spool's files begin with "feedback".
    /// - Throws: `SpoolError` when its files cannot be read or made.
    public init(directory: String) throws {
        let (disk, waiting) = try SpoolDisk.open(directory)
        self.disk = disk
        state = Mutex(State(waiting: waiting))
    }

    /// Items that the control node has not acknowledged.
    public var backlog: Int { state.withLock { $0.waiting.count } }

    /// Keeps an item.
    /// - Returns: its number, when it is on disk.
    /// - Throws: `SpoolError` when it cannot be written: it is not kept, and its sender must be told so.
    @discardableResult
    public func append(_ feedback: AgentFeedback) async throws -> UInt64 {
        try await withCheckedThrowingContinuation { done in
            let mustWrite = state.withLock { state in
                state.incoming.append(Incoming(feedback: feedback, done: done))
                defer { state.isWriting = true }
                return !state.isWriting
            }
            if mustWrite { queue.async { self.write() } }
        }
    }

    /// The oldest items that are not acknowledged, by number.
    public func pending(limit: Int) -> [SpooledFeedback] {
        state.withLock { Array($0.waiting.prefix(limit)) }
    }

    /// The control node has every item up to this number on its disk.
    public func acknowledge(upTo sequence: UInt64) {
        let isEmpty = state.withLock { state in
            state.waiting.removeAll { $0.sequence <= sequence }
            return state.waiting.isEmpty
        }
        // A mark that is lost makes items come again, which the ledger is used to.
        queue.async { self.disk.forget(upTo: sequence, isEmpty: isEmpty) }
    }

    private func write() {
        while true {
            let group = state.withLock { state in
                defer { state.incoming = [] }
                if state.incoming.isEmpty { state.isWriting = false }
                return state.incoming
            }
            if group.isEmpty { return }
            do {
                let items = try disk.write(group.map(\.feedback))
                state.withLock { $0.waiting += items }
                for (item, entry) in zip(items, group) {
                    entry.done.resume(returning: item.sequence)
                }
            } catch {
                for entry in group { entry.done.resume(throwing: error) }
            }
        }
    }
}

/// Why feedback cannot be kept.
public struct SpoolError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
