public import DeliveryCore
import Foundation
import GRDB

/// A mailing as the ledger knows it: what it is made of, where it stands, its counters. Without its rows.
public struct MailingRecord: Hashable, Sendable {
    public enum State: String, Sendable { case importing, sending, paused, cancelled, finished }

    /// 1 and up; never used twice.
    public var id: UInt32
    public var state: State
    /// The RFC 5322 message with merge fields.
    public var template: [UInt8]
    /// SHA-256 of `template`.
    public var digest: [UInt8]
    /// Names of a row's values, in order.
    public var fields: [String]
    public var identity: MailingIdentity
    /// Unix seconds after which nothing more is tried; 0 = none.
    public var deadline: Int64
    /// Unix seconds.
    public var created: Int64
    public var total: Int
    /// Why the mailing does not go faster; empty when it does.
    public var trouble: String
    public var counts: MailingCounts

    public var name: String { identity.name }

    init(_ row: Row, counts: MailingCounts) throws {
        guard let state = State(rawValue: row["state"]) else {
            throw LedgerError.damaged("mailing \(row["id"] as Int64) has no known state")
        }
        id = UInt32(truncatingIfNeeded: row["id"] as Int64)
        self.state = state
        template = Array(row["template"] as Data)
        digest = Array(row["digest"] as Data)
        let names: String = row["fields"]
        fields = names.isEmpty ? [] : names.split(separator: "\n").map(String.init)
        identity = MailingIdentity(
            name: row["name"], listID: row["listID"], from: row["sender"],
            bounceDomain: row["bounceDomain"], unsubscribeBase: row["unsubscribeBase"],
            feedbackSender: row["feedbackSender"], date: row["date"],
            tokenExpiryDay: UInt16(clamping: row["tokenExpiryDay"] as Int64))
        deadline = row["deadline"]
        created = row["created"]
        total = row["total"]
        trouble = row["trouble"]
        self.counts = counts
    }
}

/// Rows of one mailing by state and by mark.
public struct MailingCounts: Hashable, Sendable {
    /// By the name of a `RecipientState` or of a mark ("doubtful", "bounced", "unsubscribed"); none = 0.
    public var rows: [String: Int]

    public subscript(_ state: RecipientState) -> Int { rows[state.name] ?? 0 }
    public var doubtful: Int { rows["doubtful"] ?? 0 }
    public var bounced: Int { rows["bounced"] ?? 0 }
    public var unsubscribed: Int { rows["unsubscribed"] ?? 0 }
    /// Rows that something is still to be done for.
    public var open: Int { self[.pending] + self[.leased] }
}

/// What cannot be done with the ledger, and what to do instead.
public enum LedgerError: Error, Hashable, Sendable, CustomStringConvertible {
    case noSuchMailing(String)
    case nameTaken(String)
    /// The mailing's state does not allow it.
    case wrongState(String)
    /// The rows of an import are not what was announced.
    case badRows(String)
    /// The file says something impossible.
    case damaged(String)
    /// The file cannot be opened, or is something else.
    case unusable(String)

    public var description: String {
        switch self {
        case .noSuchMailing(let name): "no mailing \"\(name)\": `smurf mailing list` shows them all"
        case .nameTaken(let name): "a mailing \"\(name)\" exists already: choose another name"
        case .wrongState(let text), .badRows(let text), .damaged(let text), .unusable(let text):
            text
        }
    }
}
