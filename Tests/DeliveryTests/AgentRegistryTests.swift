import Farm
import FarmProtocol
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import Delivery

/// An agent and the control node that it reports to, here a real server that notes who calls.
@Suite struct AgentRegistryTests {
    private final class Registry: Smurffarm_V1_Registry.SimpleServiceProtocol {
        struct Seen {
            /// Connections, by the far end's address and port.
            var attending: Set<String> = []
            var depositing: Set<String> = []
            var reports = 0
            var items: [UInt64] = []
            var refusals = 0
            var threads: Set<UInt> = []
        }

        let seen = Mutex(Seen())
        /// Deposits that are refused before one is taken.
        let refused: Int

        init(refusing refused: Int = 0) { self.refused = refused }

        func attend(
            request: RPCAsyncSequence<Smurffarm_V1_AgentReport, any Error>,
            response: RPCWriter<Smurffarm_V1_RoleOrder>, context: ServerContext
        ) async throws {
            seen.withLock { _ = $0.attending.insert(context.remotePeer) }
            for try await _ in request {
                seen.withLock { seen in
                    seen.reports += 1
                    seen.threads.insert(UInt(pthread_self()))
                }
            }
        }

        func deposit(
            request: Smurffarm_V1_FeedbackBatch, context: ServerContext
        ) async throws -> Smurffarm_V1_FeedbackReceipt {
            try seen.withLock { seen in
                seen.depositing.insert(context.remotePeer)
                guard seen.refusals >= refused else {
                    seen.refusals += 1
                    throw RPCError(code: .unavailable, message: "not now")
                }
                seen.items += request.items.map(\.sequence)
                return .with { $0.upTo = request.items.map(\.sequence).max() ?? 0 }
            }
        }
    }

    private func item(_ number: UInt32) -> AgentFeedback {
        AgentFeedback(kind: .unsubscribe, mailing: 1, recipient: number, unixTime: 1)
    }

    /// Runs an agent with `items` in its spool until `condition` holds.
    private func attend(
        _ registry: Registry, items: Int, until condition: @Sendable (Registry.Seen) -> Bool
    ) async throws {
        let directory = try TemporaryDirectory()
        let spool = try FeedbackSpool(directory: directory.path)
        for number in 0..<UInt32(items) { try await spool.append(item(number)) }
        let thread = AgentThread()
        let server = GRPCServer(
            transport: .http2NIOPosix(
                address: .ipv4(host: "127.0.0.1", port: 0), transportSecurity: .plaintext,
                config: MachineSecurity.registryConfiguration, eventLoopGroup: thread.group),
            services: [registry])
        let serving = Task { try await thread.run { try await server.serve() } }
        let address = try #require(try await server.listeningAddress?.ipv4)
        let loopback = try #require(IPAddress("127.0.0.1"))
        let agent = try SmurfAgent(
            AgentConfiguration(
                id: #require(SmurfID("s01")), addresses: [loopback],
                controls: [(loopback, UInt16(address.port))], dataDirectory: directory.path,
                relay: (loopback, 1)), logger: Logger(label: "test"))
        let running = Task { await agent.run() }
        try await eventually("the control node has seen it", within: .seconds(50)) {
            registry.seen.withLock { condition($0) }
        }
        running.cancel()
        await running.value
        server.beginGracefulShutdown()
        _ = await serving.result
    }

    /// What a control node has a thousand of should be one: deposits once came over a second connection, with TLS and
    /// buffers of its own, that stood all day.
    @Test(.timeLimit(.minutes(1)))
    func whatIsHandedOverComesByTheConnectionOfTheReports() async throws {
        let registry = Registry()
        try await attend(registry, items: 1200) { $0.items.count == 1200 && $0.reports > 1 }
        let seen = registry.seen.withLock { $0 }
        #expect(seen.items == (1...1200).map(UInt64.init))
        #expect(seen.attending.count == 1)
        #expect(seen.depositing == seen.attending)
    }

