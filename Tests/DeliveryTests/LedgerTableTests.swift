import DeliveryCore
import TestSupport
import Testing

@testable import Delivery

/// The table "States and events" of docs/LEDGER.md, cell by cell: one row is brought into each state, meets
/// each event, and must be in the state, and have the marks, that the table names.
@Suite struct LedgerTableTests {
    /// A row of the table. What lies under `own` was settled by, or is leased to, the lease the events come from.
    enum Start: String, CaseIterable {
        case pending, leasedOwn, leasedOther, acceptedOwn, acceptedOther, boggedOther
        case deliveredOther, failedOther, bouncedOther, suppressed, cancelled
    }

    /// A column of the table.
    enum Event: String, CaseIterable {
        case accepted, bogged, refused, unrenderable, deferred, doubtful, returned
        case lost, bounce, delivered, cancel, crash
    }

    /// What the table says: nothing for "–", else the state and the marks that are added.
    static func cell(_ start: Start, _ event: Event) -> (RecipientState, RecipientMarks)? {
        switch (start, event) {
        case (_, .crash): nil
        case (.pending, .accepted), (.suppressed, .accepted), (.cancelled, .accepted),
            (.leasedOwn, .accepted), (.failedOther, .accepted):
            (.accepted, [])
        case (.pending, .bogged), (.suppressed, .bogged), (.cancelled, .bogged),
            (.leasedOwn, .bogged), (.failedOther, .bogged):
            (.bogged, [])
        case (.leasedOther, .accepted): (.accepted, .doubtful)
        case (.leasedOther, .bogged): (.bogged, .doubtful)
        case (.acceptedOther, .accepted), (.acceptedOther, .bogged): (.accepted, .doubtful)
        case (.boggedOther, .accepted), (.boggedOther, .bogged): (.bogged, .doubtful)
        case (.deliveredOther, .accepted), (.deliveredOther, .bogged): (.delivered, .doubtful)
        case (.bouncedOther, .accepted), (.bouncedOther, .bogged): (.failed, .doubtful)
        case (.leasedOwn, .refused), (.leasedOwn, .unrenderable): (.failed, [])
        case (.leasedOwn, .deferred), (.leasedOwn, .returned): (.pending, [])
        case (.leasedOwn, .doubtful), (.leasedOwn, .lost): (.pending, .doubtful)
        case (.deliveredOther, .bounce): (.delivered, .bounced)
        case (_, .bounce): (.failed, .bounced)
        case (_, .delivered): (.delivered, [])
        case (.pending, .cancel): (.cancelled, [])
        default: nil
        }
    }

    static let own: UInt64 = 1
    static let other: UInt64 = 2

