import DeliveryCore
import Foundation
import GRDB

/// One recipient as the ledger knows it.
public struct RecipientRecord: Hashable, Sendable {
    public var recipient: UInt32
    public var address: String
    public var state: RecipientState
    public var marks: RecipientMarks
    /// Tries that were deferred or doubtful.
    public var tries: Int
    /// The last reply, or why it failed; may be empty.
    public var detail: String
}

/// Which recipients of a mailing to list.
public enum RecipientFilter: Hashable, Sendable {
    case all
    case state(RecipientState)
    case mark(RecipientMarks)

    /// - Parameter text: empty = all, a state, or "doubtful", "bounced", "unsubscribed".
    public init?(_ text: String) {
        if text.isEmpty {
            self = .all
        } else if let state = RecipientState(name: text) {
            self = .state(state)
        } else if let mark = RecipientMarks.named.first(where: { $0.1 == text }) {
            self = .mark(mark.0)
        } else {
            return nil
        }
    }
}

extension SQLiteLedger {
    /// One page of a mailing's recipients, by number.
    /// - Parameters:
    ///   - after: number of the last recipient of the page before; nil = from the start.
    ///   - limit: rows of the page, 1 and up.
    public func recipients(
        of mailing: UInt32, _ filter: RecipientFilter = .all, after: UInt32? = nil, limit: Int
    ) async throws -> [RecipientRecord] {
        let (condition, argument): (String, Int) =
            switch filter {
            case .all: ("? = 0", 0)
            case .state(let state): ("d.state = ?", state.rawValue)
            case .mark(let marks): ("d.marks <> 0 AND d.marks & ? <> 0", marks.rawValue)
            }
        let first = Self.key(mailing, after ?? 0) + (after == nil ? 0 : 1)
        return try await pool.read { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT d.id, d.state, d.marks, d.tries, d.detail, r.body FROM delivery d
                    JOIN recipient r ON r.id = d.id
                    WHERE \(condition) AND d.id BETWEEN ? AND ? ORDER BY d.id LIMIT ?
                    """, arguments: [argument, first, Self.key(mailing, .max), limit])
            return try rows.map(Self.recipient)
        }
    }

    private static func recipient(_ row: Row) throws -> RecipientRecord {
        let number = recipient(ofKey: row["id"])
        guard let state = RecipientState(rawValue: row["state"]) else {
            throw LedgerError.damaged("recipient \(number) has no known state")
        }
        let address = try RowBatch.row(recipient: number, body: Array(row["body"] as Data)).address
        return RecipientRecord(
            recipient: number, address: String(decoding: address, as: UTF8.self), state: state,
            marks: RecipientMarks(rawValue: row["marks"]), tries: row["tries"],
            detail: row["detail"] ?? "")
    }
}
