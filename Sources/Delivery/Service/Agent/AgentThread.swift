import Glibc
import NIOCore
public import NIOPosix

/// The one thread on which a control node deals with its agents: their connections (TLS, HTTP/2) and the tasks that take
/// their reports. On the pool's threads each report would wake another thread, which costs more than the report; here it
/// is taken in where it was read. When reports come thick, the thread rests for some milliseconds between two looks at
/// its sockets, so that one waking does for several. Nothing on it may wait for a disk. What is decided of a report is
/// decided elsewhere.
public final class AgentThread: TaskExecutor {
    /// For the server's connections.
    public let group: MultiThreadedEventLoopGroup
    private let loop: any EventLoop
    private let pace: NIOLoopBoundBox<Pace>

    public init() {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        loop = group.next()
        pace = .makeBoxSendingValue(Pace(now: .now()), eventLoop: loop)
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute {
            unsafe job.runSynchronously(on: self.asUnownedTaskExecutor())
            if self.pace.value.shallRest(now: .now()) {
                // Behind all that has come with this job.
                self.loop.execute { self.rest() }
            }
        }
    }

    private func rest() {
        usleep(Pace.rest)
        pace.value.hasRested()
    }

    /// Runs `work`, and the tasks that belong to it, on the thread. The thread does not end with it: what is left of a task
    /// would have nowhere to run.
    public func run(_ work: @Sendable () async throws -> Void) async throws {
        try await withTaskExecutorPreference(self) { try await work() }
    }

    /// When the thread rests: while it has so much to do that what comes meanwhile is worth one waking. A farm of a few
    /// machines, or one that says little, is answered at once.
    struct Pace: Sendable {
        /// Microseconds.
        static let rest: UInt32 = 8_000
        /// Over which jobs are counted.
        static let window = TimeAmount.milliseconds(100)
        /// Jobs in a window from which on it rests: two or three are a report.
        static let busy = 100

        private var began: NIODeadline
        private var jobs = 0
        private var isBusy = false
        private var restIsDue = false

        init(now: NIODeadline) { began = now }

        /// Counts a job.
        /// - Returns: whether a rest is to follow now; `hasRested` has to be called after it.
        mutating func shallRest(now: NIODeadline) -> Bool {
            jobs += 1
            if now - began >= Pace.window {
                // After silence the window is longer, and as many jobs are less.
                isBusy = now - began < Pace.window * 2 && jobs >= Pace.busy
                (began, jobs) = (now, 0)
            }
            guard isBusy, !restIsDue else { return false }
            restIsDue = true
            return true
        }

        mutating func hasRested() { restIsDue = false }
    }
}
