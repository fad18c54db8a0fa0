import DeliveryCore
import Farm
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Sends jobs to one relay over a few kept connections, opened when there is work and closed when there is
/// none for a minute. It decides nothing about retries: every job ends in exactly one report. All methods may
/// be called from any thread.
final class RelaySender: Sendable {
    struct Configuration: Sendable {
        var relay: (address: IPAddress, port: UInt16)
        /// Where connections come from; nil leaves it to the system.
        var source: IPAddress?
        /// Said in EHLO.
        var helloName: String
        /// Connections at most.
        var connections: Int
        /// Without any answer from the relay for so long, waiting jobs are given back.
        var patience = Duration.seconds(20)
    }

    /// A job that so many connections were lost under is deferred.
    static let maximumLosses = 3

    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var opening = 0
        var failures = 0
        var retryAt = ContinuousClock.now
        var failingSince: ContinuousClock.Instant?
        var isFinishing = false
    }

    private let configuration: Configuration
    private let group: any EventLoopGroup
    private let report: @Sendable (DeliveryReport) -> Void
    private let logger: Logger
    private let queue = JobQueue()
    private let state = Mutex(State())

    /// - Parameter report: called once per job, on event loops.
    init(
        _ configuration: Configuration, group: any EventLoopGroup, logger: Logger,
        report: @escaping @Sendable (DeliveryReport) -> Void
    ) {
        self.configuration = configuration
        self.group = group
        self.report = report
        self.logger = logger
    }

    /// Connections that are open.
    var openConnections: Int { state.withLock { $0.channels.count } }

    /// The relay has not answered for its `patience`.
    var isUnreachable: Bool {
        state.withLock { state in
            state.failingSince.map { ContinuousClock.now - $0 > configuration.patience } ?? false
        }
    }

    func send(_ jobs: [DeliveryJob]) {
        guard queue.append(jobs) else {
            for job in jobs { giveBack(job, "the sender is closing") }
            return
        }
        wake()
    }

    /// Opens a connection before there is work for it, to see whether the relay is there.
    func probe() {
        state.withLock { $0.opening += 1 }
        open()
    }

    /// Gives back what waits, lets the connections finish what they are at, and closes them.
    /// - Parameter grace: time for that; what is open then is cut off, and reported as such.
    func finish(grace: Duration) async {
        let channels = state.withLock { state in
            state.isFinishing = true
            return Array(state.channels.values)
        }
        for job in queue.takeAll(closing: true) { giveBack(job, "the smurf leaves its role") }
        for channel in channels {
            channel.pipeline.fireUserInboundEventTriggered(RelayConnection.Wish.quit)
        }
        let end = ContinuousClock.now + grace
        while openConnections > 0, ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(50))
        }
        for channel in state.withLock({ Array($0.channels.values) }) {
            try? await channel.close()
        }
    }

    // MARK: Connections

    /// Lets idle connections pull and opens more when there is work for them.
    private func wake() {
        let waiting = queue.count
        let (channels, toOpen) = state.withLock { state in
            let now = ContinuousClock.now
            let missing = configuration.connections - state.channels.count - state.opening
            let mayOpen = !state.isFinishing && now >= state.retryAt
            // One at a time while the relay does not answer.
            let limit = state.failures > 0 ? (state.opening == 0 ? 1 : 0) : missing
            // A relay that was away is tried also without work: nobody gives any before it is back.
            let wanted = max((waiting + 1) / 2, state.failures > 0 ? 1 : 0)
            let count = mayOpen ? max(0, min(missing, limit, wanted)) : 0
            state.opening += count
            return (Array(state.channels.values), count)
        }
        for channel in channels {
            channel.pipeline.fireUserInboundEventTriggered(RelayConnection.Wish.pull)
        }
        for _ in 0..<toOpen { open() }
    }

    private func open() {
        let handlerEvents = RelayConnection.Events(
            ready: { [weak self] in self?.didAnswer() }, finished: report,
            untried: { [weak self] job, why in self?.retry(job, why) })
        do {
            let host = configuration.relay.address.description
            let target = try SocketAddress(
                ipAddress: host, port: Int(configuration.relay.port))
            var bootstrap = ClientBootstrap(group: group)
                .connectTimeout(.seconds(10))
                .channelOption(.socketOption(.tcp_nodelay), value: 1)
                .channelInitializer { [queue, configuration] channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            RelayConnection(
                                queue: queue, helloName: configuration.helloName,
                                events: handlerEvents))
                    }
                }
            if let source = configuration.source {
                bootstrap = bootstrap.bind(
                    to: try SocketAddress(ipAddress: source.description, port: 0))
            }
            bootstrap.connect(to: target).whenComplete { [self] in didConnect($0) }
        } catch {
            didConnect(.failure(error))
        }
    }

    private func didConnect(_ result: Result<any Channel, any Error>) {
        switch result {
        case .success(let channel):
            let key = ObjectIdentifier(channel)
            let isFinishing = state.withLock { state in
                state.opening -= 1
                state.channels[key] = channel
                return state.isFinishing
            }
            if isFinishing { channel.close(promise: nil) }
            channel.closeFuture.whenComplete { [self] _ in didClose(key) }
        case .failure(let error):
            state.withLock { $0.opening -= 1 }
            didFail("\(error)")
        }
    }

    private func didAnswer() {
        state.withLock { state in
            state.failures = 0
            state.failingSince = nil
            state.retryAt = .now
        }
        wake()
    }

    private func didClose(_ key: ObjectIdentifier) {
        let waiting = queue.count
        let isMissed = state.withLock { state in
            state.channels[key] = nil
            guard state.channels.isEmpty, state.opening == 0, !state.isFinishing else {
                return false
            }
            return waiting > 0 || state.failures > 0
        }
        if isMissed { didFail("the relay closed the connection") }
    }

    /// Tries again later, twice as late each time; after `patience` the waiting jobs go back.
    private func didFail(_ why: String) {
        let (delay, isHopeless) = state.withLock { state in
            state.failures += 1
            let since = state.failingSince ?? .now
            state.failingSince = since
            let delay = Duration.milliseconds(100 << min(state.failures, 6))
            state.retryAt = .now + delay
            return (delay, .now - since > configuration.patience)
        }
        if isHopeless {
            let text = "the relay does not answer: \(why)"
            logger.warning("\(text)")
            for job in queue.takeAll(closing: false) { giveBack(job, text) }
        }
        group.next().scheduleTask(in: .nanoseconds(delay.clampedNanoseconds)) { [weak self] in
            self?.wake()
        }
    }

    private func retry(_ job: DeliveryJob, _ why: String) {
        var job = job
        job.losses += 1
        if job.losses > Self.maximumLosses {
            return report(DeliveryReport(job: job, verdict: .deferred, text: why))
        }
        if !queue.putBack(job) { giveBack(job, why) }
    }

    private func giveBack(_ job: DeliveryJob, _ why: String) {
        report(DeliveryReport(job: job, verdict: .returned, text: why))
    }
}
