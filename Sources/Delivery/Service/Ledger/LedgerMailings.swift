import DeliveryCore
public import Farm
import GRDB

/// Mailings: showing, steering and counting them.
extension SQLiteLedger {
    /// All mailings, newest first.
    public func mailings() async throws -> [MailingRecord] {
        try await pool.read { db in
            let ids = try Int64.fetchAll(db, sql: "SELECT id FROM mailing ORDER BY id DESC")
            return try ids.map { try Self.record(UInt32(truncatingIfNeeded: $0), db) }
        }
    }

    /// What was taken up and settled, and what came back, since the ledger was made; `rows` less `settled` are open.
    public func workCounts() async throws -> WorkCounts {
        try await pool.read { db in try Self.workCounts(db) }
    }

    static func workCounts(_ db: Database) throws -> WorkCounts {
        let row = try Row.fetchOne(
            db.cachedStatement(sql: "SELECT rows, settled, bounces, unsubscribes FROM core"))
        guard let row else { throw LedgerError.damaged("table 'core' has no row") }
        return WorkCounts(
            rows: row["rows"], settled: row["settled"], bounces: row["bounces"],
            unsubscribes: row["unsubscribes"])
    }

    /// Mailings that are being sent, and others of which smurfs still hold rows.
    public func runningMailings() async throws -> [MailingRecord] {
        try await pool.read { db in
            let ids = try Int64.fetchAll(
                db,
                sql: """
                    SELECT id FROM mailing WHERE state = 'sending'
                    UNION SELECT DISTINCT id >> 32 FROM delivery WHERE state = 1 ORDER BY 1
                    """)
            return try ids.map { try Self.record(UInt32(truncatingIfNeeded: $0), db) }
        }
    }

    /// - Parameter text: name of a mailing, or its number.
    /// - Throws: `LedgerError.noSuchMailing`.
    public func mailing(_ text: String) async throws -> MailingRecord {
        try await pool.read { db in
            let id = try Int64.fetchOne(
                db, sql: "SELECT id FROM mailing WHERE name = ?", arguments: [text])
            guard let number = id.map({ UInt32(truncatingIfNeeded: $0) }) ?? UInt32(text) else {
                throw LedgerError.noSuchMailing(text)
            }
            return try Self.record(number, db)
        }
    }

    /// - Throws: `LedgerError.noSuchMailing`.
    public func mailing(_ id: UInt32) async throws -> MailingRecord {
        try await pool.read { db in try Self.record(id, db) }
    }

    static func record(_ id: UInt32, _ db: Database) throws -> MailingRecord {
        let find = try db.cachedStatement(sql: "SELECT * FROM mailing WHERE id = ?")
        guard let row = try Row.fetchOne(find, arguments: [Int64(id)]) else {
            throw LedgerError.noSuchMailing(String(id))
        }
        return try MailingRecord(row, counts: counts(id, db))
    }

    private static func counts(_ id: UInt32, _ db: Database) throws -> MailingCounts {
        let rows = try Row.fetchAll(
            db.cachedStatement(
                sql: "SELECT name, rows FROM counter WHERE mailing = ? AND rows <> 0"),
            arguments: [Int64(id)])
        return MailingCounts(
            rows: Dictionary(
                uniqueKeysWithValues: rows.map { ($0["name"] as String, $0["rows"] as Int) }))
    }

    /// Counts the rows themselves. Equal to `counts` of the mailing, or the ledger is damaged. Reads every row.
    public func recount(_ id: UInt32) async throws -> MailingCounts {
        try await pool.read { db in
            var counts: [String: Int] = [:]
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT state, marks, count(*) AS rows FROM delivery WHERE id BETWEEN ? AND ?
                    GROUP BY state, marks
                    """, arguments: [Self.key(id, 0), Self.key(id, .max)])
            for row in rows {
                let state = RecipientState(rawValue: row["state"])?.name ?? "unknown"
                counts[state, default: 0] += row["rows"] as Int
                let marks = RecipientMarks(rawValue: row["marks"])
                for (mark, name) in RecipientMarks.named where marks.contains(mark) {
                    counts[name, default: 0] += row["rows"] as Int
                }
            }
            return MailingCounts(rows: counts)
        }
    }

    /// No row of the mailing is claimed until `resume`; leased rows go on.
    /// - Throws: `LedgerError.wrongState` unless it is being sent or paused already.
    public func pause(_ id: UInt32) async throws -> MailingRecord {
        try await steer(id, from: [.sending, .paused], to: .paused)
    }

    /// Undoes `pause`, and the trouble that led to it.
    public func resume(_ id: UInt32) async throws -> MailingRecord {
        try await steer(id, from: [.paused, .sending], to: .sending)
    }

    /// Ends the mailing: pending rows are cancelled now, leased ones unless they still go out.
    public func cancel(_ id: UInt32) async throws -> MailingRecord {
        try await steer(id, from: [.sending, .paused, .cancelled], to: .cancelled)
    }

    private func steer(
        _ id: UInt32, from allowed: [MailingRecord.State], to state: MailingRecord.State
    ) async throws -> MailingRecord {
        try await pool.write { db in
            let now = try Self.record(id, db).state
            guard allowed.contains(now) else {
                throw LedgerError.wrongState("mailing \(id) is \(now): it cannot become \(state)")
            }
            try db.execute(
                sql: "UPDATE mailing SET state = ?, trouble = '' WHERE id = ?",
                arguments: [state.rawValue, Int64(id)])
            var changes = CounterChanges()
            if state == .cancelled {
                try db.execute(
                    sql: "UPDATE delivery SET state = 7 WHERE state = 0 AND id >> 32 = ?",
                    arguments: [Int64(id)])
                changes.enter(.pending, of: id, rows: -db.changesCount)
                changes.enter(.cancelled, of: id, rows: db.changesCount)
            }
            try changes.write(db)
            try CounterChanges.finishIfDone(id, db)
            return try Self.record(id, db)
        }
    }

    /// Pauses a mailing that cannot go on, and says why.
    public func pause(_ id: UInt32, trouble: String) async throws {
        try await pool.write { db in
            try db.execute(
                sql:
                    "UPDATE mailing SET state = 'paused', trouble = ? WHERE id = ? AND state = 'sending'",
                arguments: [trouble, Int64(id)])
        }
    }
}

extension WorkCounts {
    /// Adds them to those of the ledger, in the transaction that is under way.
    func add(_ db: Database) throws {
        guard self != WorkCounts() else { return }
        try db.cachedStatement(
            sql: """
                UPDATE core SET rows = rows + ?, settled = settled + ?, bounces = bounces + ?,
                    unsubscribes = unsubscribes + ?
                """
        ).execute(arguments: [rows, settled, bounces, unsubscribes])
    }
}
