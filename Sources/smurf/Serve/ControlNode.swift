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

/// A control node: the parts of the farm that know the whole of it, wired together. What it wires has
/// its own rooms; nothing here decides anything.
final class ControlNode: Sendable {
    private let nameServer: NameServer
    private let keyDesk: KeyDesk
    private let parentWatch: ParentWatch
    private let scheduler: RoleSchedulerService
    let sources: FarmSources
    private let dataDirectory: String
    private let agents: Endpoint
    private let metrics: MetricsListener?
    private let deliveries: Deliveries
    private let certificate: MachineCertificate?
    private let lock: DataDirectoryLock
    /// Whether there may be other control nodes.
    private let isShared: Bool
    private let logger: Logger

    /// Opens the store.
    /// - Parameters:
    ///   - lock: of the data directory.
    ///   - nameServer: of this zone; it need not be started.
    ///   - etcd: nil for a node that is alone.
    /// - Throws: when the store cannot be had.
    init(
        sources: FarmSources, dataDirectory: String, lock: DataDirectoryLock,
        nameServer: NameServer, etcd: EtcdSettings?, parents: [ParentServer], agents: Endpoint,
        metrics: Endpoint?,
        deliveries options: Deliveries.Options, identity: MachineIdentity, logger: Logger
    ) throws {
        self.lock = lock
        self.sources = sources
        self.dataDirectory = dataDirectory
        self.agents = agents
        certificate = identity.certificate
        self.logger = logger
        self.nameServer = nameServer
        isShared = etcd != nil
        scheduler =
            if let etcd {
                try RoleSchedulerService(
                    policy: sources.policy, store: EtcdFarmStore(etcd),
                    dataDirectory: dataDirectory, logger: logger)
            } else {
                try RoleSchedulerService(
                    policy: sources.policy, dataDirectory: dataDirectory, logger: logger)
            }
        keyDesk = KeyDesk(nameServer: nameServer, scheduler: scheduler, isShared: isShared)
        parentWatch = ParentWatch(
            servers: parents, zone: nameServer.zone, desk: keyDesk, logger: logger)
        self.metrics = metrics.map { [scheduler] in
            MetricsListener(endpoint: $0, nameServer: nameServer, scheduler: scheduler)
        }
        guard let own = nameServer.endpoints.first else {
            throw ControlNodeError(description: "there is no address to answer DNS on")
        }
        deliveries = try Deliveries(
            options, policy: sources.policy, dataDirectory: dataDirectory,
            nameServer: Endpoint(address: own.address.reachable, port: own.port),
            certificate: identity.certificate, logger: logger)
    }

    /// Why a node stopped.
    enum End: Sendable {
        /// A signal.
        case signal
        /// A process that is to replace this one has the sockets and waits for the rest. The name server answers.
        case successor(HandoverChannel)
    }

    /// Serves until SIGTERM, SIGINT or a successor. Nothing is answered before every listener is bound.
    /// - Parameters:
    ///   - signals: trapped before anything is served; one that has come already counts.
    ///   - isServing: called when everything is bound and the name server answers.
    func run(
        _ signals: ProcessSignals, isServing: @escaping @Sendable () -> Void
    ) async throws -> End {
        let socket = dataDirectory + "/control.sock"
        try? FileManager.default.removeItem(atPath: socket)
        defer { try? FileManager.default.removeItem(atPath: socket) }
        let successors = try HandoverListener(at: ControlNode.handover(in: dataDirectory))
        defer { successors.hide() }
        let thread = AgentThread()
        let servers: [(Server, String, AgentThread?)] = [
            (operatorServer(socket), "the operator's socket \(socket)", nil),
            (agentServer(thread), "agents on \(agents)", thread),
        ]
        return try await withThrowingTaskGroup(of: End?.self) { group in
            // Whatever ends first ends the node: a signal, a successor, or a fault that must not be served around.
            defer { group.cancelAll() }
            do {
                for (server, what, thread) in servers {
                    add(what, to: &group) { try await ControlNode.serve(server, what, on: thread) }
                    guard await ControlNode.isListening(server) else {
                        _ = try await group.next()
                        return .signal
                    }
                }
                addWork(to: &group, signals, successors)
                isServing()
                let end = try await group.next() ?? nil
                for (server, _, _) in servers { server.beginGracefulShutdown() }
                try? await Task.sleep(for: MachineSecurity.goodbye)
                return end ?? .signal
            } catch let error as ControlNodeError {
                throw Report.failure(error.description)
            }
        }
    }

