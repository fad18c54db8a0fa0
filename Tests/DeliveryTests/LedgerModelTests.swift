import Delivery
import DeliveryCore
import Farm
import TestSupport
import Testing

/// Random smurfs, cores and recipients against one ledger: after each step every row must stand where the
/// model of docs/LEDGER.md has it, and the counters must agree with the rows.
@Suite struct LedgerModelTests {
    @Test(arguments: 0..<4 as Range<UInt64>)
    func agreesWithItsModel(round: UInt64) async throws {
        let seed = SeededGenerator.announcedSeed("LedgerModelTests") &+ round
        var run = try await LedgerRun(seed: seed)
        for step in 0..<250 {
            let what = try await run.step()
            let difference = try await run.difference()
            try #require(difference == nil, "seed \(seed), step \(step), \(what)")
        }
    }
}

/// One run: a ledger, its model, and what the smurfs know.
private struct LedgerRun {
    private static let smurfs = ["s01", "s02", "s03"]

    private var random: SeededGenerator
    private let directory: TemporaryDirectory
    private var ledger: SQLiteLedger
    private var model: LedgerModel
    private let mailing: UInt32
    private let count: Int
    private var now: Int64 = 1000
    private var runs: [String: UInt64] = [:]
    private var numbers: [String: UInt64] = [:]
    private var fed = WorkCounts()
    private var counted = WorkCounts()

    init(seed: UInt64) async throws {
        random = SeededGenerator(seed: seed)
        directory = try TemporaryDirectory()
        ledger = try SQLiteLedger(directory: directory.path)
        count = Int.random(in: 1...40, using: &random)
        let deadline: Int64 =
            Bool.random(using: &random) ? 0 : .random(in: 2000...400_000, using: &random)
        model = LedgerModel(rows: count, deadline: deadline)
        let identity = MailingIdentity(
            name: "may", listID: "news", bounceDomain: "b.example", date: 1, tokenExpiryDay: 21_000)
        mailing = try await ledger.beginImport(
            template: [65], fields: [], identity: identity, deadline: deadline, now: 50)
        var rows = RowBatch()
        for number in 0..<UInt32(count) {
            rows.append(recipient: number, address: "R\(number)@mail.example", values: [])
        }
        try await ledger.appendImport(mailing: mailing, rows: rows.bytes)
        _ = try await ledger.finishImport(mailing: mailing, rows: UInt64(count))
    }

