import Farm
import Foundation
import Logging
import RoleScheduler
import RoleSchedulerCore
import TestSupport
import Testing

@Suite struct ServiceTests {
    private let directory: TemporaryDirectory
    private let logger = Logger(label: "test")

    init() throws { directory = try TemporaryDirectory() }

    private func policy(_ members: String = "") throws -> Policy {
        try parsePolicy(
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
            """ + members, file: "test.yml"
        ).policy
    }

    private func service(_ policy: Policy) throws -> RoleSchedulerService {
        try RoleSchedulerService(policy: policy, dataDirectory: directory.path, logger: logger)
    }

    /// Plans until `condition` holds of the last membership, as `run` does, without waiting.
    private func settle(
        _ service: RoleSchedulerService, _ condition: (Membership) -> Bool
    ) async throws -> Membership {
        var last: Membership?
        for _ in 0..<600 {
            if let view = try await service.tick() {
                await service.didPublish(view)
                last = view
            }
            if let last, condition(last) { return last }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Failure("the farm did not settle: \(String(describing: last))")
    }

    private func members(_ view: Membership, _ owner: String) -> [SmurfID] {
        view.records.first { $0.owner == owner }?.members ?? []
    }

    private func id(_ name: String) throws -> SmurfID { try #require(SmurfID(name)) }

    @Test func fillsItsFloorsAndSaysWhy() async throws {
        let service = try service(policy())
        let view = try await settle(service) {
            members($0, "web").count == 1 && members($0, "smtp-out").count == 1
        }
        #expect(view.hosts.count == 3)
        #expect(view.senders.count == 1)
        #expect(view.senderOwners == ["@", "bounce"])
        let board = await service.board()
        #expect(board.roles.map(\.serving.count) == [1, 1])
        #expect(board.roles.allSatisfy { $0.because.contains("minimum") })
        let history = try await service.history(limit: 0)
        #expect(history.contains { $0.why == "floor of web" && $0.who == "scheduler" })
    }

    @Test func aRestartGoesOnWhereItWas() async throws {
        var first: RoleSchedulerService? = try service(policy())
        let before = try await settle(#require(first)) { members($0, "smtp-out").count == 1 }
        let held = try #require(members(before, "web").first)
        try await first?.hold(held, for: .seconds(600), reason: "new disk", by: "ann")
        let after = try await settle(#require(first)) {
            !members($0, "web").contains(held) && !members($0, "web").isEmpty
        }
        first = nil

        let second = try service(policy())
        let view = try await settle(second) { _ in true }
        #expect(view.version >= after.version)
        #expect(members(view, "web") == members(after, "web"))
        let line = await second.board().smurfs.first { $0.id == held }
        #expect(line?.record.override?.reason == "new disk")
        #expect(line?.record.override?.by == "ann")
    }

    @Test func overridesAreCheckedAndKept() async throws {
        let service = try service(policy())
        _ = try await settle(service) { members($0, "smtp-out").count == 1 }
        let nobody = try id("s99")
        await #expect(throws: OverrideError.self) {
            try await service.hold(nobody, for: .seconds(1), reason: "x", by: "ann")
        }
        let some = try id("s01")
        let none = try #require(Role("none"))
        await #expect(throws: OverrideError.self) {
            try await service.move(some, to: none, for: .seconds(1), reason: "x", by: "ann")
        }
        await #expect(throws: OverrideError.self) {
            try await service.release(some, reason: "", by: "ann")
        }
        await #expect(throws: OverrideError.self) {
            try await service.hold(some, for: .seconds(60), reason: "two\nlines", by: "ann")
        }
        await #expect(throws: OverrideError.self) {
            try await service.hold(some, for: .seconds(60), reason: "", by: "ann")
        }
        #expect(await service.board().smurfs.allSatisfy { $0.record.override == nil })
        let web = try #require(Role("web"))
        for name in ["s01", "s02", "s03"] {
            try await service.move(id(name), to: web, for: .seconds(60), reason: "all", by: "ann")
        }
        let view = try await settle(service) { members($0, "web").count == 3 }
        // Nobody is left to send: the name keeps its last member rather than becoming empty.
        #expect(members(view, "smtp-out").count == 1)
        #expect(await service.board().notes.contains { $0.hasPrefix("fail-open") })
    }

    @Test func strangersAndAbsurdReportsAreKeptOut() async throws {
        let service = try service(policy())
        let stranger = try id("s77")
        await #expect(throws: OverrideError.self) {
            try await service.report(
                smurf: stranger, addresses: [.v4(1)], ready: true, role: nil, connections: 0,
                load: 0, work: 0)
        }
        for name in ["web", "bounce", "ns1"] {
            var open = try policy()
            open.members = []
            open.staticLabels = ["ns1"]
            let service = try self.service(open)
            await #expect(throws: OverrideError.self, "\(name) is taken") {
                try await service.report(
                    smurf: id(name), addresses: [.v4(0x0A00_0001)], ready: true, role: nil,
                    connections: 0, load: 0, work: 0)
            }
        }
        await #expect(throws: OverrideError.self, "nobody is at 0.0.0.0") {
            try await service.report(
                smurf: id("s01"), addresses: [.v4(0)], ready: true, role: nil, connections: 0,
                load: 0, work: 0)
        }
        try await service.report(
            smurf: id("s01"), addresses: [], ready: true, role: nil, connections: -5, load: .nan,
            work: .max)
        await service.note("x", -.infinity)
        let board = await service.board()
        #expect(board.smurfs.first?.connections == 0)
        #expect(!board.signals.contains { $0.name == "x" })
    }

    @Test func anUnwritableStoreChangesNothing() async throws {
        let service = try service(policy())
        _ = try await settle(service) { members($0, "web").count == 1 }
        let before = await service.board().version
        // Somebody else holds the database for writing.
        let lock = try await run([
            "python3", "-c",
            """
            import sqlite3, sys
            db = sqlite3.connect(sys.argv[1], isolation_level=None)
            db.execute('DROP TABLE history')
            """, directory.file("farm.sqlite"),
        ])
        #expect(lock.status == 0, "\(lock.errors)")
        let some = try id("s02")
        await #expect(throws: (any Error).self) {
            try await service.hold(some, for: .seconds(60), reason: "new disk", by: "ann")
        }
        let board = await service.board()
        #expect(board.version == before)
        #expect(board.smurfs.first { $0.id == some }?.record.override == nil)
    }
}
