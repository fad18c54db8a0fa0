public import DeliveryCore
import Foundation
import GRDB

/// Rows handed out under one lease: what goes to a smurf as one chunk.
public struct ClaimedRows: Hashable, Sendable {
    public var mailing: UInt32
    public var rows: RowBatch
}

/// Claims: pending rows become leased rows, and lost leases pending ones again.
extension SQLiteLedger {
    /// Leases up to `limit` due rows of one mailing that is being sent to a smurf; the oldest mailing with due
    /// rows comes first. Suppressed addresses are settled on the way and not returned.
    /// - Parameters:
    ///   - smurf: id of the smurf; the lease is (smurf, `epoch`).
    ///   - limit: rows, 1 and up.
    /// - Returns: nil when nothing is due.
    public func claim(for smurf: String, limit: Int, now: Int64) async throws -> ClaimedRows? {
        try await pool.write { [epoch] db in
            let sending = try Row.fetchAll(
                db,
                sql: "SELECT id, listID, deadline FROM mailing WHERE state = 'sending' ORDER BY id")
            var changes = CounterChanges()
            for mailing in sending {
                let id = UInt32(truncatingIfNeeded: mailing["id"] as Int64)
                let deadline: Int64 = mailing["deadline"]
                if deadline != 0 && deadline <= now {
                    try Self.failOverdue(id, now: now, &changes, db)
                    continue
                }
                var suppressions = Suppressions(list: mailing["listID"])
                let rows = try Self.lease(
                    id, to: smurf, epoch: epoch, limit: limit, now: now, &suppressions, &changes, db
                )
                if rows.count > 0 {
                    try changes.write(db)
                    return ClaimedRows(mailing: id, rows: rows)
                }
            }
            try changes.write(db)
            return nil
        }
    }

    /// Due rows of a mailing in the order they are handed out. Cost: the rows it returns, by `delivery_pending`.
    static let dueRows = """
        SELECT d.id, r.body FROM delivery d JOIN recipient r ON r.id = d.id
        WHERE d.state = 0 AND d.id >> 32 = ? AND d.notBefore <= ?
        ORDER BY d.notBefore, d.id LIMIT ?
        """

    /// How many rows of a mailing wait for a later try. Cost: as many steps in `delivery_pending`.
    static let rowsPutOff =
        "SELECT count(*) FROM delivery WHERE state = 0 AND id >> 32 = ? AND notBefore > ?"

    /// What a smurf holds. Cost: the rows it returns, by `delivery_leased`.
    static let rowsHeld = """
        SELECT d.id, d.marks, m.state = 'cancelled' AS isCancelled FROM delivery d
        JOIN mailing m ON m.id = d.id >> 32
        WHERE d.state = 1 AND d.smurf = ? AND d.leasedAt < ?
        """

    private static func lease(
        _ mailing: UInt32, to smurf: String, epoch: UInt64, limit: Int, now: Int64,
        _ suppressions: inout Suppressions, _ changes: inout CounterChanges, _ db: Database
    ) throws -> RowBatch {
        let due = try db.cachedStatement(sql: dueRows)
        let take = try db.cachedStatement(
            sql: """
                UPDATE delivery SET state = 1, smurf = ?, epoch = ?, leasedAt = ?,
                    firstTry = coalesce(firstTry, ?) WHERE id = ?
                """)
        var batch = RowBatch()
        while batch.count < limit {
            let found = try Row.fetchAll(
                due, arguments: [Int64(mailing), now, limit - batch.count])
            if found.isEmpty { break }
            for row in found {
                let id: Int64 = row["id"]
                let body = Array(row["body"] as Data)
                let address = try RowBatch.row(recipient: recipient(ofKey: id), body: body).address
                if try suppressions.contain(address, db) {
                    try settle(id, as: .suppressed, detail: "on the suppression list", db)
                    changes.move(from: .pending, to: .suppressed, of: mailing)
                } else {
                    try take.execute(arguments: [smurf, Int64(epoch), now, now, id])
                    changes.move(from: .pending, to: .leased, of: mailing)
                    batch.append(recipient: recipient(ofKey: id), body: body)
                }
            }
        }
        return batch
    }

    /// Fails the pending rows of a mailing whose deadline is past.
    private static func failOverdue(
        _ mailing: UInt32, now: Int64, _ changes: inout CounterChanges, _ db: Database
    ) throws {
        try db.execute(
            sql: """
                UPDATE delivery SET state = 3, detail = coalesce(detail || '; ', '') || 'deadline passed'
                WHERE state = 0 AND id >> 32 = ?
                """, arguments: [Int64(mailing)])
        changes.enter(.pending, of: mailing, rows: -db.changesCount)
        changes.enter(.failed, of: mailing, rows: db.changesCount)
    }

