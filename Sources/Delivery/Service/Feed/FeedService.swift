import DeliveryCore
import Farm
import FarmProtocol
import GRPCCore
import GRPCNIOTransportHTTP2
import Logging
import NIOCore
import NIOPosix

/// The role service `smtp-out` without submission: takes rows from delivery cores and sends them through the
/// relay. Rows that are held outlive it in `HeldRows`.
final class FeedService: RoleService {
    struct Configuration: Sendable {
        var smurf: String
        /// Where to listen; plain text on loopback only.
        var listen: [(address: IPAddress, port: UInt16)]
        var certificate: MachineCertificate?
        var relay: RelaySender.Configuration
    }

    private static let flushInterval = Duration.milliseconds(50)
    /// How long a core that is away is awaited before rows are left without receipt: they are sent a second time then.
    /// One that restarts is back within seconds, and may be who ends the role in the first of them.
    private static let patience = Duration.seconds(15)

    private let rows: HeldRows
    private let sender: RelaySender
    private let servers: [GRPCServer<HTTP2ServerTransport.Posix>]
    private let configuration: Configuration
    private let logger: Logger
    private let tasks = ServiceTasks()

    /// - Parameters:
    ///   - sent: called for each message that the relay took, on any thread.
    ///   - keys: the farm's token keys as of now.
    init(
        _ configuration: Configuration, rows: HeldRows, group: any EventLoopGroup, logger: Logger,
        keys: @escaping @Sendable () -> [[UInt8]], sent: @escaping @Sendable () -> Void
    ) {
        self.configuration = configuration
        self.rows = rows
        self.logger = logger
        let sender = RelaySender(configuration.relay, group: group, logger: logger) { report in
            guard case .row(let row, let mailing, let epoch) = report.job.content else { return }
            if report.verdict == .accepted { sent() }
            rows.note(
                Smurffarm_V1_Outcome(report, of: row.recipient), mailing: mailing.id, epoch: epoch)
        }
        self.sender = sender
        let provider = FeedProvider(
            smurf: configuration.smurf, rows: rows, sender: sender, keys: keys)
        servers = configuration.listen.map { address, port in
            GRPCServer(
                transport: .http2NIOPosix(
                    address: SocketAddress(address, port: port),
                    transportSecurity: MachineSecurity.server(configuration.certificate),
                    config: MachineSecurity.serverConfiguration),
                services: [provider])
        }
    }

    func start() async throws {
        sender.probe()
        for (server, (address, port)) in zip(servers, configuration.listen) {
            tasks.add { try await server.serve() }
            do {
                _ = try await server.listeningAddress
            } catch {
                await stop(grace: .zero)
                throw ListenerError(
                    "cannot listen for the feed on \(address) port \(port): \(error)")
            }
        }
        tasks.add { [rows, sender] in
            while !Task.isCancelled {
                try await Task.sleep(for: Self.flushInterval)
                rows.flush(mayTakeMore: !sender.isUnreachable)
            }
        }
    }

    /// Finishes what the relay has begun, gives the rest back, and waits until the core has receipted it.
    func stop(grace: Duration) async {
        let end = ContinuousClock.now + grace
        await sender.finish(grace: grace)
        rows.flush(mayTakeMore: false)
        var lastAttached = ContinuousClock.now
        while rows.count > 0, ContinuousClock.now < end {
            if rows.isAttached { lastAttached = .now }
            guard ContinuousClock.now - lastAttached < Self.patience else { break }
            rows.flush(mayTakeMore: false)
            try? await Task.sleep(for: .milliseconds(50))
        }
        for server in servers { server.beginGracefulShutdown() }
        try? await Task.sleep(for: MachineSecurity.goodbye)
        await tasks.cancel()
    }

    var activity: RoleActivity {
        RoleActivity(isReady: !sender.isUnreachable, connections: rows.count)
    }
}
