import DeliveryCore
import Farm
import Foundation
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Synchronization

/// The role service `web`: takes unsubscribe requests (RFC 8058). A GET shows a page with a button, because
/// scanners follow every link; only a POST acts, and it is answered when the request is on disk.
final class UnsubscribeListener: RoleService {
    struct Configuration: Sendable {
        var listen: [(address: IPAddress, port: UInt16)]
        /// What stands before the token in the path.
        var base = "/u/"
        /// Connections at most, per address that is listened on.
        var connections = 2000
    }

    /// Answered with "ready" while the role is held: for load balancers and for the listener's own test.
    static let healthPath = "/health"

    private let configuration: Configuration
    private let desk: UnsubscribeDesk
    private let group: any EventLoopGroup
    private let logger: Logger
    private let tasks = ServiceTasks()
    private let bound = Mutex<[Int]>([])

    init(
        _ configuration: Configuration, desk: UnsubscribeDesk, group: any EventLoopGroup,
        logger: Logger
    ) {
        self.configuration = configuration
        self.desk = desk
        self.group = group
        var logger = logger
        // Hummingbird's own lines at start and stop are of no use to operators.
        logger.logLevel = .critical
        self.logger = logger
    }

    func start() async throws {
        for (address, port) in configuration.listen {
            let (ports, found) = AsyncStream.makeStream(of: Int.self)
            let application = Application(
                responder: desk,
                server: .http1(
                    configuration: .init(idleTimeout: .seconds(60))),
                configuration: .init(
                    address: .hostname(address.description, port: Int(port)), serverName: nil,
                    availableConnectionsDelegate: MaximumAvailableConnections(
                        configuration.connections)),
                onServerRunning: { channel in
                    found.yield(channel.localAddress?.port ?? 0)
                    found.finish()
                },
                eventLoopGroupProvider: .shared(group), logger: logger)
            tasks.add {
                defer { found.finish() }
                try await application.run()
            }
            var iterator = ports.makeAsyncIterator()
            guard let own = await iterator.next() else {
                await stop(grace: .zero)
                throw ListenerError("cannot listen for the web on \(address) port \(port)")
            }
            bound.withLock { $0.append(own) }
        }
        desk.state.isReady = true
        for ((address, _), port) in zip(configuration.listen, ports) {
            do {
                try await ListenerProbe.check(
                    address, port,
                    saying:
                        "GET \(Self.healthPath) HTTP/1.1\r\nHost: self\r\nConnection: close\r\n\r\n",
                    expecting: ["HTTP/1.1 200"], group)
            } catch {
                await stop(grace: .zero)
                throw error
            }
        }
    }

    /// New requests get 503 and Retry-After while those under way are finished.
    func stop(grace: Duration) async {
        desk.state.isReady = false
        let end = ContinuousClock.now + grace
        while desk.meter.underWay > 0, ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(50))
        }
        await tasks.cancel()
    }

    var ports: [Int] { bound.withLock { $0 } }

    var activity: RoleActivity {
        RoleActivity(
            isReady: desk.state.isReady, connections: desk.meter.underWay,
            webP95Milliseconds: desk.meter.p95Milliseconds)
    }
}
