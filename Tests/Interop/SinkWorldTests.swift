import Foundation
import TestSupport
import Testing

/// The sink as the world that answers: bounces and clicks, as Python's mail and web libraries see them,
/// found by the names of a control node. One mail exchanger is down, the other one and the web servers
/// refuse now and then.
@Suite(.serialized) struct SinkWorldTests {
    private struct Report: Decodable {
        struct Count: Decodable {
            let due: Int
            let done: Int
            let refused: Int
            let givenUp: Int
            let retries: Int
            let byAddress: [String: Int]
        }
        struct Failure: Decodable { let reason: String }
        struct Reactions: Decodable {
            let bounces: Count
            let clicks: Count
            let prefetches: Count
            let bounced: [String]
            let unsubscribed: [String]
            let failures: [Failure]
        }
        let messages: Int
        let reactions: Reactions
    }

    /// What the farm's side got.
    private struct Seen: Decodable {
        let bounced: [String]
        let unsubscribed: [String]
        let visits: Int
        let faults: [String]
    }

    private static let count = 300

    @Test(.timeLimit(.minutes(3)))
    func everyBounceAndClickArrives() async throws {
        let farm = try SinkWorld()
        let node = try await farm.startNode()
        let peer = try await farm.startPeer()
        let sink = try await farm.startSink([
            "--bounce", "20%", "--unsubscribe", "10%", "--prefetch", "30%", "--bounce-lag",
            "200ms", "--click-lag", "500ms", "--expect", "\(SinkWorldTests.count)",
        ])
        try await farm.send(SinkWorldTests.count)
        #expect(await sink.finished() == 0, "\(sink.log)")
        #expect(await peer.stop() == 0, "\(peer.log)")
        await node.stop()

        let seen = try JSONDecoder().decode(Seen.self, from: farm.data("seen.json"))
        let report = try JSONDecoder().decode(Report.self, from: farm.data("report.json"))
        let reactions = report.reactions
        #expect(report.messages == SinkWorldTests.count)
        #expect(seen.faults == [])
        #expect((30...90).contains(reactions.bounces.due))
        let (done, refused) = (reactions.bounces.done, reactions.bounces.refused)
        #expect(done + refused == reactions.bounces.due, "\(reactions.failures)")
        #expect(refused > 0 && reactions.failures.count == refused)
        #expect(reactions.failures.allSatisfy { $0.reason.contains("token too old") })
        #expect(reactions.bounces.retries > 0, "the mail exchanger refused now and then")
        #expect(reactions.bounces.byAddress.keys.sorted() == ["127.0.1.3"])
        #expect(reactions.bounced == seen.bounced)
        #expect((10...50).contains(reactions.clicks.due))
        #expect(reactions.clicks.done == reactions.clicks.due, "\(reactions.failures)")
        #expect(reactions.clicks.byAddress.count == 2)
        #expect(reactions.unsubscribed == seen.unsubscribed)
        #expect((50...130).contains(reactions.prefetches.due))
        #expect(reactions.prefetches.done == reactions.prefetches.due)
        #expect(seen.visits == reactions.prefetches.due)
    }

    @Test(.timeLimit(.minutes(3)))
    func whatCannotBeDoneIsCountedAndDoesNotHoldUpTheEnd() async throws {
        let farm = try SinkWorld()
        let node = try await farm.startNode()
        let sink = try await farm.startSink([
            "--bounce", "50%", "--unsubscribe", "50%", "--bounce-lag", "0s", "--click-lag", "0s",
            "--patience", "2s", "--expect", "20", "--linger", "30s",
        ])
        try await farm.send(20)
        #expect(await sink.finished() == 0, "\(sink.log)")
        await node.stop()
        let report = try JSONDecoder().decode(Report.self, from: farm.data("report.json"))
        let reactions = report.reactions
        #expect(reactions.bounces.due + reactions.clicks.due == 20)
        #expect(reactions.bounces.givenUp == reactions.bounces.due)
        #expect(reactions.clicks.givenUp == reactions.clicks.due)
        #expect(reactions.bounced == [] && reactions.unsubscribed == [])
        #expect(reactions.failures.count == 20)
        #expect(reactions.failures.allSatisfy { $0.reason.contains("Connection refused") })
    }
}
