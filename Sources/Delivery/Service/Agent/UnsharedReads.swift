import NIOCore
import NIOSSL

/// Stands between TLS and HTTP/2 of a connection and passes on what was decrypted in a buffer of just that size. Without
/// it both hold the same 32 KiB, because the HTTP/2 decoder keeps the last buffer that it has read even when nothing is
/// left in it: TLS has to copy all of them before it decrypts the next record, so that a connection takes 64 KiB, all of
/// them touched, and a report of 60 octets costs a copy of 32 KiB.
final class UnsharedReads: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let read = unwrapInboundIn(data)
        var own = ByteBufferAllocator().buffer(capacity: read.readableBytes)
        own.writeImmutableBuffer(read)
        context.fireChannelRead(wrapInboundOut(own))
    }

    /// Puts one into a connection that has TLS; call it on the channel's event loop.
    static func add(to channel: any Channel) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            guard let security = try? pipeline.handler(type: NIOSSLServerHandler.self) else {
                return
            }
            try pipeline.addHandler(UnsharedReads(), position: .after(security))
        }
    }
}
