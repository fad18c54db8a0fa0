import DeliveryCore
import Farm
import Foundation
import GRDB

/// What a recipient, or its mail system, sent back after a message went out.
public struct RecipientFeedback: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        case bounce
        /// A delivery status notification that says: delivered.
        case delivered
        case unsubscribe
        /// An abuse report; treated as an unsubscribe.
        case complaint
    }

    public var kind: Kind
    public var mailing: UInt32
    public var recipient: UInt32
    /// RFC 3463, "5.1.1"; empty when unknown.
    public var status: String
    public var diagnostic: String

    public init(
        kind: Kind, mailing: UInt32, recipient: UInt32, status: String = "", diagnostic: String = ""
    ) {
        self.kind = kind
        self.mailing = mailing
        self.recipient = recipient
        self.status = status
        self.diagnostic = diagnostic
    }
}

/// Feedback and the suppression list.
extension SQLiteLedger {
    /// Records feedback in one transaction. An item that comes twice changes nothing the second time; one that
    /// names no recipient of this ledger is left out. `workCounts` has both: somebody had to take them.
    /// - Returns: how many items named a recipient.
    @discardableResult
    public func record(_ feedback: [RecipientFeedback], now: Int64) async throws -> Int {
        try await pool.write { db in
            var changes = CounterChanges()
            var known = 0
            for item in feedback where try Self.take(item, now: now, &changes, db) { known += 1 }
            try changes.write(db)
            let requests = feedback.count { $0.kind == .unsubscribe }
            try WorkCounts(bounces: feedback.count - requests, unsubscribes: requests).add(db)
            return known
        }
    }

    private static func take(
        _ item: RecipientFeedback, now: Int64, _ changes: inout CounterChanges, _ db: Database
    ) throws -> Bool {
        let id = key(item.mailing, item.recipient)
        let find = try db.cachedStatement(sql: "SELECT state, marks FROM delivery WHERE id = ?")
        guard let row = try Row.fetchOne(find, arguments: [id]),
            let before = RecipientState(rawValue: row["state"])
        else { return false }
        let marks = RecipientMarks(rawValue: row["marks"])
        var (state, marked) = (before, marks)
        var detail: String?
        switch item.kind {
        case .bounce:
            marked.insert(.bounced)
            if before != .delivered { state = .failed }
            let text = [item.status, item.diagnostic].filter { !$0.isEmpty }.joined(separator: " ")
            detail = "bounce: " + String(text.prefix(512))
        case .delivered: state = .delivered
        case .unsubscribe, .complaint:
            marked.insert(.unsubscribed)
            try suppress(
                recipient: id, reason: item.kind == .complaint ? "complaint" : "unsubscribe", now,
                db)
        }
        guard state != before || marked != marks else { return true }
        try db.cachedStatement(
            sql:
                "UPDATE delivery SET state = ?, marks = ?, detail = coalesce(?, detail) WHERE id = ?"
        ).execute(arguments: [state.rawValue, marked.rawValue, detail, id])
        changes.move(from: before, to: state, of: item.mailing)
        changes.mark(from: marks, to: marked, of: item.mailing)
        return true
    }

    private static func suppress(recipient id: Int64, reason: String, _ now: Int64, _ db: Database)
        throws
    {
        let body = try Data.fetchOne(
            db, sql: "SELECT body FROM recipient WHERE id = ?", arguments: [id])
        let list = try String.fetchOne(
            db, sql: "SELECT listID FROM mailing WHERE id = ?", arguments: [id >> 32])
        guard let body, let list else { return }
        let address = try RowBatch.row(recipient: recipient(ofKey: id), body: Array(body)).address
        try insertSuppression(Suppressions.folded(address), list: list, reason: reason, now, db)
    }

    private static func insertSuppression(
        _ address: String, list: String, reason: String, _ now: Int64, _ db: Database
    ) throws {
        try db.cachedStatement(sql: "INSERT OR IGNORE INTO suppression VALUES (?, ?, ?, ?)")
            .execute(arguments: [address, list, reason, now])
    }

    /// Puts addresses on the suppression list. Rows that are leased already are not called back.
    /// - Parameter list: label of the list; empty = for all lists.
    public func suppress(_ addresses: [String], list: String, reason: String, now: Int64)
        async throws
    {
        try await pool.write { db in
            for address in addresses {
                try Self.insertSuppression(
                    Suppressions.folded(address.utf8), list: list, reason: reason, now, db)
            }
        }
    }

    /// Takes an address off the suppression list of `list`; other lists keep it.
    /// - Returns: whether it was on it.
    @discardableResult
    public func unsuppress(_ address: String, list: String) async throws -> Bool {
        try await pool.write { db in
            try db.execute(
                sql: "DELETE FROM suppression WHERE address = ? AND listID = ?",
                arguments: [Suppressions.folded(address.utf8), list])
            return db.changesCount > 0
        }
    }

    /// One page of the suppression list, by address.
    public func suppressions(after address: String = "", limit: Int) async throws -> [Suppression] {
        try await pool.read { db in
            try Row.fetchAll(
                db,
                sql: "SELECT * FROM suppression WHERE address > ? ORDER BY address, listID LIMIT ?",
                arguments: [address, limit]
            ).map {
                Suppression(
                    address: $0["address"], list: $0["listID"], reason: $0["reason"],
                    since: $0["since"])
            }
        }
    }
}

/// An address that is not written to in the name of a list.
public struct Suppression: Hashable, Sendable {
    /// ASCII letters in lower case.
    public var address: String
    /// Empty = for all lists.
    public var list: String
    public var reason: String
    /// Unix seconds.
    public var since: Int64
}
