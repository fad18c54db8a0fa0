import NIOCore
import NIOEmbedded
import Testing

@testable import Delivery

@Suite struct UnsharedReadsTests {
    /// Plays TLS: it uses one buffer again and again, as long as nobody else holds it.
    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias InboundOut = ByteBuffer

        private var buffer = ByteBufferAllocator().buffer(capacity: 32_768)
        /// How often the buffer had to be copied because somebody held it.
        private(set) var copies = 0
        private var place: UInt?

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            buffer.clear()
            var (input, output) = (unwrapInboundIn(data), buffer)
            buffer = ByteBuffer()
            output.writeBuffer(&input)
            let now = output.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
            if let place, place != now { copies += 1 }
            place = now
            buffer = output
            context.fireChannelRead(wrapInboundOut(output))
        }
    }

    /// Plays the HTTP/2 decoder: it keeps what it was given last.
    private final class Keeper: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private(set) var kept: [ByteBuffer] = []

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            kept = kept.suffix(1) + [unwrapInboundIn(data)]
        }
    }

    /// - Returns: copies of the large buffer, and what was kept.
    private func read(_ reports: Int, with between: [any ChannelHandler]) throws -> (
        Int, [ByteBuffer]
    ) {
        let (reader, keeper) = (Reader(), Keeper())
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandlers([reader] + between + [keeper])
        for number in 0..<reports {
            try channel.writeInbound(ByteBuffer(string: "report \(number)"))
        }
        _ = try channel.finish()
        return (reader.copies, keeper.kept)
    }

    @Test func whatWasReadIsPassedOnInABufferOfItsOwn() throws {
        let (copies, kept) = try read(100, with: [UnsharedReads()])
        #expect(copies == 0)
        #expect(kept.map { String(buffer: $0) } == ["report 98", "report 99"])
        #expect(kept.allSatisfy { $0.capacity <= 64 })
    }

    /// That this is worth a handler.
    @Test func withoutItEveryReadCopiesAll() throws {
        let (copies, kept) = try read(100, with: [])
        #expect(copies == 99)
        #expect(kept.allSatisfy { $0.capacity >= 32_768 })
    }
}
