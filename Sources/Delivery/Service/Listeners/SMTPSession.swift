import DeliveryCore
import Farm
import NIOCore

/// What an SMTP listener decides about. It is asked one question at a time per connection and may take its
/// time; the client waits.
protocol SMTPDesk: Sendable {
    /// Whether to talk to a client at all; nil = yes, else the reply in place of the greeting.
    func greet(_ client: SMTPPeer) -> SMTPReply?
    func check(sender: Mailbox?, from client: SMTPPeer) -> SMTPReply
    /// - Parameter taken: recipients that the transaction has already.
    func check(recipient: Mailbox, taken: Int, from client: SMTPPeer) -> SMTPReply
    /// - Returns: 2yz only when the message is safe: on disk, or with another mail system.
    func accept(_ message: SMTPServer.Message, from client: SMTPPeer) async -> SMTPReply
}

/// The other end of a connection.
struct SMTPPeer: Hashable, Sendable {
    /// nil when the system does not say.
    var address: IPAddress?
    /// As it said in EHLO; empty before.
    var name = ""
}

/// One connection of an SMTP listener: moves octets between the socket and `SMTPServer`, and questions
/// between that and the desk. Lives on its channel's event loop.
final class SMTPSession: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What the listener wants of it: fired into the pipeline.
    enum Wish: Sendable { case drain }

    /// RFC 5321 §4.5.3.2.7: a server waits 5 minutes for the next command. A command counts when it is whole:
    /// who sends an octet now and then is idle.
    static let idleLimit = TimeAmount.minutes(5)
    /// From MAIL to the end of the message. What trickles in more slowly comes from nobody's mail system.
    static let transactionLimit = TimeAmount.minutes(30)

    private let desk: any SMTPDesk
    private var server: SMTPServer
    private var peer = SMTPPeer()
    private var taken = 0
    private var lastActivity = NIODeadline.uptimeNanoseconds(0)
    /// When the transaction under way began.
    private var begun: NIODeadline?
    private var watch: RepeatedTask?
    private let isDraining: Bool

    /// - Parameter isDraining: the listener is closing: the client gets 421.
    init(desk: any SMTPDesk, configuration: SMTPServer.Configuration, isDraining: Bool) {
        self.desk = desk
        self.isDraining = isDraining
        server = SMTPServer(configuration)
    }

    func channelActive(context: ChannelHandlerContext) {
        peer.address = context.remoteAddress?.ipAddress.flatMap { IPAddress($0) }
        lastActivity = context.eventLoop.now
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        watch = context.eventLoop.scheduleRepeatedTask(
            initialDelay: .seconds(10), delay: .seconds(10)
        ) { _ in bound.value.0.look(bound.value.1) }
        if let refusal = desk.greet(peer) {
            write(refusal.octets, context)
            context.flush()
            return context.close(promise: nil)
        }
        if isDraining { perform(server.drain(), context) }
        perform(server.start(), context)
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let actions = server.receive(Array(unwrapInboundIn(data).readableBytesView))
        let now = context.eventLoop.now
        if !actions.isEmpty || server.isInContent { lastActivity = now }
        perform(actions, context)
        begun = server.isInTransaction ? begun ?? now : nil
    }

    func channelReadComplete(context: ChannelHandlerContext) { readOn(context) }

    func channelWritabilityChanged(context: ChannelHandlerContext) { readOn(context) }

    func channelInactive(context: ChannelHandlerContext) {
        watch?.cancel()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is Wish { perform(server.drain(), context) }
        context.fireUserInboundEventTriggered(event)
    }

    /// The channel reads only when told: a client that does not take its replies, or that waits for the desk,
    /// is not listened to.
    private func readOn(_ context: ChannelHandlerContext) {
        if server.wantsInput && context.channel.isWritable { context.read() }
    }

    private func perform(_ actions: [SMTPServer.Action], _ context: ChannelHandlerContext) {
        peer.name = server.clientName ?? ""
        for action in actions {
            switch action {
            case .write(let bytes): write(bytes, context)
            case .checkSender(let sender, _):
                taken = 0
                answer(desk.check(sender: sender, from: peer), context)
            case .checkRecipient(let recipient):
                let said = desk.check(recipient: recipient, taken: taken, from: peer)
                if said.isPositive { taken += 1 }
                answer(said, context)
            case .accept(let message): accept(message, context)
            case .close:
                context.flush()
                context.close(promise: nil)
            }
        }
        context.flush()
    }

    private func answer(_ reply: SMTPReply, _ context: ChannelHandlerContext) {
        perform(server.answer(reply), context)
    }

    private func accept(_ message: SMTPServer.Message, _ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let (desk, peer, loop) = (desk, peer, context.eventLoop)
        Task {
            let reply = await desk.accept(message, from: peer)
            loop.execute {
                let (session, context) = bound.value
                session.lastActivity = context.eventLoop.now
                session.begun = nil
                session.answer(reply, context)
                session.readOn(context)
            }
        }
    }

    private func write(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        context.write(wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: nil)
    }

    private func look(_ context: ChannelHandlerContext) {
        let now = context.eventLoop.now
        let isSlow = begun.map { now - $0 > Self.transactionLimit } ?? false
        guard now - lastActivity > Self.idleLimit || isSlow, server.wantsInput else { return }
        write(SMTPReply(421, "4.4.2 idle for too long").octets, context)
        context.flush()
        context.close(promise: nil)
    }
}
