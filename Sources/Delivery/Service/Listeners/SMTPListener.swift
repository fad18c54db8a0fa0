import DeliveryCore
import Farm
import NIOCore
import NIOPosix
import Synchronization

/// Listens for SMTP on some addresses and gives each connection a session. What is accepted the desk decides.
final class SMTPListener: Sendable {
    struct Configuration: Sendable {
        var listen: [(address: IPAddress, port: UInt16)]
        /// What it is for, in messages: "bounces", "submission".
        var purpose: String
        var server: SMTPServer.Configuration
        /// Connections in all, and from one address.
        var connections = 2000
        var connectionsPerClient = 50
    }

    private struct State {
        var listening: [any Channel] = []
        var open: [ObjectIdentifier: any Channel] = [:]
        var perClient: [String: Int] = [:]
        var isDraining = false
    }

    private let configuration: Configuration
    private let desk: any SMTPDesk
    private let group: any EventLoopGroup
    private let state = Mutex(State())

    init(_ configuration: Configuration, desk: any SMTPDesk, group: any EventLoopGroup) {
        self.configuration = configuration
        self.desk = desk
        self.group = group
    }

    var openConnections: Int { state.withLock { $0.open.count } }

    /// Where it listens, once it does.
    var ports: [Int] { state.withLock { $0.listening.compactMap { $0.localAddress?.port } } }

    /// Binds, and sees on each address that it answers as SMTP servers do.
    func start() async throws {
        for (address, port) in configuration.listen {
            let channel: any Channel
            do {
                channel = try await bootstrap.bind(
                    to: SocketAddress(ipAddress: address.description, port: Int(port))
                ).get()
            } catch {
                await stop(grace: .zero)
                throw ListenerError(
                    "cannot listen for \(configuration.purpose) on \(address) port \(port): \(error)"
                )
            }
            state.withLock { $0.listening.append(channel) }
            do {
                // Also a refusal tells that it is there.
                try await ListenerProbe.check(
                    address, channel.localAddress?.port ?? 0, expecting: ["220", "421", "554"],
                    group)
            } catch {
                await stop(grace: .zero)
                throw error
            }
        }
    }

    private var bootstrap: ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { [self] channel in
                let isAdmitted = admit(channel)
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        SMTPSession(
                            desk: isAdmitted ? desk : CrowdedDesk(),
                            configuration: configuration.server,
                            isDraining: state.withLock { $0.isDraining }))
                }
            }
    }

    /// Counts the connection in, unless there are too many.
    private func admit(_ channel: any Channel) -> Bool {
        let client = channel.remoteAddress?.ipAddress ?? ""
        let key = ObjectIdentifier(channel)
        let isAdmitted = state.withLock { state in
            let own = state.perClient[client] ?? 0
            guard state.open.count < configuration.connections,
                own < configuration.connectionsPerClient
            else { return false }
            state.open[key] = channel
            state.perClient[client] = own + 1
            return true
        }
        guard isAdmitted else { return false }
        channel.closeFuture.whenComplete { [self] _ in
            state.withLock { state in
                state.open[key] = nil
                let left = (state.perClient[client] ?? 1) - 1
                state.perClient[client] = left > 0 ? left : nil
            }
        }
        return true
    }

    /// Lets transactions end, says 421 to everybody else, and cuts off what is open after `grace`.
    func stop(grace: Duration) async {
        let (listening, open) = state.withLock { state in
            state.isDraining = true
            defer { state.listening = [] }
            return (state.listening, Array(state.open.values))
        }
        for channel in listening { try? await channel.close() }
        for channel in open {
            channel.pipeline.fireUserInboundEventTriggered(SMTPSession.Wish.drain)
        }
        let end = ContinuousClock.now + grace
        while openConnections > 0, ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(50))
        }
        for channel in state.withLock({ Array($0.open.values) }) { try? await channel.close() }
    }
}

/// Tells a client beyond the limits to come back later; talks of nothing else.
struct CrowdedDesk: SMTPDesk {
    private let later = SMTPReply(421, "4.7.0 too many connections")

    func greet(_ client: SMTPPeer) -> SMTPReply? { later }
    func check(sender: Mailbox?, from client: SMTPPeer) -> SMTPReply { later }
    func check(recipient: Mailbox, taken: Int, from client: SMTPPeer) -> SMTPReply { later }
    func accept(_ message: SMTPServer.Message, from client: SMTPPeer) async -> SMTPReply { later }
}
