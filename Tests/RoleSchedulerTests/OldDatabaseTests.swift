import Farm
import Foundation
import Logging
import RoleScheduler
import RoleSchedulerCore
import TestSupport
import Testing

/// A `farm.sqlite` with a column for everything, as it was before there was one coded record.
@Suite struct OldDatabaseTests {
    private static let script = """
        import sqlite3, sys, time
        db = sqlite3.connect(sys.argv[1])
        db.executescript('''
        CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
        INSERT INTO grdb_migrations VALUES ('1'), ('2'), ('cordon');
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
        CREATE TABLE setpoint (role TEXT PRIMARY KEY, members INTEGER NOT NULL);
        CREATE TABLE soaking (role TEXT PRIMARY KEY);
        CREATE TABLE departed_sender (smurf TEXT PRIMARY KEY);
        CREATE TABLE cordon (
            smurf TEXT PRIMARY KEY, until REAL NOT NULL, reason TEXT NOT NULL, "by" TEXT NOT NULL);
        INSERT INTO last_members VALUES ('web', 's01');
        INSERT INTO meta VALUES ('version', 41);
        INSERT INTO history VALUES (1, 5, 's01', 'warming web', 'serving web', 'scheduler', 'ready', 40);
        ''')
        now = time.time()
        db.execute("INSERT INTO smurf VALUES ('s01', '127.0.1.1', 'serving web', 2, 'ready', NULL, NULL, NULL, NULL)")
        db.execute("INSERT INTO smurf VALUES ('s02', '127.0.1.2', 'idle', 0, 'drained', 'idle', ?, 'new disk', 'ann')", (now + 600,))
        db.execute("INSERT INTO cordon VALUES ('s01', ?, 'stays', 'bob')", (now + 600,))
        db.commit()
        """

    @Test func itIsTakenOver() async throws {
        let directory = try TemporaryDirectory()
        let made = try await run([
            "python3", "-c", OldDatabaseTests.script, directory.file("farm.sqlite"),
        ])
        #expect(made.status == 0, "\(made.errors)")
        let policy = try parsePolicy(
            """
            version: 1
            zone: smurf.example.test
            roles: {web: {names: {web: A}, min: 1}}
            members:
              - {id: s01, address: 127.0.1.1, agent: false}
              - {id: s02, address: 127.0.1.2, agent: false}
            """, file: "test.yml"
        ).policy
        for _ in 0..<2 {
            let service = try RoleSchedulerService(
                policy: policy, dataDirectory: directory.path, logger: Logger(label: "test"))
            let view = try #require(try await service.tick())
            #expect(view.version == 42)
            #expect(view.records.first?.members.map(\.name) == ["s01"])
            let lines = await service.board().smurfs
            #expect(lines.map(\.record.state.description) == ["serving web", "idle"])
            #expect(lines.first?.record.falls == 2)
            #expect(lines.first?.words.map(\.text) == ["cordon"])
            #expect(lines.last?.words.map(\.reason) == ["new disk"])
            #expect(lines.last?.isHeld == true)
            let left = lines.last?.words.first?.secondsLeft ?? 0
            #expect((500...600).contains(left), "\(left)")
            let history = try await service.history(limit: 0)
            #expect(history.map(\.why) == ["ready"] && history.first?.node == "")
        }
    }
}
