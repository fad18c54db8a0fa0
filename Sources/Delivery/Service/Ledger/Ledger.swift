public import Farm
import GRDB
import Synchronization

/// The ledger of the delivery core on SQLite: every mailing, every recipient and what became of it. See
/// docs/LEDGER.md for the state table. It decides nothing about when and to whom to send.
///
/// All methods may be called from any task. Writers queue behind one connection; a call is one transaction:
/// when it returns, it is on disk. Times are unix seconds and are handed in.
public final class SQLiteLedger: Sendable {
    /// What is done with rows that were not taken at once.
    public struct Policy: Hashable, Sendable {
        /// Seconds until the second try; doubles with each try.
        public var firstBackoff: Int64 = 300
        /// Seconds; the back-off does not grow beyond it.
        public var longestBackoff: Int64 = 4 * 3600
        /// Seconds from the first try after which a deferred row fails.
        public var maximumAge: Int64 = 5 * 86400

        public init() {}

        /// - Parameter tries: tries so far, 1 and up.
        func backoff(tries: Int) -> Int64 {
            let (doubled, isTooLong) = firstBackoff.multipliedReportingOverflow(
                by: 1 << min(max(tries - 1, 0), 30))
            return isTooLong ? longestBackoff : min(longestBackoff, doubled)
        }
    }

    /// Number of this start of the core: greater than the last one's.
    public var epoch: UInt64 { number.load(ordering: .relaxed) }
    private let number: Atomic<UInt64>
    /// What had been counted when it was opened.
    public let openingCounts: WorkCounts
    public let policy: Policy
    let pool: DatabasePool

    /// Opens or creates `ledger.sqlite`, raises the epoch and drops imports that were not finished.
    /// - Parameter directory: the data directory; must exist.
    /// - Throws: `LedgerError.unusable`, with the file's name, when it cannot be opened or is no ledger.
    public init(directory: String, policy: Policy = Policy()) throws {
        self.policy = policy
        do {
            let (pool, epoch, counts) = try Self.open(directory + "/ledger.sqlite")
            self.pool = pool
            openingCounts = counts
            number = Atomic(epoch)
        } catch let error as DatabaseError {
            throw LedgerError.unusable(
                "\(directory)/ledger.sqlite: \(error.message ?? "cannot be opened")")
        }
    }

    private static func open(_ path: String) throws -> (DatabasePool, UInt64, WorkCounts) {
        var configuration = Configuration()
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { db in
            // FULL: an outcome that was receipted must survive a loss of power, else it is sent twice.
            try db.execute(sql: "PRAGMA synchronous = FULL; PRAGMA cache_size = -65536")
        }
        let pool = try DatabasePool(path: path, configuration: configuration)
        try LedgerSchema.migrator.migrate(pool)
        let (epoch, counts) = try pool.write { db in
            try Self.dropUnfinishedImports(db)
            try db.execute(sql: "UPDATE core SET epoch = epoch + 1")
            let epoch = UInt64(try Int64.fetchOne(db, sql: "SELECT epoch FROM core") ?? 1)
            return (epoch, try Self.workCounts(db))
        }
        return (pool, epoch, counts)
    }

    /// Begins another epoch, as a start does, for a core that feeds again after one on another machine has: smurfs take
    /// rows of the greatest epoch only. Nobody may be feeding meanwhile.
    /// - Parameter least: that it is to have; unix seconds are greater than any number of starts.
    public func beginEpoch(atLeast least: UInt64) async throws {
        let epoch = try await pool.write { db in
            try db.execute(
                sql: "UPDATE core SET epoch = max(epoch + 1, ?)",
                arguments: [Int64(clamping: least)])
            return UInt64(try Int64.fetchOne(db, sql: "SELECT epoch FROM core") ?? 1)
        }
        number.store(epoch, ordering: .relaxed)
    }

    /// Writes the log back into the file and lets go of it. Calls made afterwards fail.
    public func close() throws { try pool.close() }

    /// The key of a recipient in the tables.
    static func key(_ mailing: UInt32, _ recipient: UInt32) -> Int64 {
        Int64(mailing) << 32 | Int64(recipient)
    }

    static func mailing(ofKey key: Int64) -> UInt32 { UInt32(truncatingIfNeeded: key >> 32) }

    static func recipient(ofKey key: Int64) -> UInt32 { UInt32(truncatingIfNeeded: key) }
}

/// Changes of the counters, gathered over one transaction and written at its end.
struct CounterChanges {
    private var changes: [UInt32: [String: Int]] = [:]

    /// Mailings with changes.
    var mailings: [UInt32] { changes.keys.sorted() }

    mutating func enter(_ state: RecipientState, of mailing: UInt32, rows: Int = 1) {
        changes[mailing, default: [:]][state.name, default: 0] += rows
    }

    mutating func move(from: RecipientState, to: RecipientState, of mailing: UInt32) {
        guard from != to else { return }
        enter(from, of: mailing, rows: -1)
        enter(to, of: mailing)
    }

    /// Rows that are no longer open.
    private var settled: Int {
        changes.values.reduce(0) { sum, names in
            sum - [RecipientState.pending, .leased].reduce(0) { $0 + names[$1.name, default: 0] }
        }
    }

    mutating func mark(from: RecipientMarks, to: RecipientMarks, of mailing: UInt32) {
        for (mark, name) in RecipientMarks.named where to.contains(mark) && !from.contains(mark) {
            changes[mailing, default: [:]][name, default: 0] += 1
        }
    }

    /// Writes the changes, then finishes mailings that have nothing left to do.
    /// - Parameter areNew: the rows are of an import; they are not taken up before its end.
    func write(_ db: Database, areNew: Bool = false) throws {
        if !areNew { try WorkCounts(settled: settled).add(db) }
        let add = try db.cachedStatement(
            sql: """
                INSERT INTO counter VALUES (?, ?, ?)
                ON CONFLICT DO UPDATE SET rows = rows + excluded.rows
                """)
        for (mailing, names) in changes {
            for (name, rows) in names where rows != 0 {
                try add.execute(arguments: [Int64(mailing), name, rows])
            }
            try Self.finishIfDone(mailing, db)
        }
    }

    /// A mailing is finished when it is being sent and no row of it is pending or leased.
    static func finishIfDone(_ mailing: UInt32, _ db: Database) throws {
        let finish = try db.cachedStatement(
            sql: """
                UPDATE mailing SET state = 'finished' WHERE id = ? AND state = 'sending' AND NOT EXISTS (
                    SELECT 1 FROM counter WHERE mailing = mailing.id
                    AND counter.name IN ('pending', 'leased') AND rows <> 0)
                """)
        try finish.execute(arguments: [Int64(mailing)])
    }
}
