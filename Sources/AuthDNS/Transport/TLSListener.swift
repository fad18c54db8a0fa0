public import AuthDNS
import Farm
import NIOCore
import NIOPosix
import NIOSSL

/// Answers DNS over TLS (RFC 7858), transfers among it (RFC 9103), on a port of its own: TLS 1.3 by SwiftNIO, one
/// thread. Idle connections are closed, and nobody may hold more than a share, as by TCP.
public final class TLSListener: Sendable {
    /// How it is set up.
    public struct Settings: Sendable {
        /// PEM files: the chain, own certificate first, and its key.
        public var certificate: String
        public var key: String
        /// PEM file of who signed the clients' certificates; nil: clients need none.
        public var clientAuthority: String?
        public var idleTimeout: Duration
        public var connections: Int
        public var connectionsPerClient: Int

        public init(
            certificate: String, key: String, clientAuthority: String? = nil,
            idleTimeout: Duration = .seconds(20), connections: Int = 512,
            connectionsPerClient: Int = 64
        ) {
            self.certificate = certificate
            self.key = key
            self.clientAuthority = clientAuthority
            self.idleTimeout = idleTimeout
            self.connections = connections
            self.connectionsPerClient = connectionsPerClient
        }
    }

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channels: [any Channel]

    /// Begins to answer.
    /// - Throws: `NameServerError`, naming the file that cannot be used.
    public init(
        _ server: NameServer, on sockets: SecureSockets, _ settings: Settings
    ) async throws {
        let context = try TLSListener.context(settings)
        let loop = group.next()
        // Made and used on the one loop.
        let shared = try await loop.submit {
            NIOLoopBound((server.secureService(), TLSGuests(settings)), eventLoop: loop)
        }.get()
        let bootstrap = ServerBootstrap(group: group)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    let (service, guests) = shared.value
                    try pipeline.addHandler(
                        IdleStateHandler(allTimeout: TimeAmount(settings.idleTimeout)))
                    try pipeline.addHandler(NIOSSLServerHandler(context: context))
                    try pipeline.addHandler(TLSHandler(service, guests))
                }
            }
        var taken: [any Channel] = []
        for descriptor in sockets.duplicates() {
            taken.append(try await bootstrap.withBoundSocket(descriptor).get())
        }
        channels = taken
    }

    /// Hangs up.
    public func stop() async {
        for channel in channels { try? await channel.close() }
        try? await group.shutdownGracefully()
    }

    private static func context(_ settings: Settings) throws -> NIOSSLContext {
        do {
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMFile(settings.certificate).map {
                    .certificate($0)
                }, privateKey: .privateKey(try NIOSSLPrivateKey(file: settings.key, format: .pem)))
            // RFC 9103 §8.1, which DNS over TLS without transfers has nothing against.
            configuration.minimumTLSVersion = .tlsv13
            configuration.applicationProtocols = ["dot"]
            if let authority = settings.clientAuthority {
                configuration.trustRoots = .file(authority)
                configuration.certificateVerification = .noHostnameVerification
            }
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw NameServerError(
                "TLS cannot be set up with \(settings.certificate) and \(settings.key): \(error)")
        }
    }
}

/// Who is connected, and whether one more may be.
final class TLSGuests {
    private let most: (all: Int, perClient: Int)
    private var count = 0
    private var perClient: [IPAddress: Int] = [:]

    init(_ settings: TLSListener.Settings) {
        most = (settings.connections, settings.connectionsPerClient)
    }

    func enter(_ client: IPAddress) -> Bool {
        guard count < most.all, perClient[client, default: 0] < most.perClient else { return false }
        count += 1
        perClient[client, default: 0] += 1
        return true
    }

    func leave(_ client: IPAddress) {
        count -= 1
        let left = perClient[client, default: 1] - 1
        perClient[client] = left > 0 ? left : nil
    }
}

/// One connection: octets to the service and back.
private final class TLSHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let service: SecureService
    private let guests: TLSGuests
    private var conversation: SecureService.Conversation?
    private var client: IPAddress?
    private var isWaiting = false

    init(_ service: SecureService, _ guests: TLSGuests) {
        self.service = service
        self.guests = guests
    }

    func channelActive(context: ChannelHandlerContext) {
        let text = context.remoteAddress?.ipAddress ?? ""
        guard let address = IPAddress(text), guests.enter(address) else {
            service.noteRefusal()
            context.close(promise: nil)
            return
        }
        client = address
        conversation = service.begin(
            with: address, port: UInt16(clamping: context.remoteAddress?.port ?? 0))
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if let client { guests.leave(client) }
        client = nil
        conversation = nil
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        proceed(context, Array(buffer.readableBytesView))
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        proceed(context, [])
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent {
            service.noteIdle()
            context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Whatever a client does wrong in TLS, there is nobody to tell.
        context.close(promise: nil)
    }

    /// A transfer goes on as fast as it is taken; who asks without reading is not read from.
    private func proceed(_ context: ChannelHandlerContext, _ octets: [UInt8]) {
        var octets = octets
        while var current = conversation {
            let reply = service.take(octets, from: &current)
            octets = []
            conversation = current
            if !reply.isEmpty {
                var buffer = context.channel.allocator.buffer(capacity: reply.count)
                buffer.writeBytes(reply)
                context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
            }
            if current.isOver { context.close(promise: nil) }
            guard current.hasMore, context.channel.isWritable, !current.isOver else { break }
        }
        let shouldWait = !context.channel.isWritable
        if shouldWait != isWaiting {
            isWaiting = shouldWait
            _ = context.channel.setOption(.autoRead, value: !shouldWait)
        }
    }
}
