import NIOCore
import NIOEmbedded
import NIOHTTP2
import Testing

@testable import Delivery

@Suite struct SilenceWatchTests {
    /// Plays the transport behind HTTP/2.
    private final class Transport: ChannelInboundHandler {
        typealias InboundIn = HTTP2Frame

        private(set) var frames = 0
        private(set) var ends = 0

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { frames += 1 }
        func channelReadComplete(context: ChannelHandlerContext) { ends += 1 }
    }

    private let transport = Transport()
    private let channel = EmbeddedChannel()

    init() throws {
        try channel.pipeline.syncOperations.addHandlers([
            SilenceWatch(patience: .seconds(15)), transport,
        ])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    /// A read that brings only what belongs to streams, as reports do, and is all that HTTP/2 passes on of it.
    private func report() { channel.pipeline.fireChannelReadComplete() }

    private func wait(_ seconds: Int64) {
        channel.embeddedEventLoop.advanceTime(by: .seconds(seconds))
    }

    @Test func whoReportsStays() {
        for _ in 0..<1000 {
            wait(14)
            #expect(channel.isActive)
            report()
        }
    }

    @Test func whoSaysNothingIsLeft() {
        wait(14)
        #expect(channel.isActive)
        wait(1)
        #expect(!channel.isActive)
    }

    /// Silence counts from the last that was heard, not from when somebody looked.
    @Test func whoFallsSilentIsLeft() {
        wait(10)
        report()
        wait(14)
        #expect(channel.isActive)
        wait(1)
        #expect(!channel.isActive)
    }

    /// The transport takes its timer out of a heap and puts another one in at every end of a read that it is told of.
    @Test func reportsDoNotTroubleTheTransport() throws {
        for _ in 0..<100 { report() }
        #expect(transport.ends == 0)
        let ping = HTTP2Frame(
            streamID: .rootStream, payload: .ping(HTTP2PingData(withInteger: 1), ack: false))
        for number in 1...3 {
            try channel.writeInbound(ping)
            #expect(transport.frames == number)
            #expect(transport.ends == number, "what came for the connection ends")
            report()
        }
        #expect(transport.ends == 3)
    }

    @Test func nothingIsLeftOfAConnectionThatEnds() throws {
        _ = try channel.finish()
        wait(60)
        #expect(transport.frames == 0)
    }
}
