import GRDB

/// The tables of `ledger.sqlite`. Versions are only ever added: a ledger outlives the program that made it.
enum LedgerSchema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in try db.execute(sql: first) }
        migrator.registerMigration("2") { db in
            // Which run of an agent holds the leases of its smurf.
            try db.execute(
                sql: "CREATE TABLE holder (smurf TEXT PRIMARY KEY, run TEXT NOT NULL) WITHOUT ROWID"
            )
        }
        migrator.registerMigration("3") { db in try db.execute(sql: workCounts) }
        return migrator
    }

    /// Numbers that only grow. Rows that are open already count as taken up, so that the difference of the two is what
    /// is open.
    private static let workCounts = """
        ALTER TABLE core ADD COLUMN rows INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE core ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE core ADD COLUMN bounces INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE core ADD COLUMN unsubscribes INTEGER NOT NULL DEFAULT 0;
        UPDATE core SET rows = (
            SELECT coalesce(sum(counter.rows), 0) FROM counter JOIN mailing ON mailing.id = counter.mailing
            WHERE mailing.state <> 'importing' AND counter.name IN ('pending', 'leased'));
        """

    /// `recipient` is written once and `delivery` often, so that settling a row does not copy its values.
    private static let first = """
        CREATE TABLE core (only INTEGER PRIMARY KEY CHECK (only = 1), epoch INTEGER NOT NULL);
        INSERT INTO core VALUES (1, 0);
        CREATE TABLE mailing (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            state TEXT NOT NULL,
            template BLOB NOT NULL,
            digest BLOB NOT NULL,
            fields TEXT NOT NULL,
            sender TEXT NOT NULL,
            listID TEXT NOT NULL,
            bounceDomain TEXT NOT NULL,
            unsubscribeBase TEXT NOT NULL,
            feedbackSender TEXT NOT NULL,
            date INTEGER NOT NULL,
            tokenExpiryDay INTEGER NOT NULL,
            deadline INTEGER NOT NULL,
            created INTEGER NOT NULL,
            total INTEGER NOT NULL DEFAULT 0,
            trouble TEXT NOT NULL DEFAULT '');
        CREATE TABLE recipient (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
        CREATE TABLE delivery (
            id INTEGER PRIMARY KEY,
            state INTEGER NOT NULL,
            marks INTEGER NOT NULL DEFAULT 0,
            notBefore INTEGER NOT NULL DEFAULT 0,
            tries INTEGER NOT NULL DEFAULT 0,
            firstTry INTEGER,
            smurf TEXT,
            epoch INTEGER,
            leasedAt INTEGER,
            detail TEXT);
        CREATE INDEX delivery_pending ON delivery (id >> 32, notBefore, id) WHERE state = 0;
        CREATE INDEX delivery_leased ON delivery (smurf, leasedAt) WHERE state = 1;
        CREATE INDEX delivery_marked ON delivery (id) WHERE marks <> 0;
        CREATE TABLE counter (
            mailing INTEGER NOT NULL, name TEXT NOT NULL, rows INTEGER NOT NULL,
            PRIMARY KEY (mailing, name)) WITHOUT ROWID;
        CREATE TABLE suppression (
            address TEXT NOT NULL, listID TEXT NOT NULL, reason TEXT NOT NULL, since INTEGER NOT NULL,
            PRIMARY KEY (address, listID)) WITHOUT ROWID;
        CREATE TABLE receipt (
            smurf TEXT NOT NULL, run TEXT NOT NULL, batch INTEGER NOT NULL,
            PRIMARY KEY (smurf, run)) WITHOUT ROWID;
        """
}
