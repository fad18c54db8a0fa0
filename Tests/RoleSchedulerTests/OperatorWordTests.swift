import Farm
import Foundation
import Logging
import RoleScheduler
import RoleSchedulerCore
import TestSupport
import Testing

/// Words that leave a machine where it is, as the service takes and keeps them.
@Suite struct OperatorWordTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func service() throws -> RoleSchedulerService {
        let policy = try parsePolicy(
            """
            version: 1
            zone: smurf.example.test
            defaults: {ttl: 1s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 1s}}
            movement: {max_inflight: 3, gap: 0s, min_dwell: 0s, up_window: 0s, down_window: 0s}
            roles:
              web: {names: {web: A}, min: 1}
              smtp-out: {names: {smtp-out: A}, min: 1, priority: 2}
            members:
              - {id: s01, address: 127.0.1.1, agent: false}
              - {id: s02, address: 127.0.1.2, agent: false}
              - {id: s03, address: 127.0.1.3, agent: false}
            """, file: "test.yml"
        ).policy
        return try RoleSchedulerService(
            policy: policy, dataDirectory: directory.path, logger: Logger(label: "test"))
    }

    private func settled() async throws -> RoleSchedulerService {
        let service = try service()
        for _ in 0..<1000 {
            if let view = try await service.tick() { await service.didPublish(view) }
            if await service.board().roles.allSatisfy({ $0.serving.count == 1 }) { return service }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw Failure("the farm did not settle")
    }

    private func line(_ service: RoleSchedulerService, _ id: SmurfID) async -> Board.SmurfLine? {
        await service.board().smurfs.first { $0.id == id }
    }

    private func refusal(_ body: () async throws -> Void) async -> String {
        let error = await #expect(throws: OverrideError.self) { try await body() }
        return error?.description ?? ""
    }

    @Test func cordonsOutliveARestartAndHoldsBesideThem() async throws {
        var first: RoleSchedulerService? = try await settled()
        let web = try #require(await first?.board().roles.first { $0.rule.role.name == "web" })
        let id = try #require(web.serving.first)
        try await first?.cordon(id, for: .seconds(600), reason: "odd log", by: "ann")
        try await first?.hold(id, for: .seconds(600), reason: "disk", by: "bob")
        try await first?.release(id, reason: "", by: "bob")
        first = nil

        let second = try service()
        let words = try #require(await line(second, id)).words
        #expect(words.map(\.text) == ["cordon"])
        #expect(words.first?.by == "ann" && words.first?.reason == "odd log")
        #expect((500...600).contains(words.first?.secondsLeft ?? 0))
        let role = try #require(Role("smtp-out"))
        let refused = await refusal {
            try await second.move(id, to: role, for: .seconds(60), reason: "x", by: "bob")
        }
        #expect(refused.contains("'smurf uncordon \(id)' first"), "\(refused)")
        try await second.uncordon(id, reason: "", by: "ann")
        #expect(await line(second, id)?.words.isEmpty ?? false)
        #expect(await refusal { try await second.uncordon(id, reason: "", by: "ann") } != "")
        let history = try await second.history(limit: 0)
        #expect(history.contains { $0.to == "cordon" && $0.who == "ann" && $0.why == "odd log" })
        #expect(history.contains { $0.to == "uncordoned" })
    }

    @Test func aPinIsToTheRoleItHasUnlessOneIsNamed() async throws {
        let service = try await settled()
        let board = await service.board()
        let web = try #require(board.roles.first { $0.rule.role.name == "web" }?.serving.first)
        let idle = try #require(board.smurfs.first { $0.record.state == .idle }?.id)
        let role = try await service.pin(web, to: nil, for: .seconds(60), reason: "x", by: "ann")
        #expect(role.name == "web")
        #expect(await line(service, web)?.words.map(\.text) == ["move web"])
        let refused = await refusal {
            _ = try await service.pin(idle, to: nil, for: .seconds(60), reason: "x", by: "ann")
        }
        #expect(refused.contains("has no role to be pinned to"), "\(refused)")
        _ = try await service.pin(
            idle, to: Role("smtp-out"), for: .seconds(60), reason: "x", by: "ann")
        #expect(await line(service, idle)?.words.map(\.text) == ["move smtp-out"])
    }

    @Test func releaseTellsOfACordon() async throws {
        let service = try await settled()
        let id = try #require(SmurfID("s01"))
        try await service.cordon(id, for: .seconds(60), reason: "x", by: "ann")
        let refused = await refusal { try await service.release(id, reason: "", by: "ann") }
        #expect(refused.contains("'smurf uncordon s01'"), "\(refused)")
    }
}
