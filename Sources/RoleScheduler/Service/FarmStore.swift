public import Farm
import Foundation
import GRDB
import RoleSchedulerCore

/// The farm's state on disk (SQLite, `farm.sqlite`): where each machine stands, operators' words with
/// their wall-clock end, what each role had and was to have, who may still have mail under way, the
/// membership's version, and the history, which is only ever added to. It holds nothing that reports bring anew, such as health.
final class FarmStore: Sendable {
    private let queue: DatabaseQueue

    /// - Parameter directory: must exist and be writable.
    /// - Throws: `FarmStoreError`, with the file's name, when it cannot be opened or is something else.
    init(directory: String) throws {
        let path = directory + "/farm.sqlite"
        do {
            queue = try FarmStore.open(path)
        } catch let error as DatabaseError {
            throw FarmStoreError(description: "\(path): \(error.message ?? "cannot be opened")")
        }
    }

    private static func open(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        }
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE smurf (
                        id TEXT PRIMARY KEY, addresses TEXT NOT NULL, state TEXT NOT NULL,
                        falls INTEGER NOT NULL, reason TEXT NOT NULL,
                        override TEXT, override_until REAL, override_reason TEXT, override_by TEXT);
                    CREATE TABLE last_members (role TEXT PRIMARY KEY, members TEXT NOT NULL);
                    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
                    CREATE TABLE history (
                        number INTEGER PRIMARY KEY, unix_ms INTEGER NOT NULL, smurf TEXT NOT NULL,
                        "from" TEXT NOT NULL, "to" TEXT NOT NULL, who TEXT NOT NULL,
                        why TEXT NOT NULL, version INTEGER NOT NULL);
                    """)
        }
        migrator.registerMigration("2") { db in
            try db.execute(
                sql: """
                    CREATE TABLE setpoint (role TEXT PRIMARY KEY, members INTEGER NOT NULL);
                    CREATE TABLE soaking (role TEXT PRIMARY KEY);
                    CREATE TABLE departed_sender (smurf TEXT PRIMARY KEY);
                    """)
        }
        migrator.registerMigration("cordon, phase") { db in
            try db.execute(
                sql: """
                    CREATE TABLE cordon (
                        smurf TEXT PRIMARY KEY, until REAL NOT NULL, reason TEXT NOT NULL,
                        "by" TEXT NOT NULL);
                    CREATE TABLE phase (name TEXT PRIMARY KEY);
                    """)
        }
        try migrator.migrate(queue)
        return queue
    }

    /// The state as it was saved. Timers restart: drains and the time for which a sender that left
    /// stays in SPF get longer by that, never shorter.
    func load(now: Moment, unixTime: Double) throws -> (state: FarmState, version: UInt64) {
        try queue.read { db in
            var state = FarmState()
            for row in try Row.fetchAll(db, sql: "SELECT * FROM smurf") {
                guard let id = SmurfID(row["id"]), let saved = SmurfRecord.State(row["state"])
                else {
                    continue
                }
                let addresses: String = row["addresses"]
                var record = SmurfRecord(
                    addresses: addresses.split(separator: ",").compactMap { IPAddress(String($0)) },
                    since: now)
                record.state = saved
                record.falls = row["falls"]
                record.reason = row["reason"]
                record.override = FarmStore.override(row, now: now, unixTime: unixTime)
                state.smurfs[id] = record
            }
            for row in try Row.fetchAll(db, sql: "SELECT * FROM last_members") {
                let members: String = row["members"]
                guard let role = Role(row["role"]) else { continue }
                state.lastMembers[role] = members.split(separator: ",").compactMap {
                    SmurfID(String($0))
                }
            }
            try FarmStore.loadCordons(into: &state, now: now, unixTime: unixTime, db)
            try FarmStore.loadDemand(into: &state, now: now, db)
            if !state.smurfs.isEmpty { state.resumed = now }
            let version = try Int64.fetchOne(
                db, sql: "SELECT value FROM meta WHERE key = 'version'")
            return (state, UInt64(version ?? 0))
        }
    }

    private static func loadDemand(
        into state: inout FarmState, now: Moment, _ db: Database
    ) throws {
        for row in try Row.fetchAll(db, sql: "SELECT * FROM setpoint") {
            guard let role = Role(row["role"]) else { continue }
            state.setpoints[role] = max(row["members"], 0)
        }
        state.soaking = Set(
            try String.fetchAll(db, sql: "SELECT role FROM soaking").compactMap { Role($0) })
        state.latched = Set(try String.fetchAll(db, sql: "SELECT name FROM phase"))
        for name in try String.fetchAll(db, sql: "SELECT smurf FROM departed_sender") {
            if let id = SmurfID(name) { state.departedSenders[id] = now }
        }
    }

    private static func saveDemand(_ state: FarmState, _ db: Database) throws {
        try db.execute(
            sql: """
                DELETE FROM setpoint; DELETE FROM soaking; DELETE FROM departed_sender;
                DELETE FROM phase
                """)
        for name in state.latched {
            try db.execute(sql: "INSERT INTO phase VALUES (?)", arguments: [name])
        }
        for (role, members) in state.setpoints {
            try db.execute(
                sql: "INSERT INTO setpoint VALUES (?, ?)", arguments: [role.name, members])
        }
        for role in state.soaking {
            try db.execute(sql: "INSERT INTO soaking VALUES (?)", arguments: [role.name])
        }
        for id in state.departedSenders.keys {
            try db.execute(sql: "INSERT INTO departed_sender VALUES (?)", arguments: [id.name])
        }
    }

    private static func override(_ row: Row, now: Moment, unixTime: Double) -> Override? {
        guard let kind: String = row["override"], let until: Double = row["override_until"] else {
            return nil
        }
        let role = Role(kind)
        return Override(
            kind: role.map { .move($0) } ?? .hold,
            until: now.advanced(by: .seconds(max(until - unixTime, 0))),
            reason: row["override_reason"] ?? "", by: row["override_by"] ?? "")
    }

    private static func loadCordons(
        into state: inout FarmState, now: Moment, unixTime: Double, _ db: Database
    ) throws {
        for row in try Row.fetchAll(db, sql: "SELECT * FROM cordon") {
            guard let id = SmurfID(row["smurf"]), let until: Double = row["until"] else { continue }
            state.smurfs[id]?.cordon = Cordon(
                until: now.advanced(by: .seconds(max(until - unixTime, 0))),
                reason: row["reason"] ?? "", by: row["by"] ?? "")
        }
    }

    /// Saves everything that changed, in one transaction.
    func save(
        _ state: FarmState, version: UInt64, history: [HistoryEntry], now: Moment, unixTime: Double
    ) throws {
        try queue.write { db in
            try db.execute(
                sql: "DELETE FROM smurf; DELETE FROM last_members; DELETE FROM cordon")
            for id in state.ids {
                guard let record = state.smurfs[id] else { continue }
                try FarmStore.insert(id, record, db, now: now, unixTime: unixTime)
            }
            for (role, members) in state.lastMembers {
                try db.execute(
                    sql: "INSERT INTO last_members VALUES (?, ?)",
                    arguments: [role.name, members.map(\.name).joined(separator: ",")])
            }
            try FarmStore.saveDemand(state, db)
            try db.execute(
                sql: "INSERT OR REPLACE INTO meta VALUES ('version', ?)",
                arguments: [Int64(clamping: version)])
            for entry in history {
                try db.execute(
                    sql: """
                        INSERT INTO history (unix_ms, smurf, "from", "to", who, why, version)
                        VALUES (?, ?, ?, ?, ?, ?, ?)
                        """,
                    arguments: [
                        entry.unixMilliseconds, entry.smurf.name, entry.from, entry.to, entry.who,
                        entry.why, Int64(clamping: entry.version),
                    ])
            }
        }
    }

    private static func insert(
        _ id: SmurfID, _ record: SmurfRecord, _ db: Database, now: Moment, unixTime: Double
    ) throws {
        var kind: String?
        switch record.override?.kind {
        case .move(let role): kind = role.name
        // No role is called "idle": it can stand for "none".
        case .hold: kind = "idle"
        case nil: kind = nil
        }
        let until = record.override.map { unixTime + $0.until.since(now).inSeconds }
        try db.execute(
            sql: "INSERT INTO smurf VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            arguments: [
                id.name, record.addresses.map(\.description).joined(separator: ","),
                record.state.description, record.falls, record.reason, kind, until,
                record.override?.reason, record.override?.by,
            ])
        guard let cordon = record.cordon else { return }
        try db.execute(
            sql: "INSERT INTO cordon VALUES (?, ?, ?, ?)",
            arguments: [
                id.name, unixTime + cordon.until.since(now).inSeconds, cordon.reason, cordon.by,
            ])
    }

    /// The newest entries first; all of them for `limit` 0.
    func history(limit: Int) throws -> [HistoryEntry] {
        try queue.read { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM history ORDER BY number DESC LIMIT ?",
                arguments: [limit > 0 ? limit : -1]
            ).compactMap { row in
                SmurfID(row["smurf"]).map {
                    HistoryEntry(
                        unixMilliseconds: row["unix_ms"], smurf: $0, from: row["from"],
                        to: row["to"],
                        who: row["who"], why: row["why"],
                        version: UInt64(clamping: row["version"] as Int64))
                }
            }
        }
    }
}

/// One change in the farm's history.
public struct HistoryEntry: Hashable, Sendable {
    public var unixMilliseconds: Int64
    public var smurf: SmurfID
    /// States as `SmurfRecord.State` prints them, or what an operator did.
    public var from: String
    public var to: String
    /// "scheduler", or the operator.
    public var who: String
    public var why: String
    /// Of the membership before the change.
    public var version: UInt64
}

/// Why the state of the farm cannot be had.
public struct FarmStoreError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
}
