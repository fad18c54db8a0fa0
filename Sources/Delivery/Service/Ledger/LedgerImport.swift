import Crypto
public import DeliveryCore
import Farm
import Foundation
import GRDB

/// Import: a mailing enters the ledger whole or not at all.
extension SQLiteLedger {
    /// Opens an import. Nothing of it is sent before `finishImport`.
    /// - Parameters:
    ///   - template: an RFC 5322 message with merge fields; the caller has compiled it once.
    ///   - fields: names of the row's values, in order.
    ///   - deadline: unix seconds after which nothing more is tried; 0 = none.
    /// - Returns: the number of the mailing.
    /// - Throws: `LedgerError.nameTaken`, `.badRows` for a field name with a line break.
    public func beginImport(
        template: [UInt8], fields: [String], identity: MailingIdentity, deadline: Int64 = 0,
        now: Int64
    ) async throws -> UInt32 {
        guard fields.allSatisfy({ !$0.isEmpty && !$0.contains("\n") }) else {
            throw LedgerError.badRows(
                "a field name is empty or has a line break: rename the column")
        }
        let digest = Array(SHA256.hash(data: template))
        return try await pool.write { db in
            let taken = try Bool.fetchOne(
                db, sql: "SELECT 1 FROM mailing WHERE name = ?", arguments: [identity.name])
            if taken != nil { throw LedgerError.nameTaken(identity.name) }
            try db.execute(
                sql: """
                    INSERT INTO mailing (name, state, template, digest, fields, sender, listID, bounceDomain,
                        unsubscribeBase, feedbackSender, date, tokenExpiryDay, deadline, created)
                    VALUES (?, 'importing', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    identity.name, Data(template), Data(digest), fields.joined(separator: "\n"),
                    identity.from,
                    identity.listID, identity.bounceDomain, identity.unsubscribeBase,
                    identity.feedbackSender, identity.date, Int64(identity.tokenExpiryDay),
                    deadline, now,
                ])
            return UInt32(truncatingIfNeeded: db.lastInsertedRowID)
        }
    }

    /// Adds rows to an open import, all or none of them.
    /// - Parameter rows: a `RowBatch`; numbers go on where the last call ended, from 0.
    /// - Returns: rows imported so far.
    /// - Throws: `LedgerError.badRows` when rows are malformed, misnumbered or have another number of values.
    @discardableResult
    public func appendImport(mailing: UInt32, rows: [UInt8]) async throws -> Int {
        let parsed: [RowBatch.Row]
        do { parsed = try RowBatch.rows(in: rows) } catch {
            throw LedgerError.badRows(error.description)
        }
        return try await pool.write { db in
            let record = try Self.record(mailing, db)
            guard record.state == .importing else {
                throw LedgerError.wrongState(
                    "mailing \(mailing) takes no more rows: it is \(record.state)")
            }
            var suppressions = Suppressions(list: record.identity.listID)
            var changes = CounterChanges()
            for (offset, row) in parsed.enumerated() {
                let number = record.total + offset
                try Self.check(row, number: number, of: record)
                let state: RecipientState =
                    try suppressions.contain(row.address, db) ? .suppressed : .pending
                try Self.insert(row, state: state, of: mailing, db)
                changes.enter(state, of: mailing)
            }
            let total = record.total + parsed.count
            try db.execute(
                sql: "UPDATE mailing SET total = ? WHERE id = ?",
                arguments: [total, Int64(mailing)])
            try changes.write(db, areNew: true)
            return total
        }
    }

    /// Ends the import; the mailing may be sent from now on.
    /// - Parameter rows: how many the importer has handed over; must equal what arrived.
    /// - Throws: `LedgerError.badRows` when it does not; the import stays open.
    public func finishImport(mailing: UInt32, rows: UInt64) async throws -> MailingRecord {
        try await pool.write { db in
            let record = try Self.record(mailing, db)
            guard record.state == .importing else {
                throw LedgerError.wrongState("mailing \(mailing) is \(record.state), not importing")
            }
            guard UInt64(record.total) == rows else {
                throw LedgerError.badRows(
                    "\(rows) rows were announced, \(record.total) arrived: import again")
            }
            try db.execute(
                sql: "UPDATE mailing SET state = 'sending' WHERE id = ?",
                arguments: [Int64(mailing)])
            try WorkCounts(rows: record.counts.open).add(db)
            try CounterChanges.finishIfDone(mailing, db)
            return try Self.record(mailing, db)
        }
    }

    /// Drops an open import with all its rows. Cost grows with the rows.
    public func abortImport(mailing: UInt32) async throws {
        try await pool.write { db in
            guard try Self.record(mailing, db).state == .importing else {
                throw LedgerError.wrongState(
                    "mailing \(mailing) is no longer importing: cancel it instead")
            }
            try Self.drop(mailing, db)
        }
    }

    static func dropUnfinishedImports(_ db: Database) throws {
        let open = try Int64.fetchAll(db, sql: "SELECT id FROM mailing WHERE state = 'importing'")
        for id in open { try drop(UInt32(truncatingIfNeeded: id), db) }
    }

    private static func drop(_ mailing: UInt32, _ db: Database) throws {
        for table in ["recipient", "delivery"] {
            try db.execute(
                sql: "DELETE FROM \(table) WHERE id BETWEEN ? AND ?",
                arguments: [key(mailing, 0), key(mailing, .max)])
        }
        try db.execute(sql: "DELETE FROM counter WHERE mailing = ?", arguments: [Int64(mailing)])
        try db.execute(sql: "DELETE FROM mailing WHERE id = ?", arguments: [Int64(mailing)])
    }

    private static func check(_ row: RowBatch.Row, number: Int, of record: MailingRecord) throws {
        guard Int64(row.recipient) == Int64(number) else {
            throw LedgerError.badRows(
                "row \(number) has number \(row.recipient): rows count from 0 without gaps")
        }
        guard row.values.count == record.fields.count else {
            throw LedgerError.badRows(
                "row \(number) has \(row.values.count) values, the mailing \(record.fields.count) fields"
            )
        }
    }

    private static func insert(
        _ row: RowBatch.Row, state: RecipientState, of mailing: UInt32, _ db: Database
    ) throws {
        let id = key(mailing, row.recipient)
        try db.cachedStatement(sql: "INSERT INTO recipient VALUES (?, ?)").execute(arguments: [
            id, Data(row.body),
        ])
        try db.cachedStatement(sql: "INSERT INTO delivery (id, state) VALUES (?, ?)")
            .execute(arguments: [id, state.rawValue])
    }
}
