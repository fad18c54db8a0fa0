import GRDB
import TestSupport
import Testing

@testable import Delivery

/// What the ledger does often must not grow with what it holds: the plans SQLite makes for it walk indices
/// that hold the open rows alone.
@Suite struct LedgerCostTests {
    private func plan(_ sql: String, _ arguments: StatementArguments) async throws -> String {
        let directory = try TemporaryDirectory()
        let ledger = try SQLiteLedger(directory: directory.path)
        return try await ledger.pool.read { db in
            try Row.fetchAll(db, sql: "EXPLAIN QUERY PLAN " + sql, arguments: arguments)
                .map { $0["detail"] as String }.joined(separator: "; ")
        }
    }

    @Test func aClaimWalksThePendingRows() async throws {
        let plan = try await plan(SQLiteLedger.dueRows, [1, 100, 50])
        #expect(plan.contains("SEARCH d USING INDEX delivery_pending"), "\(plan)")
        #expect(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "\(plan)")
    }

    @Test func whatWaitsIsCountedInTheIndex() async throws {
        let plan = try await plan(SQLiteLedger.rowsPutOff, [1, 100])
        #expect(plan.contains("delivery_pending") && !plan.contains("SCAN"), "\(plan)")
    }

    @Test func leasesAreFoundBySmurf() async throws {
        let plan = try await plan(SQLiteLedger.rowsHeld, ["s01", Int64.max])
        #expect(plan.contains("SEARCH d USING INDEX delivery_leased"), "\(plan)")
    }

    @Test(arguments: [.max, .max / 2, 1 << 40, 300, 1] as [Int64])
    func theBackOffIsBounded(first: Int64) {
        var policy = SQLiteLedger.Policy()
        policy.firstBackoff = first
        var last: Int64 = 0
        for tries in 0...200 {
            let wait = policy.backoff(tries: tries)
            #expect(wait >= last && wait <= policy.longestBackoff)
            last = wait
        }
        #expect(last == policy.longestBackoff)
    }
}
