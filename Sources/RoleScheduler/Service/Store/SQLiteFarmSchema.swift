import Farm
import Foundation
import GRDB
import RoleSchedulerCore

/// The tables of `farm.sqlite`, and how those of earlier versions become those of now. Versions 1 and 2 had a column for
/// everything of a machine; version 3 keeps one coded record, as etcd does.
enum SQLiteFarmSchema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in try db.execute(sql: first) }
        migrator.registerMigration("2") { db in try db.execute(sql: second) }
        migrator.registerMigration("cordon") { db in try db.execute(sql: cordons) }
        migrator.registerMigration("3") { db in
            try db.execute(sql: third)
            if let record = try record(db) {
                let coded = try record.coded(
                    now: Moment(nanoseconds: 0), unixTime: Date().timeIntervalSince1970)
                try db.execute(sql: "INSERT INTO record VALUES (1, ?, 1)", arguments: [coded])
            }
            try db.execute(sql: fourth)
        }
        return migrator
    }

    private static let first = """
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
        """

    private static let second = """
        CREATE TABLE setpoint (role TEXT PRIMARY KEY, members INTEGER NOT NULL);
        CREATE TABLE soaking (role TEXT PRIMARY KEY);
        CREATE TABLE departed_sender (smurf TEXT PRIMARY KEY);
        """

    private static let cordons = """
        CREATE TABLE cordon (
            smurf TEXT PRIMARY KEY, until REAL NOT NULL, reason TEXT NOT NULL, "by" TEXT NOT NULL);
        """

    private static let third = """
        CREATE TABLE record (
            only INTEGER PRIMARY KEY CHECK (only = 1), coded BLOB NOT NULL, revision INTEGER NOT NULL);
        CREATE TABLE term (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL);
        INSERT INTO term VALUES (1, 0);
        ALTER TABLE history ADD COLUMN node TEXT NOT NULL DEFAULT '';
        ALTER TABLE history ADD COLUMN term INTEGER NOT NULL DEFAULT 0;
        """

    private static let fourth = """
        DROP TABLE smurf; DROP TABLE last_members; DROP TABLE meta; DROP TABLE setpoint;
        DROP TABLE soaking; DROP TABLE departed_sender; DROP TABLE cordon;
        """

    /// What versions 1 and 2 had saved; nil when nothing.
    private static func record(_ db: Database) throws -> FarmRecord? {
        let now = Moment(nanoseconds: 0)
        var record = FarmRecord()
        for row in try Row.fetchAll(db, sql: "SELECT * FROM smurf") {
            guard let id = SmurfID(row["id"]), let saved = SmurfRecord.State(row["state"])
            else { continue }
            let addresses: String = row["addresses"]
            var machine = SmurfRecord(
                addresses: addresses.split(separator: ",").compactMap { IPAddress(String($0)) },
                since: now)
            machine.state = saved
            machine.falls = row["falls"]
            machine.reason = row["reason"]
            machine.override = override(row)
            record.state.smurfs[id] = machine
        }
        for row in try Row.fetchAll(db, sql: "SELECT * FROM cordon") {
            guard let id = SmurfID(row["smurf"]) else { continue }
            record.state.smurfs[id]?.cordon = Cordon(
                until: moment(row["until"]), reason: row["reason"], by: row["by"])
        }
        for row in try Row.fetchAll(db, sql: "SELECT * FROM last_members") {
            let members: String = row["members"]
            guard let role = Role(row["role"]) else { continue }
            record.state.lastMembers[role] = members.split(separator: ",").compactMap {
                SmurfID(String($0))
            }
        }
        for row in try Row.fetchAll(db, sql: "SELECT * FROM setpoint") {
            guard let role = Role(row["role"]) else { continue }
            record.state.setpoints[role] = max(row["members"], 0)
        }
        record.state.soaking = Set(
            try String.fetchAll(db, sql: "SELECT role FROM soaking").compactMap { Role($0) })
        for name in try String.fetchAll(db, sql: "SELECT smurf FROM departed_sender") {
            if let id = SmurfID(name) { record.state.departedSenders[id] = now }
        }
        let version = try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'version'")
        guard let version else { return nil }
        record.view = FarmView(membership: Membership(version: UInt64(clamping: version)))
        return record
    }

    private static func override(_ row: Row) -> Override? {
        guard let kind: String = row["override"], let until: Double = row["override_until"] else {
            return nil
        }
        return Override(
            kind: Role(kind).map { .move($0) } ?? .hold, until: moment(until),
            reason: row["override_reason"] ?? "", by: row["override_by"] ?? "")
    }

    /// A time of the wall clock, on the clock of the record.
    private static func moment(_ unixTime: Double) -> Moment {
        let rest = min(max(unixTime - Date().timeIntervalSince1970, 0), 1e9)
        return Moment(nanoseconds: 0).advanced(by: .seconds(rest))
    }
}
