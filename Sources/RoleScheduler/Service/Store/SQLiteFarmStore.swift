import Farm
public import Foundation
import GRDB
import Synchronization

/// The farm's record and history on this machine's disk (SQLite, `farm.sqlite`), for a control node that is alone. Whoever
/// opened it last leads: a process that is being replaced cannot write over what its successor has written. The history
/// is only ever added to.
public final class SQLiteFarmStore: FarmStore {
    private let queue: DatabaseQueue
    private let term: UInt64
    private let seen: Mutex<(isSuperseded: Bool, newest: SavedRecord?)>
    private let changed = Mutex<(@Sendable () -> Void)?>(nil)

    /// Opens or makes the store, and begins a term.
    /// - Parameter directory: must exist and be writable.
    /// - Throws: with the file's name, when it cannot be opened or is something else.
    public init(directory: String) throws(FarmStoreFault) {
        let path = directory + "/farm.sqlite"
        do {
            queue = try SQLiteFarmStore.open(path)
            let (number, record) = try queue.write { db in
                try db.execute(sql: "UPDATE term SET number = number + 1")
                let number = try Int64.fetchOne(db, sql: "SELECT number FROM term")
                return (UInt64(clamping: number ?? 1), try SQLiteFarmStore.record(db))
            }
            term = number
            seen = Mutex((false, record))
        } catch let error as DatabaseError {
            throw .unusable("\(path): \(error.message ?? "cannot be opened")")
        } catch {
            throw .unusable("\(path): \(error)")
        }
    }

    private static func open(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        }
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        try SQLiteFarmSchema.migrator.migrate(queue)
        return queue
    }

    private static func record(_ db: Database) throws -> SavedRecord? {
        try Row.fetchOne(db, sql: "SELECT coded, revision FROM record").map {
            SavedRecord(coded: $0["coded"], revision: $0["revision"])
        }
    }

    public func run(_ changed: @escaping @Sendable () -> Void) async {
        self.changed.withLock { $0 = changed }
        changed()
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
        self.changed.withLock { $0 = nil }
    }

    public var standing: Standing {
        Standing(node: "", term: seen.withLock { $0.isSuperseded } ? nil : term)
    }

    public var newest: SavedRecord? { seen.withLock { $0.newest } }

    public func load() async throws(FarmStoreFault) -> SavedRecord? {
        let record = try access { [queue] in try queue.read(SQLiteFarmStore.record) }
        seen.withLock { $0.newest = record }
        return record
    }

    public func save(
        _ coded: Data, adding entries: [HistoryEntry], from number: UInt64, after revision: Int64,
        term: UInt64
    ) async throws(FarmStoreFault) -> Int64 {
        let saved = SavedRecord(coded: coded, revision: revision &+ 1)
        do throws(FarmStoreFault) {
            try access { [queue] in
                try queue.write { db in
                    try SQLiteFarmStore.check(db, term: term, revision: revision)
                    try db.execute(
                        sql: "INSERT OR REPLACE INTO record VALUES (1, ?, ?)",
                        arguments: [saved.coded, saved.revision])
                    for entry in entries { try SQLiteFarmStore.insert(entry, db) }
                }
            }
        } catch .superseded {
            seen.withLock { $0.isSuperseded = true }
            throw .superseded
        }
        seen.withLock { $0.newest = saved }
        changed.withLock { $0 }?()
        return saved.revision
    }

    private static func check(_ db: Database, term: UInt64, revision: Int64) throws {
        let current = try Int64.fetchOne(db, sql: "SELECT number FROM term")
        guard current == Int64(clamping: term) else { throw FarmStoreFault.superseded }
        let last = try Int64.fetchOne(db, sql: "SELECT revision FROM record") ?? 0
        guard last == revision else { throw FarmStoreFault.unexpected(revision: last) }
    }

    private static func insert(_ entry: HistoryEntry, _ db: Database) throws {
        try db.execute(
            sql: """
                INSERT INTO history (unix_ms, smurf, "from", "to", who, why, version, node, term)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                entry.unixMilliseconds, entry.smurf?.name ?? "", entry.from, entry.to, entry.who,
                entry.why, Int64(clamping: entry.version), entry.node, Int64(clamping: entry.term),
            ])
    }

    public func history(limit: Int) async throws(FarmStoreFault) -> [HistoryEntry] {
        try access { [queue] in
            try queue.read { db in
                try Row.fetchAll(
                    db, sql: "SELECT * FROM history ORDER BY number DESC LIMIT ?",
                    arguments: [limit > 0 ? limit : -1]
                ).map { row in
                    HistoryEntry(
                        unixMilliseconds: row["unix_ms"], smurf: SmurfID(row["smurf"]),
                        from: row["from"], to: row["to"], who: row["who"], why: row["why"],
                        version: UInt64(clamping: row["version"] as Int64), node: row["node"],
                        term: UInt64(clamping: row["term"] as Int64))
                }
            }
        }
    }

    /// Nobody else is there to be told.
    public func tell(serial: UInt32) {}

    /// Who is alone is asked to follow nothing that it cannot read.
    public func abstain(_ abstains: Bool) {}

    private func access<Result>(_ work: () throws -> Result) throws(FarmStoreFault) -> Result {
        do {
            return try work()
        } catch let fault as FarmStoreFault {
            throw fault
        } catch {
            throw .unusable("farm.sqlite: \(error)")
        }
    }
}
