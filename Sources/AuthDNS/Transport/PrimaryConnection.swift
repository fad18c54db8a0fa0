import AuthDNS
import Farm
import NIOCore
import NIOPosix
import NIOSSL

/// How a primary is spoken to over TLS (RFC 9103).
public struct PrimaryTLS: Sendable {
    /// PEM file of who signed the primary's certificate; nil: whom this machine trusts.
    public var authority: String?
    /// The name that its certificate must have; nil: its address.
    public var name: String?
    /// PEM files by which the primary knows this server; nil: by its signature (TSIG) alone.
    public var certificate: String?
    public var key: String?

    public init(
        authority: String? = nil, name: String? = nil, certificate: String? = nil,
        key: String? = nil
    ) {
        self.authority = authority
        self.name = name
        self.certificate = certificate
        self.key = key
    }
}

/// One connection to a primary, by TCP or TLS, and the lengths in front of messages on it (RFC 1035 §4.2.2).
enum PrimaryConnection {
    /// A primary that is silent for so long is given up.
    private static let silence = TimeAmount.seconds(15)

    static func open(
        _ primary: ZoneFetcher.Primary
    ) async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
        let context = try primary.tls.map { try tlsContext($0) }
        let name = primary.tls?.name
        var bootstrap = ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connectTimeout(silence)
        if let source = primary.source {
            bootstrap = bootstrap.bind(
                to: try SocketAddress(ipAddress: source.description, port: 0))
        }
        return try await bootstrap.connect(
            host: primary.address.description, port: Int(primary.port)
        ) { channel -> EventLoopFuture<NIOAsyncChannel<ByteBuffer, ByteBuffer>> in
            channel.eventLoop.makeCompletedFuture {
                let pipeline = channel.pipeline.syncOperations
                if let context {
                    let handler = try NIOSSLClientHandler(context: context, serverHostname: name)
                    try pipeline.addHandler(handler)
                }
                try pipeline.addHandler(IdleStateHandler(allTimeout: silence))
                try pipeline.addHandler(SilenceHandler())
                return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
            }
        }
    }

    private static func tlsContext(_ tls: PrimaryTLS) throws -> NIOSSLContext {
        do {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv13
            configuration.applicationProtocols = ["dot"]
            if let authority = tls.authority { configuration.trustRoots = .file(authority) }
            if let certificate = tls.certificate, let key = tls.key {
                configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(certificate)
                    .map { .certificate($0) }
                configuration.privateKey = .privateKey(
                    try NIOSSLPrivateKey(file: key, format: .pem))
            }
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw NameServerError("TLS to the primary cannot be set up: \(error)")
        }
    }

    static func framed(_ message: [UInt8]) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger(UInt16(message.count))
        buffer.writeBytes(message)
        return buffer
    }

    /// Takes the next whole message out.
    static func nextMessage(in buffer: inout ByteBuffer) -> [UInt8]? {
        guard let length: UInt16 = buffer.getInteger(at: buffer.readerIndex),
            buffer.readableBytes >= 2 + Int(length)
        else { return nil }
        buffer.moveReaderIndex(forwardBy: 2)
        defer { buffer.discardReadBytes() }
        return buffer.readBytes(length: Int(length))
    }
}

/// Hangs up on a primary that says nothing.
private final class SilenceHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent {
            context.fireErrorCaught(NameServerError("the primary is silent"))
            context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }
}
