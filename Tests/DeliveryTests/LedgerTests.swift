import Delivery
import DeliveryCore
import Foundation
import TestSupport
import Testing

@Suite struct LedgerTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func open() throws -> SQLiteLedger { try SQLiteLedger(directory: directory.path) }

    private func imported(
        _ ledger: SQLiteLedger, _ count: Int, name: String = "may"
    ) async throws -> UInt32 {
        let identity = MailingIdentity(
            name: name, bounceDomain: "bounce.x.example", date: 1_700_000_000,
            tokenExpiryDay: 21_000)
        let id = try await ledger.beginImport(
            template: Array("From: a@x.example\n\n{{name}}\n".utf8), fields: ["name"],
            identity: identity, now: 100)
        var batch = RowBatch()
        for number in 0..<count {
            batch.append(
                recipient: UInt32(number), address: "r\(number)@mail.example",
                values: [Array("n\(number)".utf8)])
        }
        _ = try await ledger.appendImport(mailing: id, rows: batch.bytes)
        let record = try await ledger.finishImport(mailing: id, rows: UInt64(count))
        #expect(record.state == .sending && record.total == count)
        return id
    }

    /// A core that feeds again after one on another machine has must be the newest for every smurf.
    @Test func anEpochCanBeRaisedAndStaysSo() async throws {
        let ledger = try open()
        #expect(ledger.epoch == 1)
        try await ledger.beginEpoch(atLeast: 1_800_000_000)
        #expect(ledger.epoch == 1_800_000_000)
        // A clock that was set back makes it no smaller.
        try await ledger.beginEpoch(atLeast: 1_700_000_000)
        #expect(ledger.epoch == 1_800_000_001)
        try ledger.close()
        #expect(try open().epoch == 1_800_000_002)
    }

    private func settle(
        _ ledger: SQLiteLedger, _ mailing: UInt32, _ items: [RowOutcome], number: UInt64 = 1,
        smurf: String = "s01", run: UInt64 = 7
    ) async throws {
        try await ledger.record(
            [
                OutcomeBatch(
                    smurf: smurf, run: run, number: number, mailing: mailing, epoch: ledger.epoch,
                    items: items)
            ], now: 200)
    }

    private func counts(_ ledger: SQLiteLedger, _ mailing: UInt32) async throws -> MailingCounts {
        let kept = try await ledger.mailing(mailing).counts
        #expect(try await ledger.recount(mailing) == kept)
        return kept
    }

    @Test func accountsForEveryRecipient() async throws {
        let ledger = try open()
        let id = try await imported(ledger, 10)
        let claimed = try #require(try await ledger.claim(for: "s01", limit: 6, now: 150))
        #expect(claimed.mailing == id && claimed.rows.count == 6)
        try await settle(
            ledger, id,
            [
                RowOutcome(recipient: 0, verdict: .accepted, reply: ""),
                RowOutcome(recipient: 1, verdict: .refused, reply: "550 no"),
                RowOutcome(recipient: 2, verdict: .deferred, reply: "451 later"),
                RowOutcome(recipient: 3, verdict: .doubtful, reply: ""),
                RowOutcome(recipient: 4, verdict: .returned, reply: ""),
            ])
        let now = try await counts(ledger, id)
        #expect(now[.accepted] == 1 && now[.failed] == 1 && now[.leased] == 1)
        #expect(now[.pending] == 7 && now.doubtful == 1)
        // Row 5 was handed over and is never heard of again.
        #expect(try await ledger.releaseLeases(of: "s01", wereHandedOver: true) == 1)
        #expect(try await counts(ledger, id).doubtful == 2)
        // What was put off is not claimed before its time.
        let next = try #require(try await ledger.claim(for: "s02", limit: 100, now: 201))
        let numbers = try RowBatch.rows(in: next.rows.bytes).map(\.recipient)
        #expect(Set(numbers) == [4, 5, 6, 7, 8, 9])
        #expect(try await ledger.claim(for: "s02", limit: 100, now: 100_000)?.rows.count == 2)
    }

    @Test func aRepeatedBatchChangesNothing() async throws {
        let ledger = try open()
        let id = try await imported(ledger, 3)
        _ = try await ledger.claim(for: "s01", limit: 3, now: 150)
        for _ in 0..<3 {
            try await settle(ledger, id, [RowOutcome(recipient: 0, verdict: .accepted, reply: "")])
        }
        let now = try await counts(ledger, id)
        #expect(now[.accepted] == 1 && now.doubtful == 0 && now[.leased] == 2)
    }

    @Test func aRestartKeepsEverythingAndRaisesTheEpoch() async throws {
        var ledger = try open()
        let epoch = ledger.epoch
        let id = try await imported(ledger, 5)
        _ = try await ledger.claim(for: "s01", limit: 2, now: 150)
        let half = try await ledger.beginImport(
            template: [], fields: [],
            identity: MailingIdentity(
                name: "half", bounceDomain: "b.x", date: 0, tokenExpiryDay: 0),
            now: 160)
        try ledger.close()
        ledger = try open()
        #expect(ledger.epoch == epoch + 1)
        #expect(try await counts(ledger, id)[.leased] == 2)
        #expect(try await ledger.leaseHolders().keys.sorted() == ["s01"])
        await #expect(throws: LedgerError.self) { try await ledger.mailing(half) }
        // An accepted outcome of the lost lease still counts.
        try await ledger.record(
            [
                OutcomeBatch(
                    smurf: "s01", run: 7, number: 1, mailing: id, epoch: epoch,
                    items: [RowOutcome(recipient: 0, verdict: .accepted, reply: "")])
            ], now: 300)
        #expect(try await counts(ledger, id)[.accepted] == 1)
    }

    @Test func feedbackMarksAndSuppresses() async throws {
        let ledger = try open()
        let first = try await imported(ledger, 4)
        _ = try await ledger.claim(for: "s01", limit: 1, now: 150)
        try await settle(ledger, first, [RowOutcome(recipient: 0, verdict: .accepted, reply: "")])
        let items = [
            RecipientFeedback(kind: .bounce, mailing: first, recipient: 0, status: "5.1.1"),
            RecipientFeedback(kind: .unsubscribe, mailing: first, recipient: 1),
            RecipientFeedback(kind: .bounce, mailing: 99, recipient: 0),
        ]
        #expect(try await ledger.record(items, now: 300) == 2)
        #expect(try await ledger.record(items, now: 301) == 2)
        let now = try await counts(ledger, first)
        #expect(now.bounced == 1 && now.unsubscribed == 1 && now[.failed] == 1)
        let left = try #require(try await ledger.claim(for: "s01", limit: 9, now: 400))
        #expect(try RowBatch.rows(in: left.rows.bytes).map(\.recipient) == [2, 3])
        #expect(try await ledger.suppressions(limit: 9).map(\.address) == ["r1@mail.example"])
    }

    @Test func anImportHasNoBrakes() async throws {
        let ledger = try open()
        let id = try await ledger.beginImport(
            template: [], fields: [],
            identity: MailingIdentity(name: "new", bounceDomain: "b.x", date: 0, tokenExpiryDay: 0),
            now: 1)
        await #expect(throws: LedgerError.self) { try await ledger.pause(id) }
        await #expect(throws: LedgerError.self) { try await ledger.resume(id) }
        await #expect(throws: LedgerError.self) { try await ledger.cancel(id) }
        #expect(try await ledger.claim(for: "s01", limit: 1, now: 2) == nil)
        #expect(try await ledger.finishImport(mailing: id, rows: 0).state == .finished)
        await #expect(throws: LedgerError.self) {
            try await ledger.appendImport(mailing: id, rows: [])
        }
    }

    @Test func brakesHold() async throws {
        let ledger = try open()
        let id = try await imported(ledger, 4)
        #expect(try await ledger.pause(id).state == .paused)
        #expect(try await ledger.claim(for: "s01", limit: 9, now: 150) == nil)
        #expect(try await ledger.resume(id).state == .sending)
        _ = try await ledger.claim(for: "s01", limit: 1, now: 150)
        #expect(try await ledger.cancel(id).state == .cancelled)
        #expect(try await counts(ledger, id)[.cancelled] == 3)
        #expect(try await ledger.releaseLeases(of: "s01", wereHandedOver: false) == 1)
        #expect(try await counts(ledger, id)[.cancelled] == 4)
        await #expect(throws: LedgerError.self) { _ = try await imported(ledger, 1) }
    }
}

