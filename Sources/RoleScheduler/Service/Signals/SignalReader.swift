import Logging
import RoleSchedulerCore

/// Reads the signals that the policy names sources for, each at its own pace and never twice at once.
actor SignalReader {
    private let scheduler: RoleSchedulerService
    private var due: [SignalSource: ContinuousClock.Instant] = [:]
    private var busy: Set<SignalSource> = []

    init(_ scheduler: RoleSchedulerService) { self.scheduler = scheduler }

    /// Reads until it is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                let sources = await scheduler.signalSources
                due = due.filter { sources.contains($0.key) }
                for source in sources where take(source) {
                    group.addTask { await self.read(source) }
                }
                try? await Task.sleep(for: .milliseconds(100))
            }
            group.cancelAll()
        }
    }

    private func take(_ source: SignalSource) -> Bool {
        let now = ContinuousClock.now
        guard !busy.contains(source), due[source] ?? now <= now else { return false }
        due[source] = now + source.every
        busy.insert(source)
        return true
    }

    private func read(_ source: SignalSource) async {
        let reading = await SignalReader.reading(of: source)
        busy.remove(source)
        guard !Task.isCancelled else { return }
        await scheduler.note(reading, of: source)
    }

    static func reading(of source: SignalSource) async -> SignalReading {
        switch source.kind {
        case .command(let arguments):
            return await CommandOutput(arguments: arguments, timeout: source.timeout).read()
        case .prometheus(let server, let query, let age):
            guard let asked = PrometheusQuery(server: server, query: query, age: age) else {
                return .trouble("'\(server)' is no http:// address")
            }
            return await withTaskGroup(of: SignalReading.self) { group in
                group.addTask { await asked.read() }
                group.addTask {
                    try? await Task.sleep(for: source.timeout)
                    return .trouble("no answer in time")
                }
                defer { group.cancelAll() }
                return await group.next() ?? .trouble("no answer in time")
            }
        }
    }
}

extension RoleSchedulerService {
    /// What is to be read now: only the node that plans needs numbers.
    var signalSources: [SignalSource] { leads ? policy.signals : [] }

    /// Notes what a reading gave. Without a number the last one ages.
    func note(_ reading: SignalReading, of source: SignalSource) {
        switch reading {
        case .value(let value, let age):
            // Held within what a duration can say: the number comes from outside.
            note(source.signal, value, age: .seconds(min(age, 1e9)))
            signalTroubles[source.signal] = nil
        case .trouble(let text):
            if signalTroubles[source.signal] != text {
                logger.warning("signal \(source.signal) cannot be read: \(text)")
            }
            signalTroubles[source.signal] = text
        }
    }

    /// For the board, while the policy still has the source.
    var signalNotes: [String] {
        policy.signals.compactMap { source in
            signalTroubles[source.signal].map { "signal \(source.signal) cannot be read: \($0)" }
        }
    }
}
