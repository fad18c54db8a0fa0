import Farm
import FarmProtocol
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2
public import Logging
import NIOCore
import NIOPosix
import SwiftProtobuf
import Synchronization

/// One machine of the farm: it reports to a control node about once a second, and is what it is ordered to
/// be. Without its control node it goes on with what it was ordered last. Of several control nodes one takes its reports;
/// the others send it on.
public final class SmurfAgent: Sendable {
    private let configuration: AgentConfiguration
    private let logger: Logger
    private let runNumber = UInt64.random(in: 1...UInt64(Int64.max))
    private let work: AgentWork
    private let spool: FeedbackSpool
    private let sequence = Mutex<UInt64>(0)
    /// Which of the control nodes is asked now.
    private let place = Mutex(0)
    private let newest = Mutex<Smurffarm_V1_RoleOrder?>(nil)
    /// Says that `newest` is to be followed.
    private let orders: AsyncStream<Void>
    private let bell: AsyncStream<Void>.Continuation

    /// Opens the feedback spool.
    /// - Throws: when the data directory cannot be used.
    public init(_ configuration: AgentConfiguration, logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        spool = try FeedbackSpool(directory: configuration.dataDirectory)
        work = AgentWork(configuration, run: runNumber, spool: spool, logger: logger)
        (orders, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Works until the task is cancelled; then finishes what is under way and closes its listeners.
    public func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.keepAttending() }
            group.addTask {
                for await _ in self.orders { await self.followNewest() }
            }
        }
        // In a task of its own, because this one is cancelled: what is under way shall be waited for.
        await Task {
            await work.end()
            await depositRest()
        }.value
    }

    // MARK: Registry

    private func keepAttending() async {
        var wait = Duration.milliseconds(250)
        while !Task.isCancelled {
            do {
                try await withControlNode { registry, options in
                    try await self.attendAndDeposit(registry, options)
                }
                wait = .milliseconds(250)
            } catch {
                if Task.isCancelled { return }
                logger.warning("no control node: \(describe(error))")
                // One that follows says so at once: nothing is to be waited for before all were asked.
                guard nextControlNode() else {
                    try? await Task.sleep(for: .milliseconds(50))
                    continue
                }
            }
            try? await Task.sleep(for: wait)
            wait = min(wait * 2, .seconds(5))
        }
    }

    /// Asks the next control node from now on.
    /// - Returns: whether all have been asked.
    private func nextControlNode() -> Bool {
        place.withLock { place in
            place = (place + 1) % configuration.controls.count
            return place == 0
        }
    }

    /// Both on the one connection: a control node has a thousand of them.
    private func attendAndDeposit(_ registry: RegistryClient, _ options: CallOptions) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { await self.keepDepositing(registry, options) }
            try await self.attend(registry, options)
        }
    }

    private func attend(_ registry: RegistryClient, _ options: CallOptions) async throws {
        try await registry.attend(
            options: options,
            requestProducer: { writer in
                while !Task.isCancelled {
                    try await writer.write(await self.report())
                    try await self.waitForChange()
                }
            },
            onResponse: { response in
                for try await order in response.messages {
                    self.newest.withLock { $0 = order }
                    self.bell.yield()
                }
            })
    }

    /// Waits for a second, or until there is something that the control node should know.
    private func waitForChange() async throws {
        let seen = await work.version
        for _ in 0..<10 {
            try await Task.sleep(for: .milliseconds(100))
            if await work.version != seen { return }
        }
    }

    /// Follows the newest order, again every second while a listener cannot be started.
    private func followNewest() async {
        guard let order = newest.withLock({ $0 }), await !work.follow(order) else { return }
        try? await Task.sleep(for: .seconds(1))
        bell.yield()
    }

    private func report() async -> Smurffarm_V1_AgentReport {
        let number = sequence.withLock { sequence in
            sequence += 1
            return sequence
        }
        var report = await work.report()
        report.smurf = configuration.id.name
        report.addresses = configuration.addresses.map(\.description)
        report.labels = configuration.labels.map(\.text)
        report.sequence = number
        report.run = runNumber
        report.feedbackBacklog = UInt64(clamping: spool.backlog)
        report.load = AgentWork.loadAverage
        return report
    }

    private typealias RegistryClient = Smurffarm_V1_Registry.Client<HTTP2ClientTransport.Posix>

    private func withControlNode(
        _ body: @Sendable @escaping (RegistryClient, CallOptions) async throws -> Void
    ) async throws {
        let (address, port) = configuration.controls[place.withLock { $0 }]
        let target: any ResolvableTarget =
            switch address {
            case .v4: .ipv4(address: address.description, port: Int(port))
            case .v6: .ipv6(address: address.description, port: Int(port))
            }
        let transport = try HTTP2ClientTransport.Posix(
            target: target, transportSecurity: MachineSecurity.client(configuration.certificate),
            config: configuration.controls.count > 1
                ? MachineSecurity.impatientConfiguration : MachineSecurity.clientConfiguration)
        var options = CallOptions.defaults
        options.waitForReady = false
        try await withGRPCClient(transport: transport) { [options] client in
            try await body(RegistryClient(wrapping: client), options)
        }
    }

    private func describe(_ error: any Error) -> String {
        (error as? RPCError)?.message ?? "\(error)"
    }

    // MARK: Feedback

    private static let depositSize = 500

    /// Hands over what waits as long as the agent attends; what is not taken now is tried again a second later.
    private func keepDepositing(_ registry: RegistryClient, _ options: CallOptions) async {
        while !Task.isCancelled {
            do {
                if try await deposit(registry, options) { continue }
                try await Task.sleep(for: .milliseconds(200))
            } catch {
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// - Returns: false when nothing waits.
    private func deposit(_ registry: RegistryClient, _ options: CallOptions) async throws -> Bool {
        let items = spool.pending(limit: Self.depositSize)
        guard !items.isEmpty else { return false }
        var options = options
        options.timeout = .seconds(30)
        let batch = Smurffarm_V1_FeedbackBatch.with {
            $0.smurf = configuration.id.name
            $0.items = items.map { Smurffarm_V1_Feedback($0.sequence, $0.feedback) }
        }
        let receipt = try await registry.deposit(batch, options: options)
        spool.acknowledge(upTo: receipt.upTo)
        return true
    }

    /// Hands over what is left, if the control node is there; what is not stays on disk.
    private func depositRest() async {
        guard spool.backlog > 0 else { return }
        try? await withControlNode { registry, options in
            while try await self.deposit(registry, options) {}
        }
    }
}

extension Smurffarm_V1_Feedback {
    init(_ sequence: UInt64, _ feedback: AgentFeedback) {
        self = .with {
            $0.sequence = sequence
            $0.kind =
                switch feedback.kind {
                case .bounce: .bounce
                case .unsubscribe: .unsubscribe
                case .complaint: .complaint
                }
            $0.mailing = feedback.mailing
            $0.recipient = feedback.recipient
            $0.status = feedback.status
            $0.diagnostic = feedback.diagnostic
            $0.unixSeconds = feedback.unixTime
        }
    }
}
