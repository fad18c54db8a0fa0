import Farm
import Foundation
import Logging
import RoleScheduler
import RoleSchedulerCore
import TestSupport
import Testing

/// The history on disk tells the whole story: whoever replays it stands where the farm stands.
@Suite struct AuditTests {
    @Test func replayingTheHistoryGivesTheState() async throws {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("audit"))
        let directory = try TemporaryDirectory()
        let policy = try parsePolicy(
            """
            version: 1
            zone: smurf.example.test
            defaults: {ttl: 1s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 0s}}
            movement: {max_inflight: 3, gap: 0s, min_dwell: 0s, up_window: 0s, down_window: 0s}
            roles:
              web: {names: {web: A}, min: 1, capacity: 1/s, demand: {arrival: a}}
              smtp-out: {names: {smtp-out: A}, min: 1, priority: 2, soak: 1, demand: {backlog: b}}
            """, file: "test.yml"
        ).policy
        let ids = try (1...6).map { try #require(SmurfID("s\($0)")) }
        let service = try RoleSchedulerService(
            policy: policy, dataDirectory: directory.path, logger: Logger(label: "test"))
        for round in 0..<150 {
            for id in ids {
                let role = await service.order(for: id).role
                try await service.report(
                    smurf: id, addresses: [.v4(0x0A00_0001)], ready: true, role: role,
                    connections: 0, load: 0, work: 0)
            }
            await service.note("a", Double.random(in: 0...5, using: &random))
            await service.note("b", Double(Int.random(in: 0...1, using: &random)))
            let some = try #require(ids.randomElement(using: &random))
            switch round % 15 {
            case 3:
                try await service.hold(some, for: .milliseconds(300), reason: "x", by: "ann")
            case 8:
                try await service.cordon(some, for: .milliseconds(300), reason: "x", by: "ann")
            default: break
            }
            if let view = try await service.tick() { await service.didPublish(view) }
            // Some of what happens takes a TTL of a second.
            try await Task.sleep(for: .milliseconds(20))
        }
        var replayed: [SmurfID: SmurfRecord.State] = [:]
        for entry in try await service.history(limit: 0).reversed() {
            guard entry.who == "scheduler", let smurf = entry.smurf else { continue }
            #expect(replayed[smurf, default: .joining].description == entry.from, "\(entry)")
            let next: SmurfRecord.State = try #require(SmurfRecord.State(entry.to))
            replayed[smurf] = next
        }
        let board = await service.board()
        #expect(board.smurfs.count == 6)
        for line in board.smurfs { #expect(replayed[line.id] == line.record.state) }
        #expect(Set(replayed.values).count > 1)
    }
}