    @Test(.timeLimit(.minutes(1)))
    func aRefusedDepositEndsNoReportAndIsTriedAgain() async throws {
        let registry = Registry(refusing: 2)
        try await attend(registry, items: 3) { $0.items.count == 3 && $0.reports > 1 }
        let seen = registry.seen.withLock { $0 }
        #expect(seen.items == [1, 2, 3])
        #expect(seen.attending.count == 1, "it went on attending")
        #expect(seen.depositing == seen.attending)
    }

    /// A lost machine sends no reset: here one that says nothing after it has connected.
    @Test(.timeLimit(.minutes(1)))
    func whoSaysNothingIsLeft() async throws {
        let thread = AgentThread()
        let server = GRPCServer(
            transport: .http2NIOPosix(
                address: .ipv4(host: "127.0.0.1", port: 0), transportSecurity: .plaintext,
                config: MachineSecurity.registryConfiguration(silence: .milliseconds(300)),
                eventLoopGroup: thread.group),
            services: [Registry()])
        let serving = Task { try await thread.run { try await server.serve() } }
        let address = try #require(try await server.listeningAddress?.ipv4)
        let channel = try await ClientBootstrap(group: thread.group)
            .connect(host: "127.0.0.1", port: address.port).get()
        try await channel.closeFuture.get()
        server.beginGracefulShutdown()
        _ = await serving.result
    }

    /// A report that wakes another thread than the one that reads it costs a control node twice as much.
    @Test(.timeLimit(.minutes(1)))
    func reportsAreTakenWhereTheyAreRead() async throws {
        let registry = Registry()
        try await attend(registry, items: 1) { $0.reports > 3 }
        #expect(registry.seen.withLock { $0.threads.count } == 1)
    }
}

@Suite struct AgentThreadTests {
    private func moment(_ milliseconds: Double) -> NIODeadline {
        .uptimeNanoseconds(1_000_000_000) + .nanoseconds(Int64(milliseconds * 1_000_000))
    }

    /// Rests within `jobs` jobs that come evenly, each over before the next job.
    private func rests(_ jobs: Int, every milliseconds: Double) -> Int {
        var pace = AgentThread.Pace(now: moment(0))
        return (1...jobs).count { number in
            let rests = pace.shallRest(now: moment(Double(number) * milliseconds))
            if rests { pace.hasRested() }
            return rests
        }
    }

    /// A farm of a hundred machines reports without a rest between, so that nothing is put off.
    @Test func aFewJobsAreDoneAtOnce() {
        #expect(rests(3_000, every: 3.4) == 0)
    }

    @Test func manyJobsMakeItRest() {
        // All but those of the first window.
        #expect(rests(3_000, every: 0.34) > 2_500)
    }

    @Test func oneRestIsForAllThatWaits() {
        var pace = AgentThread.Pace(now: moment(0))
        let due = (1...1_000).count { pace.shallRest(now: moment(Double($0) * 0.5)) }
        #expect(due == 1, "none begins before the last is over")
        pace.hasRested()
        let isDue = pace.shallRest(now: moment(501))
        #expect(isDue)
    }

    /// What comes after silence is not taken for a part of what came before.
    @Test func silenceEndsTheRests() {
        var pace = AgentThread.Pace(now: moment(0))
        for number in 1...1_000 where pace.shallRest(now: moment(Double(number) * 0.5)) {
            pace.hasRested()
        }
        let later = [60_000, 60_001].map { pace.shallRest(now: moment($0)) }
        #expect(later == [false, false])
    }

    /// What is on the thread ends with it, with a result and with an error.
    @Test(.timeLimit(.minutes(1)))
    func itEndsWithItsWork() async throws {
        try await AgentThread().run {
            try await withThrowingTaskGroup(of: UInt.self) { group in
                for _ in 0..<100 {
                    group.addTask {
                        await Task.yield()
                        return UInt(pthread_self())
                    }
                }
                var threads: Set<UInt> = []
                for try await thread in group { threads.insert(thread) }
                #expect(threads.count == 1)
            }
        }
        await #expect(throws: CancellationError.self) {
            try await AgentThread().run { throw CancellationError() }
        }
    }
}
