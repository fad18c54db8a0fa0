import Farm
import FarmProtocol
import Foundation
import Logging
import NIOCore
import NIOPosix
import SwiftProtobuf
import Synchronization

/// What an agent is at: the role service it runs, started and stopped as ordered, and what it reports of it.
/// It speaks to no control node itself.
actor AgentWork {
    /// Time for what is under way when a role ends.
    static let grace = Duration.seconds(30)

    private struct Running {
        var order: Smurffarm_V1_RoleOrder
        var service: any RoleService
    }

    private let configuration: AgentConfiguration
    private let logger: Logger
    private let rows: HeldRows
    private let spool: FeedbackSpool
    private let keys = Mutex<[[UInt8]]>([])
    private let counters = AgentCounters()
    private let group: MultiThreadedEventLoopGroup
    private var running: Running?
    private var order = Smurffarm_V1_RoleOrder()
    /// Grows with everything that the control node should hear of at once.
    private(set) var version = 0

    init(_ configuration: AgentConfiguration, run: UInt64, spool: FeedbackSpool, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        self.spool = spool
        rows = HeldRows(window: configuration.window, run: run)
        group = MultiThreadedEventLoopGroup.singleton
    }

    /// Does what the order says.
    /// - Returns: false when a listener could not be started: the order is to be followed again.
    func follow(_ order: Smurffarm_V1_RoleOrder) async -> Bool {
        if order.state != self.order.state || order.role != self.order.role {
            logger.notice("ordered: \(order.role.isEmpty ? "no role" : order.role), \(order.state)")
        }
        self.order = order
        keys.withLock { $0 = order.tokenKeys.map { Array($0) } }
        let wantsService =
            !order.service.isEmpty
            && [.warming, .serving, .draining].contains(order.state)
        if let running, !wantsService || !AgentWork.isSame(running.order, order) {
            await running.service.stop(grace: Self.grace)
            self.running = nil
            logger.notice("left \(running.order.role)")
        }
        defer { version += 1 }
        guard wantsService, running == nil else { return true }
        guard let service = service(for: order) else { return true }
        do {
            try await service.start()
            running = Running(order: order, service: service)
            return true
        } catch {
            logger.error("\(error)")
            return false
        }
    }

    /// Whether the same service goes on.
    private static func isSame(
        _ old: Smurffarm_V1_RoleOrder, _ new: Smurffarm_V1_RoleOrder
    ) -> Bool {
        (old.service, old.zone, old.bounceDomain) == (new.service, new.zone, new.bounceDomain)
    }

    /// Ends the role.
    func end() async {
        await running?.service.stop(grace: Self.grace)
        running = nil
    }

    /// What goes on now, without what the agent itself adds.
    func report() async -> Smurffarm_V1_AgentReport {
        let activity = await running?.service.activity
        let counts = counters.values
        return .with {
            $0.role = order.role
            $0.state = order.state
            $0.ready = order.service.isEmpty || activity?.isReady == true
            $0.connections = UInt32(clamping: activity?.connections ?? 0)
            $0.webP95Ms = activity?.webP95Milliseconds ?? 0
            $0.sent = counts.sent
            $0.bounces = counts.bounces
            $0.unsubscribes = counts.unsubscribes
        }
    }

    static var loadAverage: Double {
        let text = FileManager.default.contents(atPath: "/proc/loadavg") ?? Data()
        return Double(String(decoding: text, as: UTF8.self).prefix { $0 != " " }) ?? 0
    }

    // MARK: Services

    private func service(for order: Smurffarm_V1_RoleOrder) -> (any RoleService)? {
        switch order.service {
        case "smtp-out": outbound(order)
        case "smtp-in": inbound(order)
        case "web": web(order)
        default: nil
        }
    }

    private func inbound(_ order: Smurffarm_V1_RoleOrder) -> any RoleService {
        let desk = BounceDesk(
            zone: order.zone, bounceDomain: order.bounceDomain, hostName: hostName, spool: spool,
            people: PostmasterMail(directory: configuration.dataDirectory), counters: counters,
            keys: { [weak self] in self?.tokenKeys ?? [] })
        return BounceListener(
            listen: configuration.listen(configuration.smtpPort), desk: desk, group: group)
    }

    private func web(_ order: Smurffarm_V1_RoleOrder) -> any RoleService {
        let listening = UnsubscribeListener.Configuration(
            listen: configuration.listen(configuration.webPort))
        let desk = UnsubscribeDesk(
            base: listening.base, spool: spool, counters: counters,
            keys: { [weak self] in self?.tokenKeys ?? [] })
        return UnsubscribeListener(listening, desk: desk, group: group, logger: logger)
    }

    private var hostName: String {
        order.zone.isEmpty ? configuration.id.name : "\(configuration.id).\(order.zone)"
    }

    private func outbound(_ order: Smurffarm_V1_RoleOrder) -> any RoleService {
        let own = configuration.addresses.first { address in
            switch (address, configuration.relay.address) {
            case (.v4, .v4), (.v6, .v6): true
            default: false
            }
        }
        let relay = RelaySender.Configuration(
            relay: configuration.relay, source: own, helloName: hostName,
            connections: configuration.relayConnections)
        let feed = FeedService.Configuration(
            smurf: configuration.id.name, listen: configuration.listen(configuration.feedPort),
            certificate: configuration.certificate, relay: relay)
        let sent: @Sendable () -> Void = { [counters] in counters.addSent() }
        return OutboundService(
            feed: FeedService(
                feed, rows: rows, group: group, logger: logger,
                keys: { [weak self] in self?.tokenKeys ?? [] }, sent: sent),
            submission: SubmissionListener(
                SubmissionListener.Configuration(
                    listen: configuration.listen(configuration.submissionPort),
                    hostName: hostName, allowed: configuration.submitters, relay: relay),
                group: group, logger: logger, sent: sent))
    }

    /// As the last order said.
    private nonisolated var tokenKeys: [[UInt8]] { keys.withLock { $0 } }
}

/// What an agent has done since its start.
final class AgentCounters: Sendable {
    struct Values: Sendable {
        var sent: UInt64 = 0
        var bounces: UInt64 = 0
        var unsubscribes: UInt64 = 0
    }

    private let state = Mutex(Values())

    var values: Values { state.withLock { $0 } }

    func addSent() { state.withLock { $0.sent += 1 } }
    /// A message to an envelope sender of ours: a bounce, a complaint, a machine's answer.
    func addReturned() { state.withLock { $0.bounces += 1 } }
    func addUnsubscribe() { state.withLock { $0.unsubscribes += 1 } }
}