    static func settle(_ id: Int64, as state: RecipientState, detail: String?, _ db: Database)
        throws
    {
        try db.cachedStatement(
            sql: "UPDATE delivery SET state = ?, detail = coalesce(?, detail) WHERE id = ?"
        ).execute(arguments: [state.rawValue, detail, id])
    }

    /// Gives rows up that a smurf holds and will not report on.
    /// - Parameters:
    ///   - keeping: rows that the smurf says it still works on, as (mailing, recipient).
    ///   - leasedBefore: only leases made before this time; nil = all.
    ///   - wereHandedOver: the rows may have been sent: they are marked doubtful.
    /// - Returns: how many rows are pending again or cancelled.
    @discardableResult
    public func releaseLeases(
        of smurf: String, keeping: Set<LeasedRow> = [], leasedBefore: Int64? = nil,
        wereHandedOver: Bool
    ) async throws -> Int {
        try await pool.write { db in
            try Self.release(
                smurf, keeping: keeping, leasedBefore: leasedBefore, wereHandedOver: wereHandedOver,
                db)
        }
    }

    /// A smurf has begun a stream and said what it holds: leases on anything else are given up. They are
    /// doubtful when another run of its agent had them; the same run would still hold what it was given.
    /// - Returns: how many rows are pending again or cancelled.
    @discardableResult
    public func welcome(_ smurf: String, run: UInt64, holding: Set<LeasedRow>) async throws -> Int {
        try await pool.write { db in
            let last = try String.fetchOne(
                db, sql: "SELECT run FROM holder WHERE smurf = ?", arguments: [smurf])
            let released = try Self.release(
                smurf, keeping: holding, leasedBefore: nil, wereHandedOver: last != String(run), db)
            try db.execute(
                sql: "INSERT OR REPLACE INTO holder VALUES (?, ?)", arguments: [smurf, String(run)])
            return released
        }
    }

    private static func release(
        _ smurf: String, keeping: Set<LeasedRow>, leasedBefore: Int64?, wereHandedOver: Bool,
        _ db: Database
    ) throws -> Int {
        let held = try Row.fetchAll(
            db, sql: rowsHeld, arguments: [smurf, leasedBefore ?? .max])
        var changes = CounterChanges()
        var released = 0
        for row in held {
            let id: Int64 = row["id"]
            let mailing = mailing(ofKey: id)
            if keeping.contains(LeasedRow(mailing: mailing, recipient: recipient(ofKey: id))) {
                continue
            }
            let marks = RecipientMarks(rawValue: row["marks"])
            let marked = wereHandedOver ? marks.union(.doubtful) : marks
            let state: RecipientState = row["isCancelled"] ? .cancelled : .pending
            try db.cachedStatement(
                sql: "UPDATE delivery SET state = ?, marks = ?, notBefore = 0 WHERE id = ?"
            ).execute(arguments: [state.rawValue, marked.rawValue, id])
            changes.move(from: .leased, to: state, of: mailing)
            changes.mark(from: marks, to: marked, of: mailing)
            released += 1
        }
        try changes.write(db)
        return released
    }

    /// Pending rows whose next try is later than `now`. Cost grows with them.
    public func deferredRows(of mailing: UInt32, now: Int64) async throws -> Int {
        try await pool.read { db in
            try Int.fetchOne(
                db.cachedStatement(sql: Self.rowsPutOff), arguments: [Int64(mailing), now]) ?? 0
        }
    }

    /// Smurfs that hold rows, with the time of their oldest lease.
    public func leaseHolders() async throws -> [String: Int64] {
        try await pool.read { db in
            let rows = try Row.fetchAll(
                db,
                sql:
                    "SELECT smurf, min(leasedAt) AS oldest FROM delivery WHERE state = 1 GROUP BY smurf"
            )
            return Dictionary(
                uniqueKeysWithValues: rows.map { ($0["smurf"] as String, $0["oldest"] as Int64) })
        }
    }
}

/// One recipient of one mailing.
public struct LeasedRow: Hashable, Sendable {
    public var mailing: UInt32
    public var recipient: UInt32

    public init(mailing: UInt32, recipient: UInt32) {
        self.mailing = mailing
        self.recipient = recipient
    }
}