    /// Lets another process have the data directory; this value must not be run again.
    func giveUp() { lock.release() }

    /// Where the process that is to replace the one that works in `directory` finds it.
    static func handover(in directory: String) -> String { directory + "/handover.sock" }

    private func addWork(
        to group: inout ThrowingTaskGroup<End?, any Error>, _ signals: ProcessSignals,
        _ successors: HandoverListener
    ) {
        group.addTask {
            await signals.end()
            return .signal
        }
        group.addTask { [self] in
            while await signals.reload() { await reload() }
            return nil
        }
        group.addTask { [nameServer, logger] in
            try await Succession.await(at: successors, of: nameServer, logger).map {
                .successor($0)
            }
        }
        addAnswering(to: &group)
        if let metrics { add("the listener of --metrics", to: &group) { try await metrics.run() } }
        if !parentWatch.servers.isEmpty {
            add("the watch of the parent", to: &group) { [parentWatch] in
                try await parentWatch.run()
            }
        }
        add("the delivery core", to: &group) { [deliveries, scheduler] in
            try await deliveries.run(scheduler)
        }
    }

    /// The name server, and the scheduler, which tells it what to answer.
    private func addAnswering(to group: inout ThrowingTaskGroup<End?, any Error>) {
        nameServer.start()
        for endpoint in nameServer.endpoints {
            logger.notice("answering DNS on \(endpoint.address) port \(endpoint.port)")
        }
        if isShared && !nameServer.hasMembers {
            logger.notice("answers SERVFAIL until it knows what the other control nodes answer")
        }
        add("the scheduler", to: &group) { [scheduler, nameServer, keyDesk, deliveries] in
            try await scheduler.run(
                served: { nameServer.hasMembers ? nameServer.serial : nil }, keys: keyDesk.moved,
                following: { await deliveries.follow($0) }
            ) { view in
                try await ControlNode.offPool {
                    _ = try nameServer.publish(
                        view.membership, serial: view.serial, keys: view.keys)
                }
                nameServer.setServing(true)
            }
        }
    }

    /// Adds a part of the node, whose end is waited for only so long.
    private func add(
        _ name: String, to group: inout ThrowingTaskGroup<End?, any Error>,
        _ work: @escaping @Sendable () async throws -> Void
    ) {
        group.addTask { [logger] in
            try await BoundedEnd(name: name, logger: logger).run(work)
            return nil
        }
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
                    zone: ZoneDesk(
                        nameServer: nameServer, scheduler: scheduler, keyDesk: keyDesk,
                        logger: logger),
                    policies: PolicyDesk(
                        scheduler: scheduler, sources: sources, logger: logger,
                        reload: { [self] in try await takeUp(sources.reread()) }))
            ])
    }

    private func agentServer(_ thread: AgentThread) -> Server {
        GRPCServer(
            transport: .http2NIOPosix(
                address: SocketAddress(agents.address, port: agents.port),
                transportSecurity: MachineSecurity.server(certificate),
                config: MachineSecurity.registryConfiguration, eventLoopGroup: thread.group),
            services: [
                RegistryProvider(scheduler: scheduler, deliveries: deliveries)
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

    private static func serve(
        _ server: Server, _ what: String, on thread: AgentThread?
    ) async throws {
        do {
            if let thread {
                try await thread.run { try await server.serve() }
            } else {
                try await server.serve()
            }
        } catch {
            throw ControlNodeError(description: "cannot listen for \(what): \(error)")
        }
    }

    private func takeUp(_ fresh: FarmSources) async throws {
        let server = nameServer
        try await ControlNode.offPool {
            try server.rereadCookieSecrets()
            _ = try server.reload(fresh.zone)
        }
        guard await scheduler.replacePolicy(fresh.policy) else {
            logger.notice("policy and zone were read anew")
            return logger.notice("\(RoleSchedulerService.fileIsNotFollowed)")
        }
        logger.notice("policy and zone were read anew")
    }

    /// SIGHUP: both files anew, all or nothing.
    private func reload() async {
        do {
            try await takeUp(sources.reread())
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
