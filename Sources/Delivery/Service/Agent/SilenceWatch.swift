import NIOCore
import NIOHTTP2

/// Ends a connection on which nothing has come for a while: a machine that is lost sends no reset. It takes the place of the
/// transport's keepalive, which for every report takes a timer out of the event loop's heap and puts another one in; here one
/// timer looks at a connection once in the time that silence may last. It asks nobody whether he is there: agents report
/// every second, and their side of the transport pings. It stands behind HTTP/2 and passes on the end of a read only when
/// a frame for the connection itself came with it, as the transport sets its timers anew at each of these ends. It does not
/// decide that a machine is dead; that is the planner's.
final class SilenceWatch: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame
    typealias InboundOut = HTTP2Frame

    private let patience: TimeAmount
    private var heard = NIODeadline.distantPast
    private var hasPassedFrames = false
    private var timer: Scheduled<Void>?

    /// - Parameter patience: how long nothing need come.
    init(patience: TimeAmount) { self.patience = patience }

    func handlerAdded(context: ChannelHandlerContext) {
        heard = context.eventLoop.now
        look(context, after: patience)
    }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        hasPassedFrames = true
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        heard = context.eventLoop.now
        guard hasPassedFrames else { return }
        hasPassedFrames = false
        context.fireChannelReadComplete()
    }

    private func look(_ context: ChannelHandlerContext, after time: TimeAmount) {
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: time) { [self] in
            let left = heard + patience - context.eventLoop.now
            guard left <= .zero else { return look(context, after: left) }
            context.close(promise: nil)
        }
    }

    /// Puts one into a connection that the transport has configured; call it on the channel's event loop.
    static func add(to channel: any Channel, patience: Duration) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            let http2 = try pipeline.handler(type: NIOHTTP2Handler.self)
            try pipeline.addHandler(
                SilenceWatch(patience: TimeAmount(patience)), position: .after(http2))
        }
    }
}
