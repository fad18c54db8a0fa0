import Synchronization

/// Tasks that run as long as a service does, and are ended with it.
final class ServiceTasks: Sendable {
    private let tasks = Mutex<[Task<Void, any Error>]>([])

    func add(_ work: @escaping @Sendable () async throws -> Void) {
        let task = Task { try await work() }
        tasks.withLock { $0.append(task) }
    }

    /// Cancels all and waits until they have ended. What they threw is nobody's any more.
    func cancel() async {
        let ended = tasks.withLock { tasks in
            defer { tasks = [] }
            return tasks
        }
        for task in ended { task.cancel() }
        for task in ended { _ = await task.result }
    }
}
