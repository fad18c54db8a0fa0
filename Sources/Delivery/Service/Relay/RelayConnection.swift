import DeliveryCore
import Farm
import NIOCore

/// One SMTP connection to the relay: takes jobs from the queue whenever the dialogue has room, renders them
/// and reports how they ended. The dialogue itself is `SMTPClient`'s. Lives on its channel's event loop.
final class RelayConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What its owner is told; called on the event loop.
    struct Events: Sendable {
        var ready: @Sendable () -> Void
        var finished: @Sendable (DeliveryReport) -> Void
        /// A job that the relay has answered nothing to.
        var untried: @Sendable (DeliveryJob, String) -> Void
    }

    /// What its owner wants of it: fired into the pipeline, from any thread.
    enum Wish: Sendable {
        /// Jobs have arrived.
        case pull
        /// End once what is under way is done.
        case quit
    }

    /// Time without work after which the connection is given up.
    static let idleLimit = Duration.seconds(60)

    private let queue: JobQueue
    private let events: Events
    private var client: SMTPClient
    private var inHand: [UInt64: (job: DeliveryJob, content: ByteBuffer)] = [:]
    private var nextID: UInt64 = 0
    private var rendered: [UInt8] = []
    private var wasReady = false
    private var isQuitting = false
    private var idleSince: Moment?
    private var watch: RepeatedTask?

    init(queue: JobQueue, helloName: String, events: Events) {
        self.queue = queue
        self.events = events
        client = SMTPClient(helloName: helloName)
    }

    func channelActive(context: ChannelHandlerContext) {
        client.connected(at: now(context))
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        watch = context.eventLoop.scheduleRepeatedTask(
            initialDelay: .seconds(1), delay: .seconds(1)
        ) { _ in bound.value.0.look(bound.value.1) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Array(unwrapInboundIn(data).readableBytesView)
        perform(client.receive(bytes, at: now(context)), context)
        if client.isReady, !wasReady {
            wasReady = true
            events.ready()
        }
        pull(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        watch?.cancel()
        perform(client.connectionLost(), context)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event as? Wish {
        case .pull: pull(context)
        case .quit: quit(context)
        case nil: context.fireUserInboundEventTriggered(event)
        }
    }

    /// Takes jobs as long as the dialogue has room.
    private func pull(_ context: ChannelHandlerContext) {
        let before = nextID
        while client.isReady, client.room > 0, !isQuitting, let job = queue.take() {
            send(job, context)
        }
        if nextID != before { context.flush() }
    }

    /// Says goodbye once what is under way is done.
    private func quit(_ context: ChannelHandlerContext) {
        isQuitting = true
        perform(client.quit(at: now(context)), context)
        if !client.isReady { context.close(promise: nil) }
    }

    private func send(_ job: DeliveryJob, _ context: ChannelHandlerContext) {
        let sender: String
        do {
            sender = try job.render(into: &rendered)
        } catch {
            let report = DeliveryReport(job: job, verdict: .unrenderable, text: error.description)
            return events.finished(report)
        }
        nextID += 1
        inHand[nextID] = (job, context.channel.allocator.buffer(bytes: rendered))
        let message = SMTPClient.Message(
            id: nextID, sender: sender,
            recipients: [job.recipient], size: rendered.count,
            isEightBit: CompiledTemplate.isEightBit(rendered))
        perform(client.enqueue(message, at: now(context)), context, flush: false)
    }

    private func perform(
        _ actions: [SMTPClient.Action], _ context: ChannelHandlerContext, flush: Bool = true
    ) {
        for action in actions {
            switch action {
            case .write(let bytes):
                let buffer = context.channel.allocator.buffer(bytes: bytes)
                context.write(wrapOutboundOut(buffer), promise: nil)
            case .writeContent(let id):
                if let content = inHand[id]?.content {
                    context.write(wrapOutboundOut(content), promise: nil)
                }
            case .finished(let id, let outcomes): finish(id, outcomes)
            case .close:
                context.flush()
                context.close(promise: nil)
            }
        }
        if flush && !actions.isEmpty { context.flush() }
    }

    private func finish(_ id: UInt64, _ outcomes: [SMTPClient.Outcome]) {
        guard let (job, _) = inHand.removeValue(forKey: id), let outcome = outcomes.first else {
            return
        }
        let verdict: RowOutcome.Verdict
        switch outcome.verdict {
        case .accepted: verdict = .accepted
        case .deferred: verdict = .deferred
        case .refused: verdict = .refused
        case .doubtful: verdict = .doubtful
        case .untried: return events.untried(job, outcome.text)
        }
        let isUsual = outcome.verdict == .accepted && outcome.reply?.code == 250
        events.finished(
            DeliveryReport(job: job, verdict: verdict, text: isUsual ? "" : outcome.text))
    }

    /// Once a second: overdue replies, and connections that nobody needs.
    private func look(_ context: ChannelHandlerContext) {
        let now = now(context)
        if let deadline = client.deadline, deadline <= now {
            perform(client.tick(at: now), context)
        }
        pull(context)
        guard client.unfinished == 0, wasReady else {
            idleSince = nil
            return
        }
        let since = idleSince ?? now
        idleSince = since
        if now.since(since) >= Self.idleLimit { quit(context) }
    }

    private func now(_ context: ChannelHandlerContext) -> Moment {
        Moment(nanoseconds: Int64(clamping: context.eventLoop.now.uptimeNanoseconds))
    }
}
