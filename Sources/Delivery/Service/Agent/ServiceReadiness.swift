import Synchronization

/// Whether a service is up: set by those who start and stop it, read by those who report it.
final class ServiceReadiness: Sendable {
    private let value = Mutex(false)

    var isReady: Bool {
        get { value.withLock { $0 } }
        set { value.withLock { $0 = newValue } }
    }
}