    /// - Returns: what was done, for the message of a failure.
    mutating func step() async throws -> String {
        now += [0, 1, 60, 400, 5000].randomElement(using: &random) ?? 0
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<30: return try await claim()
        case 30..<65: return try await hear()
        case 65..<73: return try await lose()
        case 73..<80: return try await welcome()
        case 80..<92: return try await feed()
        case 92..<97: return try await steer()
        default:
            try ledger.close()
            ledger = try SQLiteLedger(directory: directory.path)
            return "restart"
        }
    }

    /// - Returns: nil when ledger and model agree.
    mutating func difference() async throws -> String? {
        let record = try await ledger.mailing(mailing)
        if record.state.rawValue != "\(model.brake)" {
            return "mailing is \(record.state), should be \(model.brake)"
        }
        let recounted = try await ledger.recount(mailing)
        if recounted.rows != record.counts.rows {
            return "counters \(record.counts.rows), rows \(recounted.rows)"
        }
        let before = counted
        counted = try await ledger.workCounts()
        let open = model.rows.count { [.pending, .leased].contains($0.state) }
        if counted.rows != count || counted.settled != count - open
            || counted.settled < before.settled || counted.bounces != fed.bounces
            || counted.unsubscribes != fed.unsubscribes
        {
            return "counted \(counted) after \(before), \(open) are open, fed were \(fed)"
        }
        for row in try await ledger.recipients(of: mailing, limit: count) {
            let expected = model.rows[Int(row.recipient)]
            if (row.state, row.marks, row.tries) != (expected.state, expected.marks, expected.tries)
            {
                return "row \(row), should be \(expected)"
            }
        }
        return nil
    }

    private mutating func smurf() -> String { Self.smurfs.randomElement(using: &random) ?? "s01" }

    private mutating func rowNumbers() -> Set<Int> {
        let share = Double.random(in: 0...1, using: &random)
        return Set((0..<count).filter { _ in Double.random(in: 0...1, using: &random) < share })
    }

    private mutating func claim() async throws -> String {
        let smurf = smurf()
        let limit = Int.random(in: 1...20, using: &random)
        let got = try await ledger.claim(for: smurf, limit: limit, now: now)
        let numbers = try RowBatch.rows(in: got?.rows.bytes ?? []).map { Int($0.recipient) }
        let lease = LedgerModel.Lease(smurf: smurf, epoch: ledger.epoch)
        let expected = model.claim(lease, limit: limit, now: now)
        #expect(numbers == expected, "claim of \(limit) at \(now)")
        return "claim for \(smurf) at \(now)"
    }

    /// A batch of outcomes: often of the present epoch, sometimes repeated, sometimes of rows nobody has.
    private mutating func hear() async throws -> String {
        let smurf = smurf()
        let run = runs[smurf, default: 1]
        let repeats = Int.random(in: 0..<8, using: &random) == 0
        let number = max(numbers["\(smurf) \(run)", default: 0] + (repeats ? 0 : 1), 1)
        numbers["\(smurf) \(run)"] = number
        let epoch =
            Int.random(in: 0..<4, using: &random) > 0
            ? ledger.epoch : UInt64.random(in: 1...ledger.epoch, using: &random)
        var items = rowNumbers().sorted().map {
            RowOutcome(
                recipient: UInt32($0),
                verdict: RowOutcome.Verdict.allCases.randomElement(using: &random) ?? .accepted,
                reply: Bool.random(using: &random) ? "" : "451 4.2.1 later")
        }
        items.append(RowOutcome(recipient: UInt32(count) + 7, verdict: .accepted))
        let batch = OutcomeBatch(
            smurf: smurf, run: run, number: number, mailing: mailing, epoch: epoch, items: items)
        let strange = OutcomeBatch(
            smurf: smurf, run: run, number: number, mailing: 77, epoch: epoch, items: items)
        try await ledger.record([batch, strange], now: now)
        model.hear(.init(smurf: smurf, epoch: epoch), run: run, number: number, items, now: now)
        return "outcomes \(number) of \(smurf), epoch \(epoch): \(items.map(\.verdict))"
    }

    private mutating func lose() async throws -> String {
        let smurf = smurf()
        let keeping = Bool.random(using: &random) ? rowNumbers() : []
        let before: Int64 = Bool.random(using: &random) ? .max : now - 100
        let handedOver = Bool.random(using: &random)
        try await ledger.releaseLeases(
            of: smurf, keeping: leased(keeping), leasedBefore: before, wereHandedOver: handedOver)
        model.lose(smurf, keeping: keeping, before: before, wereHandedOver: handedOver)
        return "loss of \(smurf), handed over: \(handedOver)"
    }

    private mutating func welcome() async throws -> String {
        let smurf = smurf()
        if Bool.random(using: &random) { runs[smurf, default: 1] += 1 }
        let run = runs[smurf, default: 1]
        let holding = rowNumbers()
        try await ledger.welcome(smurf, run: run, holding: leased(holding))
        model.welcome(smurf, run: run, holding: holding)
        return "welcome of \(smurf), run \(run)"
    }

    private func leased(_ numbers: Set<Int>) -> Set<LeasedRow> {
        Set(numbers.map { LeasedRow(mailing: mailing, recipient: UInt32($0)) })
    }

    private mutating func feed() async throws -> String {
        let kinds: [RecipientFeedback.Kind] = [.bounce, .delivered, .unsubscribe, .complaint]
        let kind = kinds.randomElement(using: &random) ?? .bounce
        let index = Int.random(in: 0..<count, using: &random)
        let item = RecipientFeedback(kind: kind, mailing: mailing, recipient: UInt32(index))
        try await ledger.record([item, item], now: now)
        model.take(kind, of: index)
        if kind == .unsubscribe { fed.unsubscribes += 2 } else { fed.bounces += 2 }
        return "\(kind) of \(index)"
    }

    private mutating func steer() async throws -> String {
        let next: LedgerModel.Brake =
            Int.random(in: 0..<12, using: &random) == 0
            ? .cancelled : Bool.random(using: &random) ? .paused : .sending
        switch next {
        case .paused: _ = try? await ledger.pause(mailing)
        case .sending, .finished: _ = try? await ledger.resume(mailing)
        case .cancelled: _ = try? await ledger.cancel(mailing)
        }
        model.steer(to: next)
        return "\(next)"
    }
}