    @Test(arguments: Start.allCases)
    func everyEvent(start: Start) async throws {
        for event in Event.allCases {
            let directory = try TemporaryDirectory()
            var bench = try await LedgerBench(directory.path)
            try await bring(&bench, to: start)
            let before = try await bench.row()
            try await apply(event, to: &bench)
            let after = try await bench.row()
            let (state, added) = Self.cell(start, event) ?? (before.state, [])
            #expect(
                after.state == state && after.marks == before.marks.union(added),
                "\(start) × \(event): \(after.state) \(after.marks)")
            let counts = try await bench.ledger.mailing(bench.mailing).counts
            #expect(try await bench.ledger.recount(bench.mailing) == counts, "\(start) × \(event)")
        }
    }

    /// Note 2: what was put off is tried again after the back-off, and fails when it has become too old.
    @Test(arguments: [RowOutcome.Verdict.deferred, .doubtful])
    func putsOffUntilTooOld(verdict: RowOutcome.Verdict) async throws {
        let directory = try TemporaryDirectory()
        var bench = try await LedgerBench(directory.path)
        var now: Int64 = 1000
        let waits: [Int64] = [300, 600, 1200, 2400, 4800, 9600, 14400, 14400]
        for wait in waits {
            #expect(try await bench.ledger.claim(for: "s01", limit: 1, now: now)?.rows.count == 1)
            try await bench.tell(verdict, run: Self.own, now: now)
            #expect(try await bench.row().state == .pending)
            #expect(try await bench.ledger.claim(for: "s01", limit: 1, now: now + wait - 1) == nil)
            now += wait
        }
        now = 1000 + 5 * 86400
        #expect(try await bench.ledger.claim(for: "s01", limit: 1, now: now) != nil)
        try await bench.tell(verdict, run: Self.own, now: now)
        #expect(try await bench.row().state == .failed)
        #expect(try await bench.row().tries == waits.count + 1)
    }

    /// A leased row whose mailing is cancelled ends as cancelled where it would be pending again.
    @Test(arguments: [Event.deferred, .doubtful, .returned, .lost])
    func aCancelledMailingTakesNothingBack(event: Event) async throws {
        let directory = try TemporaryDirectory()
        var bench = try await LedgerBench(directory.path)
        try await bring(&bench, to: .leasedOwn)
        try await apply(.cancel, to: &bench)
        try await apply(event, to: &bench)
        #expect(try await bench.row().state == .cancelled)
    }

    private func bring(_ bench: inout LedgerBench, to start: Start) async throws {
        let ledger = bench.ledger
        switch start {
        case .pending: break
        case .leasedOwn: _ = try await ledger.claim(for: "s01", limit: 1, now: 100)
        case .acceptedOwn:
            _ = try await ledger.claim(for: "s01", limit: 1, now: 100)
            try await bench.tell(.accepted, run: Self.own, now: 100)
        case .leasedOther: try await lend(bench)
        case .acceptedOther, .boggedOther, .deliveredOther, .failedOther, .bouncedOther:
            try await lend(bench)
            let verdicts: [Start: RowOutcome.Verdict] = [
                .boggedOther: .bogged, .failedOther: .refused,
            ]
            try await bench.tell(
                verdicts[start] ?? .accepted, smurf: "s02", run: Self.other, now: 100)
            if start == .deliveredOther { try await bench.feed(.delivered) }
            if start == .bouncedOther { try await bench.feed(.bounce) }
        case .suppressed:
            try await ledger.suppress([bench.address], list: "", reason: "asked", now: 100)
            #expect(try await ledger.claim(for: "s02", limit: 1, now: 100) == nil)
        case .cancelled: _ = try await ledger.cancel(bench.mailing)
        }
    }

    /// The lease the events come from is lost, and another has the row.
    private func lend(_ bench: LedgerBench) async throws {
        _ = try await bench.ledger.claim(for: "s01", limit: 1, now: 100)
        try await bench.ledger.releaseLeases(of: "s01", wereHandedOver: false)
        _ = try await bench.ledger.claim(for: "s02", limit: 1, now: 100)
    }

    private func apply(_ event: Event, to bench: inout LedgerBench) async throws {
        switch event {
        case .accepted: try await bench.tell(.accepted, run: Self.own, now: 200)
        case .bogged: try await bench.tell(.bogged, run: Self.own, now: 200)
        case .refused: try await bench.tell(.refused, run: Self.own, now: 200)
        case .unrenderable: try await bench.tell(.unrenderable, run: Self.own, now: 200)
        case .deferred: try await bench.tell(.deferred, run: Self.own, now: 200)
        case .doubtful: try await bench.tell(.doubtful, run: Self.own, now: 200)
        case .returned: try await bench.tell(.returned, run: Self.own, now: 200)
        case .lost: try await bench.ledger.releaseLeases(of: "s01", wereHandedOver: true)
        case .bounce: try await bench.feed(.bounce)
        case .delivered: try await bench.feed(.delivered)
        case .cancel: _ = try? await bench.ledger.cancel(bench.mailing)
        case .crash: try bench.restart()
        }
    }
}

/// A ledger with one mailing of one recipient, and the words in which smurfs speak to it.
struct LedgerBench {
    private(set) var ledger: SQLiteLedger
    let mailing: UInt32
    let address = "r0@mail.example"
    private let path: String
    private let epoch: UInt64
    private var batch: UInt64 = 0

    init(_ path: String) async throws {
        self.path = path
        ledger = try SQLiteLedger(directory: path)
        epoch = ledger.epoch
        let identity = MailingIdentity(
            name: "may", bounceDomain: "b.example", date: 1, tokenExpiryDay: 21_000)
        mailing = try await ledger.beginImport(
            template: [65], fields: [], identity: identity, now: 50)
        var rows = RowBatch()
        rows.append(recipient: 0, address: address, values: [])
        try await ledger.appendImport(mailing: mailing, rows: rows.bytes)
        _ = try await ledger.finishImport(mailing: mailing, rows: 1)
    }

    func row() async throws -> RecipientRecord {
        try #require(try await ledger.recipients(of: mailing, limit: 1).first)
    }

    mutating func tell(
        _ verdict: RowOutcome.Verdict, smurf: String = "s01", run: UInt64, now: Int64
    ) async throws {
        batch += 1
        let outcome = OutcomeBatch(
            smurf: smurf, run: run, number: batch, mailing: mailing, epoch: epoch,
            items: [RowOutcome(recipient: 0, verdict: verdict)])
        try await ledger.record([outcome], now: now)
    }

    func feed(_ kind: RecipientFeedback.Kind) async throws {
        let known = try await ledger.record(
            [RecipientFeedback(kind: kind, mailing: mailing, recipient: 0)], now: 300)
        #expect(known == 1)
    }

    mutating func restart() throws {
        try ledger.close()
        ledger = try SQLiteLedger(directory: path)
    }
}
