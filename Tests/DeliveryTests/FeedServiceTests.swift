import Farm
import FarmProtocol
import Logging
import NIOPosix
import TestSupport
import Testing

@testable import Delivery

/// The end of the role `smtp-out`: outcomes that a core has not receipted are what rows are sent twice for.
@Suite struct FeedServiceTests {
    private let rows = HeldRows(window: 8, run: 99)

    private func service(_ port: UInt16) throws -> FeedService {
        let relay = RelaySender.Configuration(
            relay: (.v4(0x7F00_0001), try Product.freePort()), source: nil,
            helloName: "s01.example.test", connections: 1)
        return FeedService(
            .init(
                smurf: "s01", listen: [(.v4(0x7F00_0001), port)], certificate: nil, relay: relay),
            rows: rows, group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, keys: { [] }, sent: {})
    }

    /// A core has handed over a row, went away, and its outcome came then.
    private func holdOutcome() throws {
        let (generation, _) = try rows.attach(epoch: 1, smurf: "s01")
        #expect(rows.take([7], mailing: 5, epoch: 1, generation: generation) == [7])
        rows.detach(generation: generation)
        let outcome = Smurffarm_V1_Outcome.with {
            $0.recipient = 7
            $0.verdict = .accepted
        }
        rows.note(outcome, mailing: 5, epoch: 1)
        #expect(rows.count == 1)
    }

    /// A control node that starts again may end the role before it has found the machine. The feed was closed at once then.
    @Test func aCoreThatComesBackIsAwaited() async throws {
        let port = try Product.freePort()
        let service = try service(port)
        try await service.start()
        try holdOutcome()
        let began = ContinuousClock.now
        async let ended: Void = service.stop(grace: .seconds(30))
        try await Task.sleep(for: .seconds(1))
        // It finds the machine now, and has the outcome on disk.
        #expect(Reachable.tcp("127.0.0.1", port), "the feed is there for whoever comes")
        let (_, replies) = try rows.attach(epoch: 2, smurf: "s01")
        var batch: UInt64 = 0
        for await reply in replies where reply.outcomes.batch > 0 {
            batch = reply.outcomes.batch
            break
        }
        rows.receipt(upTo: batch)
        await ended
        #expect(rows.count == 0)
        #expect(ContinuousClock.now - began < .seconds(25), "nothing more is waited for")
        #expect(!Reachable.tcp("127.0.0.1", port))
    }

    /// One that never comes holds nobody up for long; the outcome is kept for the next time.
    @Test func aCoreThatStaysAwayIsAwaitedForAWhileOnly() async throws {
        let service = try service(try Product.freePort())
        try await service.start()
        try holdOutcome()
        await service.stop(grace: .seconds(2))
        #expect(rows.count == 1)
    }
}
