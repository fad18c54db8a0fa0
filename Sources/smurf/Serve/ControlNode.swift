import ArgumentParser
import AuthDNS
import Delivery
import Farm
import FarmProtocol
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2
import Logging
import RoleScheduler
import RoleSchedulerCore
import UnixSignals

/// A control node: the parts of the farm that know the whole of it, wired together. What it wires has
/// its own rooms; nothing here decides anything.
final class ControlNode: Sendable {
    private let nameServer: NameServer
    private let parentWatch: ParentWatch
    private let scheduler: RoleSchedulerService
    private let sources: FarmSources
    private let dataDirectory: String
    private let agents: Endpoint
    private let deliveries: Deliveries
    private let certificate: MachineCertificate?
    /// Held as long as the node lives.
    private let lock: DataDirectoryLock
    private let logger: Logger

    /// Opens the store.
    /// - Parameter sockets: where to answer DNS.
    /// - Throws: when the data directory cannot be had.
    init(
        sources: FarmSources, dataDirectory: String, dns: NameServerConfiguration,
        on sockets: BoundSockets,
        parents: [ParentServer], agents: Endpoint, deliveries options: Deliveries.Options,
        identity: MachineIdentity,
        logger: Logger
    ) throws {
        lock = try DataDirectoryLock(dataDirectory)
        self.sources = sources
        self.dataDirectory = dataDirectory
        self.agents = agents
        certificate = identity.certificate
        self.logger = logger
        nameServer = try NameServer(
            configuration: dns, zone: sources.zone, logger: logger, on: sockets)
        parentWatch = ParentWatch(servers: parents, nameServer: nameServer, logger: logger)
        scheduler = try RoleSchedulerService(
            policy: sources.policy, dataDirectory: dataDirectory, logger: logger)
        guard let own = nameServer.endpoints.first else {
            throw ControlNodeError(description: "there is no address to answer DNS on")
        }
        deliveries = try Deliveries(
            options, policy: sources.policy, dataDirectory: dataDirectory,
            nameServer: Endpoint(address: own.address.reachable, port: own.port),
            certificate: identity.certificate, logger: logger)
    }

    /// Serves until SIGTERM or SIGINT. Nothing is answered before every listener is bound.
    func run() async throws {
        let socket = dataDirectory + "/control.sock"
        try? FileManager.default.removeItem(atPath: socket)
        defer { try? FileManager.default.removeItem(atPath: socket) }
        // Trapped before anything is served, for good: a signal that comes while another is dealt with waits.
        let signals = await (
            end: UnixSignalsSequence(trapping: .sigterm, .sigint),
            reload: UnixSignalsSequence(trapping: .sighup)
        )
        let servers = [
            (operatorServer(socket), "the operator's socket \(socket)"),
            (agentServer(), "agents on \(agents)"),
        ]
        try await withThrowingTaskGroup(of: Void.self) { group in
            // Whatever ends first ends the node: a signal, or a fault that must not be served around.
            defer { group.cancelAll() }
            do {
                for (server, what) in servers {
                    group.addTask { try await ControlNode.serve(server, what) }
                    guard await ControlNode.isListening(server) else {
                        try await group.next()
                        return
                    }
                }
                addWork(to: &group)
                group.addTask { for await _ in signals.end { return } }
                group.addTask { [self] in
                    for await _ in signals.reload { await reload() }
                }
                defer { nameServer.stop() }
                try await group.next()
            } catch let error as ControlNodeError {
                throw Report.failure(error.description)
            }
            for (server, _) in servers { server.beginGracefulShutdown() }
            try? await Task.sleep(for: MachineSecurity.goodbye)
        }
    }

    private func addWork(to group: inout ThrowingTaskGroup<Void, any Error>) {
        nameServer.start()
        for endpoint in nameServer.endpoints {
            logger.notice("answering DNS on \(endpoint.address) port \(endpoint.port)")
        }
        group.addTask { [scheduler, nameServer] in
            try await scheduler.run { membership in
                try await ControlNode.offPool { _ = try nameServer.publish(membership) }
            }
        }
        if !parentWatch.servers.isEmpty {
            group.addTask { [parentWatch] in try await parentWatch.run() }
        }
        group.addTask { [deliveries, scheduler] in try await deliveries.run(scheduler) }
    }

    private typealias Server = GRPCServer<HTTP2ServerTransport.Posix>

    private func operatorServer(_ socket: String) -> Server {
        let board = BoardSource(
            scheduler: scheduler, nameServer: nameServer, zone: sources.policy.zone)
        return GRPCServer(
            transport: .http2NIOPosix(
                address: .unixDomainSocket(path: socket), transportSecurity: .plaintext),
            services: [
                ControlProvider(
                    scheduler: scheduler, board: board, deliveries: deliveries,
                    zone: ZoneDesk(nameServer: nameServer, logger: logger))
            ])
    }

    private func agentServer() -> Server {
        GRPCServer(
            transport: .http2NIOPosix(
                address: SocketAddress(agents.address, port: agents.port),
                transportSecurity: MachineSecurity.server(certificate),
                config: MachineSecurity.serverConfiguration),
            services: [
                RegistryProvider(
                    scheduler: scheduler, policy: sources.policy, deliveries: deliveries)
            ])
    }

    /// Waits until the server is bound.
    /// - Returns: false when it cannot be: its task says why.
    private static func isListening(_ server: Server) async -> Bool {
        do {
            _ = try await server.listeningAddress
            return true
        } catch {
            return false
        }
    }

    /// Blocking work on a thread of its own, so that no thread of the pool waits for a disk.
    static func offPool<Result: Sendable>(
        _ work: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Swift.Result(catching: work)) }
        }
    }

    private static func serve(_ server: Server, _ what: String) async throws {
        do {
            try await server.serve()
        } catch {
            throw ControlNodeError(description: "cannot listen for \(what): \(error)")
        }
    }

    /// SIGHUP: both files anew, all or nothing.
    private func reload() async {
        do {
            let fresh = try sources.reread()
            let server = nameServer
            try await ControlNode.offPool {
                try server.rereadCookieSecrets()
                _ = try server.reload(fresh.zone)
            }
            await scheduler.replacePolicy(fresh.policy)
            await deliveries.follow(fresh.policy)
            logger.notice("policy and zone were read anew")
        } catch is ExitCode {
            // What is wrong was said line by line.
            logger.error("policy and zone stay as they were")
        } catch {
            logger.error("policy and zone stay as they were: \(error)")
        }
    }
}

extension IPAddress {
    /// Where a program on this machine finds what is bound to this address.
    fileprivate var reachable: IPAddress {
        guard isUnspecified else { return self }
        return octets.count == 4 ? .v4(0x7F00_0001) : .v6(high: 0, low: 1)
    }
}

/// Why a control node ended by itself.
struct ControlNodeError: Error, CustomStringConvertible {
    let description: String
}
