public import Farm
import Logging
public import RoleSchedulerCore

/// The scheduler's one loop: it plans or follows whenever the bell rings, and hands on what came of it. What it
/// does in a turn is elsewhere.
extension RoleSchedulerService {
    /// Plans, or follows the node that does, until it is cancelled.
    /// - Parameters:
    ///   - interval: between two plans when nothing rings; longer while a plan takes long.
    ///   - served: the serial that the name server answers with; nil while it does not answer.
    ///   - keys: moves on the keys that all name servers sign with, when it is time; nil for one that shares none.
    ///   - following: told of the policy that is gone by, first and whenever it is another.
    ///   - publish: makes the name server answer by it; when it throws, it is asked again.
    public func run(
        every interval: Duration = .milliseconds(100), served: @escaping @Sendable () -> UInt32?,
        keys: (@Sendable (SealedKeys?) async throws -> SealedKeys?)? = nil,
        following: @Sendable (Policy) async -> Void = { _ in },
        publish: @Sendable (FarmView) async throws -> Void
    ) async throws {
        (self.served, movedKeys) = (served, keys)
        let work = beside(every: interval)
        var (lastTrouble, lastAlarm) = ("", "")
        var told: Policy?
        for await _ in orders {
            if Task.isCancelled { break }
            tellOfAlarm(&lastAlarm)
            do {
                let view = try await nextView()
                if told != policy {
                    told = policy
                    await following(policy)
                }
                if let view {
                    try await publish(view)
                    published = view
                    answeredAsOf = plannedAt
                }
                if let serial = served() { store.tell(serial: serial) }
                lastTrouble = ""
            } catch {
                if "\(error)" != lastTrouble { logger.error("roles stay as they are: \(error)") }
                lastTrouble = "\(error)"
            }
        }
        for task in work { task.cancel() }
        for task in work { await task.value }
        try Task.checkCancellation()
    }

    private func tellOfAlarm(_ last: inout String) {
        let alarm = store.standing.alarm
        guard alarm != last else { return }
        last = alarm
        if alarm.isEmpty {
            logger.notice("etcd complains of nothing any more")
        } else {
            logger.error("\(alarm)")
        }
    }

    /// What goes on beside the loop: checks and numbers from outside, the store, and a bell that rings by itself.
    private func beside(every interval: Duration) -> [Task<Void, Never>] {
        let (store, bell) = (store, bell)
        return [
            Task { await HealthChecker(self).run() },
            Task { await SignalReader(self).run() },
            Task { await store.run { bell.yield() } },
            Task {
                while !Task.isCancelled {
                    try? await Task.sleep(for: pause(interval, after: planning))
                    bell.yield()
                }
            },
        ]
    }
}
