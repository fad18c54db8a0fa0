import FarmProtocol
import SwiftProtobuf
import Testing

@testable import Delivery

/// What a smurf holds, and how it tells a core: the duties of the feed protocol that no row may be lost by.
@Suite struct HeldRowsTests {
    private let rows = HeldRows(window: 8, run: 99)

    private func accepted(_ recipient: UInt32) -> Smurffarm_V1_Outcome {
        .with {
            $0.recipient = recipient
            $0.verdict = .accepted
        }
    }

    /// What is on the stream by now.
    private func said(
        _ stream: AsyncStream<Smurffarm_V1_FeedReply>, _ generation: Int
    ) async -> [Smurffarm_V1_FeedReply] {
        rows.detach(generation: generation)
        var replies: [Smurffarm_V1_FeedReply] = []
        for await reply in stream { replies.append(reply) }
        return replies
    }

    @Test func grantsItsWindowAndNoMore() async throws {
        let (generation, stream) = try rows.attach(epoch: 1, smurf: "s01")
        rows.flush(mayTakeMore: true)
        rows.flush(mayTakeMore: true)
        let fresh = rows.take([1, 2, 3], mailing: 5, epoch: 1, generation: generation)
        #expect(fresh == [1, 2, 3])
        rows.flush(mayTakeMore: true)
        let replies = await said(stream, generation)
        #expect(replies.first?.welcome.run == 99)
        #expect(replies.map(\.credit.rows).reduce(0, +) == 8)
    }

    @Test func grantsNothingWhileItsRelayIsAway() async throws {
        let (generation, stream) = try rows.attach(epoch: 1, smurf: "s01")
        rows.flush(mayTakeMore: false)
        #expect(await said(stream, generation).map(\.credit.rows).reduce(0, +) == 0)
    }

    @Test func repeatsOutcomesUntilTheirReceiptAndNamesWhatItHolds() async throws {
        let (first, _) = try rows.attach(epoch: 1, smurf: "s01")
        _ = rows.take([1, 2, 3], mailing: 5, epoch: 1, generation: first)
        rows.note(accepted(1), mailing: 5, epoch: 1)
        rows.note(accepted(2), mailing: 5, epoch: 1)
        rows.flush(mayTakeMore: true)
        rows.detach(generation: first)

        let (second, stream) = try rows.attach(epoch: 2, smurf: "s01")
        let replies = await said(stream, second)
        let working = try #require(replies.first?.welcome.working.first)
        #expect(working.mailing == 5 && working.epoch == 1)
        // Also those with an outcome: it is not in the ledger yet, as far as the smurf knows.
        #expect(working.recipients == [1, 2, 3])
        #expect(replies.dropFirst().first?.outcomes.items.map(\.recipient) == [1, 2])
        let batch = try #require(replies.dropFirst().first?.outcomes.batch)

        rows.receipt(upTo: batch)
        let (third, last) = try rows.attach(epoch: 2, smurf: "s01")
        let rest = await said(last, third)
        #expect(rest.count == 1)
        #expect(rest.first?.welcome.working.first?.recipients == [3])
    }

    @Test func anOlderCoreIsFencedAndAnOlderStreamFeedsNoMore() throws {
        let (first, _) = try rows.attach(epoch: 3, smurf: "s01")
        #expect(throws: HeldRows.Refusal.outdated) { try rows.attach(epoch: 2, smurf: "s01") }
        // The same core by another address: the first stream goes on.
        #expect(throws: HeldRows.Refusal.busy) { try rows.attach(epoch: 3, smurf: "s01") }
        let (second, _) = try rows.attach(epoch: 4, smurf: "s01")
        #expect(rows.take([1], mailing: 5, epoch: 3, generation: first) == nil)
        #expect(rows.take([1], mailing: 5, epoch: 3, generation: second) == [1])
        #expect(rows.take([1, 2], mailing: 5, epoch: 3, generation: second) == [2])
        #expect(rows.count == 2)
    }
}
