/// What a smurf runs while it holds a role: it exists only while the role is held or draining.
public protocol RoleService: Sendable {
    /// Binds its listeners.
    /// - Throws: `ListenerError` when a port is taken.
    func start() async throws
    /// Refuses new work politely (421, 503 + Retry-After), finishes what is under way, closes after at most `grace`.
    func stop(grace: Duration) async
    /// What goes on now.
    var activity: RoleActivity { get async }
}

/// What a role service is at.
public struct RoleActivity: Hashable, Sendable {
    /// Listeners are bound and a self-test has worked.
    public var isReady: Bool
    /// Open connections and transactions.
    public var connections: Int
    /// 95th percentile of the time of web requests in the last 10 s; 0 = none.
    public var webP95Milliseconds: Double

    public init(isReady: Bool, connections: Int, webP95Milliseconds: Double = 0) {
        self.isReady = isReady
        self.connections = connections
        self.webP95Milliseconds = webP95Milliseconds
    }
}

/// Why a listener does not run.
public struct ListenerError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
