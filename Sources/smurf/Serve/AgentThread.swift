import NIOCore
import NIOPosix

/// The one thread on which a control node deals with its agents: their connections (TLS, HTTP/2) and the tasks that take
/// their reports. On the pool's threads each report would wake another thread, which costs more than the report; here it
/// is taken in where it was read. Nothing on it may wait for a disk. What is decided of a report is decided elsewhere.
final class AgentThread: TaskExecutor {
    /// For the server's connections.
    let group: MultiThreadedEventLoopGroup
    private let loop: any EventLoop

    init() {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        loop = group.next()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Runs `work`, and the tasks that belong to it, on the thread; ends the thread with it.
    func run(_ work: @Sendable () async throws -> Void) async throws {
        let result: Result<Void, any Error>
        do {
            result = .success(try await withTaskExecutorPreference(self) { try await work() })
        } catch {
            result = .failure(error)
        }
        try? await group.shutdownGracefully()
        try result.get()
    }
}
