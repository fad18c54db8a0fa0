import GRDB

/// Looks addresses up in the suppression list of one mailing list, within one transaction. An address
/// suppressed for the empty list is suppressed for all.
struct Suppressions {
    let list: String
    /// Most farms suppress few: an empty table is asked once per transaction.
    private var isEmpty: Bool?

    init(list: String) { self.list = list }

    mutating func contain(_ address: some Collection<UInt8>, _ db: Database) throws -> Bool {
        if isEmpty == nil {
            isEmpty = try Bool.fetchOne(db, sql: "SELECT NOT EXISTS (SELECT 1 FROM suppression)")
        }
        guard isEmpty == false else { return false }
        let statement = try db.cachedStatement(
            sql: "SELECT 1 FROM suppression WHERE address = ? AND listID IN ('', ?)")
        return try Bool.fetchOne(statement, arguments: [Self.folded(address), list]) != nil
    }

    /// How addresses are compared: without regard to the case of ASCII letters, also left of the at sign;
    /// mail systems that tell them apart do not matter here, somebody who is written to in spite of all does.
    static func folded(_ address: some Collection<UInt8>) -> String {
        String(decoding: address.map { (65...90).contains($0) ? $0 + 32 : $0 }, as: UTF8.self)
    }
}
