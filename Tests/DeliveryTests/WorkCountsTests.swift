import DeliveryCore
import Farm
import GRDB
import TestSupport
import Testing

@testable import Delivery

/// What the ledger has counted so far only grows, and so nothing is missed between two looks at it.
@Suite struct WorkCountsTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// - Parameter isWhole: else the import stays open.
    private func imported(
        _ ledger: SQLiteLedger, _ count: Int, name: String = "may", isWhole: Bool = true
    ) async throws -> UInt32 {
        let identity = MailingIdentity(
            name: name, listID: "news", bounceDomain: "b.example", date: 1, tokenExpiryDay: 21_000)
        let id = try await ledger.beginImport(
            template: [65], fields: [], identity: identity, now: 100)
        var rows = RowBatch()
        for number in 0..<UInt32(count) {
            rows.append(recipient: number, address: "r\(number)@mail.example", values: [])
        }
        try await ledger.appendImport(mailing: id, rows: rows.bytes)
        if isWhole { _ = try await ledger.finishImport(mailing: id, rows: UInt64(count)) }
        return id
    }

    private func send(_ ledger: SQLiteLedger, _ id: UInt32, _ count: Int) async throws {
        let claimed = try #require(try await ledger.claim(for: "s01", limit: count, now: 150))
        let items = try RowBatch.rows(in: claimed.rows.bytes).map {
            RowOutcome(recipient: $0.recipient, verdict: .accepted, reply: "")
        }
        try await ledger.record(
            [
                OutcomeBatch(
                    smurf: "s01", run: 7, number: 1, mailing: id, epoch: ledger.epoch, items: items)
            ], now: 200)
    }

    /// It was counted from the first look at a mailing on: what was settled before that was lost.
    @Test func aMailingThatIsOverBeforeTheFirstLookIsCounted() async throws {
        let ledger = try SQLiteLedger(directory: directory.path)
        let monitor = MailingMonitor(ledger: ledger)
        let id = try await imported(ledger, 500)
        try await send(ledger, id, 500)
        try await ledger.record(
            (0..<30).map { RecipientFeedback(kind: .bounce, mailing: id, recipient: $0) }
                + [RecipientFeedback(kind: .unsubscribe, mailing: id, recipient: 40)], now: 201)
        let signals = try await monitor.look()
        #expect(
            await monitor.counts
                == WorkCounts(rows: 500, settled: 500, bounces: 30, unsubscribes: 1))
        #expect(signals["outbound.sent"] == 50 && signals["outbound.backlog"] == 0)
        #expect(signals["bounces.arrival"] == 3 && signals["unsubscribes.arrival"] == 0.1)
        // A core that starts again goes on from there, and takes nothing for new.
        try ledger.close()
        let next = MailingMonitor(ledger: try SQLiteLedger(directory: directory.path))
        #expect(await next.counts.rows == 500)
        #expect(try await next.look()["outbound.sent"] == 0)
    }

    @Test func whatIsNoWorkIsNotCounted() async throws {
        let ledger = try SQLiteLedger(directory: directory.path)
        try await ledger.suppress(["r0@mail.example"], list: "", reason: "asked", now: 1)
        let open = try await imported(ledger, 4, name: "open", isWhole: false)
        #expect(try await ledger.workCounts() == WorkCounts())
        try await ledger.abortImport(mailing: open)
        #expect(try await ledger.workCounts() == WorkCounts())
        let id = try await imported(ledger, 4)
        #expect(try await ledger.workCounts() == WorkCounts(rows: 3))
        _ = try await ledger.cancel(id)
        #expect(try await ledger.workCounts() == WorkCounts(rows: 3, settled: 3))
    }

    /// A ledger from before there were these counts begins with what is open in it.
    @Test func anOlderLedgerIsTakenOver() async throws {
        let pool = try DatabasePool(path: directory.file("ledger.sqlite"))
        try LedgerSchema.migrator.migrate(pool, upTo: "2")
        try await pool.write { db in
            for (id, state) in [(1, "sending"), (2, "finished"), (3, "importing")] {
                try db.execute(
                    sql: """
                        INSERT INTO mailing (id, name, state, template, digest, fields, sender, listID,
                            bounceDomain, unsubscribeBase, feedbackSender, date, tokenExpiryDay, deadline, created)
                        VALUES (?, ?, ?, '', '', '', '', '', '', '', '', 0, 0, 0, 0)
                        """, arguments: [id, "m\(id)", state])
            }
            try db.execute(
                sql: """
                    INSERT INTO counter VALUES (1, 'pending', 5), (1, 'leased', 2), (1, 'accepted', 40),
                        (2, 'accepted', 9), (3, 'pending', 8)
                    """)
        }
        try pool.close()
        let ledger = try SQLiteLedger(directory: directory.path)
        #expect(ledger.openingCounts == WorkCounts(rows: 7))
    }
}