@Suite struct LedgerWelcomeTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// A ledger with ten recipients, four of them leased to s01.
    private func leased() async throws -> (SQLiteLedger, UInt32) {
        let ledger = try SQLiteLedger(directory: directory.path)
        let identity = MailingIdentity(
            name: "may", bounceDomain: "b.example", date: 1, tokenExpiryDay: 21_000)
        let id = try await ledger.beginImport(
            template: [65], fields: [], identity: identity, now: 100)
        var batch = RowBatch()
        for number in 0..<10 as Range<UInt32> {
            batch.append(recipient: number, address: "r\(number)@mail.example", values: [])
        }
        try await ledger.appendImport(mailing: id, rows: batch.bytes)
        _ = try await ledger.finishImport(mailing: id, rows: 10)
        #expect(try await ledger.welcome("s01", run: 1, holding: []) == 0)
        _ = try await ledger.claim(for: "s01", limit: 4, now: 150)
        return (ledger, id)
    }

    @Test func theSameRunHasLostNothingThatItWasGiven() async throws {
        let (ledger, id) = try await leased()
        let held = Set([0, 1].map { LeasedRow(mailing: id, recipient: $0) })
        #expect(try await ledger.welcome("s01", run: 1, holding: held) == 2)
        let counts = try await ledger.mailing(id).counts
        #expect(counts[.leased] == 2 && counts[.pending] == 8 && counts.doubtful == 0)
        #expect(try await ledger.recount(id) == counts)
    }

    @Test func anotherRunMayHaveSentWhatItNoLongerHolds() async throws {
        let (ledger, id) = try await leased()
        #expect(try await ledger.welcome("s01", run: 2, holding: []) == 4)
        let counts = try await ledger.mailing(id).counts
        #expect(counts[.pending] == 10 && counts.doubtful == 4)
        // The new run is known from now on.
        _ = try await ledger.claim(for: "s01", limit: 3, now: 150)
        #expect(try await ledger.welcome("s01", run: 2, holding: []) == 3)
        #expect(try await ledger.mailing(id).counts.doubtful == 4)
    }
}
