import GRDB

/// What a batch of outcomes is for: the lease it belongs to and the number it is repeated under.
public struct OutcomeBatch: Hashable, Sendable {
    public var smurf: String
    /// Run of the agent; batch numbers count per run.
    public var run: UInt64
    /// 1 and up, one more for each batch of the run.
    public var number: UInt64
    public var mailing: UInt32
    /// Of the lease.
    public var epoch: UInt64
    public var items: [RowOutcome]

    public init(
        smurf: String, run: UInt64, number: UInt64, mailing: UInt32, epoch: UInt64,
        items: [RowOutcome]
    ) {
        self.smurf = smurf
        self.run = run
        self.number = number
        self.mailing = mailing
        self.epoch = epoch
        self.items = items
    }
}

/// Outcomes: leased rows are settled or come back. See the state table in docs/LEDGER.md.
extension SQLiteLedger {
    /// Records batches in the order of their numbers, in one transaction. A batch that was recorded before and
    /// recipients that do not exist change nothing.
    /// - Returns: once it returns, all batches are on disk and may be receipted.
    public func record(_ batches: [OutcomeBatch], now: Int64) async throws {
        try await pool.write { [policy] db in
            var changes = CounterChanges()
            for batch in batches.sorted(by: { $0.number < $1.number })
            where try Self.isNew(batch, db) {
                guard let mailing = try Settling(batch, policy: policy, now: now, db) else {
                    continue
                }
                for item in batch.items { try mailing.settle(item, &changes, db) }
            }
            try changes.write(db)
        }
    }

    /// Whether the batch was not recorded before; notes that it is now.
    private static func isNew(_ batch: OutcomeBatch, _ db: Database) throws -> Bool {
        let number = Int64(clamping: batch.number)
        let run = String(batch.run)
        let last = try Int64.fetchOne(
            db.cachedStatement(sql: "SELECT batch FROM receipt WHERE smurf = ? AND run = ?"),
            arguments: [batch.smurf, run])
        if let last, last >= number { return false }
        try db.cachedStatement(sql: "INSERT OR REPLACE INTO receipt VALUES (?, ?, ?)")
            .execute(arguments: [batch.smurf, run, number])
        return true
    }
}

/// Settles the rows of one batch.
private struct Settling {
    /// A row as the batch finds it.
    struct Standing {
        var id: Int64
        var state: RecipientState
        var marks: RecipientMarks
        var tries: Int
        var firstTry: Int64
        var isOwnLease: Bool
    }

    let batch: OutcomeBatch
    let policy: SQLiteLedger.Policy
    let now: Int64
    let isCancelled: Bool
    let deadline: Int64

    /// nil: there is no such mailing.
    init?(_ batch: OutcomeBatch, policy: SQLiteLedger.Policy, now: Int64, _ db: Database) throws {
        guard
            let row = try Row.fetchOne(
                db.cachedStatement(sql: "SELECT state, deadline FROM mailing WHERE id = ?"),
                arguments: [Int64(batch.mailing)])
        else { return nil }
        self.batch = batch
        self.policy = policy
        self.now = now
        isCancelled = row["state"] == "cancelled"
        deadline = row["deadline"]
    }

    func settle(_ item: RowOutcome, _ changes: inout CounterChanges, _ db: Database) throws {
        guard let row = try standing(item.recipient, db) else { return }
        if item.verdict == .accepted || item.verdict == .bogged {
            return try accept(row, item, &changes, db)
        }
        // Whatever else an older lease says, the row has another lease or an end by now.
        guard row.state == .leased, row.isOwnLease else { return }
        var marks = row.marks
        var tries = row.tries
        var state = RecipientState.pending
        var notBefore: Int64 = 0
        switch item.verdict {
        case .accepted, .bogged, .returned: break
        case .refused, .unrenderable: state = .failed
        case .deferred, .doubtful:
            tries += 1
            notBefore = now + policy.backoff(tries: tries)
            if item.verdict == .doubtful { marks.insert(.doubtful) }
            let isOverdue = deadline != 0 && deadline <= now
            if isOverdue || now - row.firstTry >= policy.maximumAge { state = .failed }
        }
        if state == .pending && isCancelled { state = .cancelled }
        try db.cachedStatement(
            sql: """
                UPDATE delivery SET state = ?, marks = ?, tries = ?, notBefore = ?,
                    detail = coalesce(?, detail) WHERE id = ?
                """
        ).execute(arguments: [
            state.rawValue, marks.rawValue, tries, notBefore, item.detail, row.id,
        ])
        changes.move(from: .leased, to: state, of: batch.mailing)
        changes.mark(from: row.marks, to: marks, of: batch.mailing)
    }

    /// The message is out: that wins over everything that was decided since the lease was lost.
    private func accept(
        _ row: Standing, _ item: RowOutcome, _ changes: inout CounterChanges, _ db: Database
    ) throws {
        let isSettled = row.state.isSent || row.marks.contains(.bounced)
        var marks = row.marks
        // Another lease has sent it, or is about to.
        if (isSettled || row.state == .leased) && !row.isOwnLease { marks.insert(.doubtful) }
        let state: RecipientState =
            isSettled ? row.state : item.verdict == .bogged ? .bogged : .accepted
        guard state != row.state || marks != row.marks else { return }
        try db.cachedStatement(
            sql: """
                UPDATE delivery SET state = ?1, marks = ?2, detail = coalesce(?3, detail),
                    smurf = iif(?6, smurf, ?4), epoch = iif(?6, epoch, ?5) WHERE id = ?7
                """
        ).execute(arguments: [
            state.rawValue, marks.rawValue, item.detail, batch.smurf, Int64(clamping: batch.epoch),
            isSettled, row.id,
        ])
        changes.move(from: row.state, to: state, of: batch.mailing)
        changes.mark(from: row.marks, to: marks, of: batch.mailing)
    }

    private func standing(_ recipient: UInt32, _ db: Database) throws -> Standing? {
        let id = SQLiteLedger.key(batch.mailing, recipient)
        let find = try db.cachedStatement(
            sql: "SELECT state, marks, tries, firstTry, smurf, epoch FROM delivery WHERE id = ?")
        guard let row = try Row.fetchOne(find, arguments: [id]) else { return nil }
        guard let state = RecipientState(rawValue: row["state"]) else {
            throw LedgerError.damaged(
                "recipient \(recipient) of mailing \(batch.mailing) has no known state")
        }
        let holder: String? = row["smurf"]
        let epoch: Int64? = row["epoch"]
        return Standing(
            id: id, state: state, marks: RecipientMarks(rawValue: row["marks"]),
            tries: row["tries"],
            firstTry: row["firstTry"] ?? now,
            isOwnLease: holder == batch.smurf && epoch == Int64(clamping: batch.epoch))
    }
}

extension RowOutcome {
    /// The reply as it is kept: at most 512 characters; nil when there is nothing to say.
    fileprivate var detail: String? { reply.isEmpty ? nil : String(reply.prefix(512)) }
}
