import Farm
import Foundation
import Logging
import RoleScheduler
import RoleSchedulerCore
import TestSupport
import Testing

/// What a control node that starts again knows, and how long it waits for machines to report.
@Suite struct RestartTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// - Parameters:
    ///   - guards: of the policy.
    ///   - dwell: time that a machine stays in a role at least.
    private func service(guards: String = "", dwell: String = "0s") throws -> RoleSchedulerService {
        let policy = try parsePolicy(
            """
            version: 1
            zone: smurf.example.test
            guards: {\(guards)}
            defaults: {ttl: 1s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 1s}}
            movement: {max_inflight: 4, gap: 0s, min_dwell: \(dwell), up_window: 0s, down_window: 0s}
            roles:
              smtp-out:
                names: {smtp-out: A}
                min: 1
                soak: 1
                capacity: 1/s
                utilisation: 100%
                demand: {arrival: work, backlog: waiting, eta: 5m}
            members:
              - {id: s01, address: 127.0.1.1}
              - {id: s02, address: 127.0.1.2}
              - {id: s03, address: 127.0.1.3}
              - {id: s04, address: 127.0.1.4}
            """, file: "test.yml"
        ).policy
        return try RoleSchedulerService(
            policy: policy, dataDirectory: directory.path, logger: Logger(label: "test"))
    }

    private func ids() throws -> [SmurfID] {
        try ["s01", "s02", "s03", "s04"].map { try #require(SmurfID($0)) }
    }

    /// Ticks while the named machines report, until `condition` holds of the membership.
    private func settle(
        _ service: RoleSchedulerService, heard: [SmurfID], work: Double?,
        until condition: (Membership) -> Bool
    ) async throws -> Membership {
        var last: Membership?
        for _ in 0..<1_000 {
            last = try await step(service, heard: heard, work: work) ?? last
            if let last, condition(last) { return last }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Failure("the farm did not settle: \(String(describing: last))")
    }

    /// One plan.
    /// - Returns: the membership when it is a new one.
    @discardableResult
    private func step(
        _ service: RoleSchedulerService, heard: [SmurfID], work: Double?
    ) async throws -> Membership? {
        for id in heard {
            let role = await service.order(for: id).role
            try await service.report(
                smurf: id, addresses: [], ready: true, role: role, connections: 0, load: 0,
                work: 0)
        }
        if let work {
            await service.note("work", work)
            await service.note("waiting", 0)
        }
        let view = try await service.tick()
        if let view { await service.didPublish(view) }
        return view
    }

    private func senders(_ view: Membership) -> [SmurfID] { view.records.first?.members ?? [] }

    @Test func membersNotHeardYetStayAnsweredAndTheSetpointIsKept() async throws {
        var first: RoleSchedulerService? = try service()
        let all = try ids()
        let before = try await settle(#require(first), heard: all, work: 3) {
            senders($0).count == 3
        }
        first = nil

        let second = try service()
        let after = try await settle(second, heard: [], work: nil) { _ in true }
        #expect(senders(after) == senders(before))
        let board = await second.board()
        #expect(board.roles.first?.target == 3, "\(board.roles.map(\.because))")
        #expect(board.notes.contains { $0.hasPrefix("just started: 4 machines") })
        #expect(!board.notes.contains { $0.hasPrefix("panic") || $0.hasPrefix("frozen") })
        #expect(board.smurfs.allSatisfy { $0.isUp })

        // Heard again and still without a signal: nobody moves.
        let history = try await second.history(limit: 0).count
        for _ in 0..<20 { try await step(second, heard: all, work: nil) }
        #expect(try await second.history(limit: 0).count == history)
        #expect(await second.board().roles.first?.target == 3)
        #expect(await !second.board().notes.contains { $0.hasPrefix("just started") })
    }

    @Test func aSenderThatLeftStaysInTheSenderPolicyOverARestart() async throws {
        var first: RoleSchedulerService? = try service()
        let all = try ids()
        let before = try await settle(#require(first), heard: all, work: 1) {
            senders($0).count == 1
        }
        let sender = try #require(senders(before).first)
        try await first?.hold(sender, for: .seconds(600), reason: "new disk", by: "ann")
        _ = try await settle(#require(first), heard: all, work: 1) {
            !senders($0).contains(sender)
        }
        for _ in 0..<400 where await first?.order(for: sender).role != nil {
            try await step(#require(first), heard: all, work: 1)
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(await first?.order(for: sender).role == nil)
        first = nil

        let address = try #require(before.hosts.first { $0.id == sender }?.addresses.first)
        let after = try await settle(service(), heard: [], work: nil) { _ in true }
        #expect(after.senders.contains(address))
        #expect(after.senders.count == 2)
    }

    @Test func aFirstStartWaitsForNobody() async throws {
        let service = try service()
        let some = Array(try ids().prefix(2))
        let view = try await settle(service, heard: some, work: 2) { senders($0).count == 2 }
        #expect(senders(view) == some)
    }

    /// Between its two limits nobody could tell which phase holds, but for what was saved.
    @Test func aPhaseThatIsOnOutlivesARestart() async throws {
        let policy = try parsePolicy(
            """
            version: 1
            zone: smurf.example.test
            roles: {web: {names: {web: A}, min: 1}}
            phases: [{name: bulge, when: {work: "> 5"}, until: {work: "< 2"}}]
            """, file: "test.yml"
        ).policy
        func service() throws -> RoleSchedulerService {
            try RoleSchedulerService(
                policy: policy, dataDirectory: directory.path, logger: Logger(label: "test"))
        }
        func phase(_ service: RoleSchedulerService, _ work: Double) async throws -> String? {
            await service.note("work", work)
            _ = try await service.tick()
            return await service.board().phase
        }
        var first: RoleSchedulerService? = try service()
        // The first plan of a term takes over; the second one plans.
        _ = try await first?.tick()
        #expect(try await phase(#require(first), 3) == nil)
        #expect(try await phase(#require(first), 6) == "bulge")
        first = nil
        let second = try service()
        _ = try await second.tick()
        #expect(try await phase(second, 3) == "bulge")
        #expect(try await phase(second, 1) == nil)
    }

    /// It had been down already: only those that were answered are awaited.
    @Test func whoWasSilentBeforeARestartIsNotAnsweredAfterIt() async throws {
        let guards = "dead_after: 6s, freeze_when_lost: 90%"
        // Long enough for it to stay in its role, as one does that is not yet taken for dead.
        var first: RoleSchedulerService? = try service(guards: guards, dwell: "10m")
        let all = try ids()
        _ = try await settle(#require(first), heard: all, work: 4) { senders($0).count == 4 }
        // One falls silent, and is left out after a third of `dead_after`.
        let rest = Array(all.dropFirst())
        let before = try await settle(#require(first), heard: rest, work: 4) {
            senders($0) == rest
        }
        first = nil

        let second = try service(guards: guards, dwell: "10m")
        let after = try await settle(second, heard: [], work: nil) { _ in true }
        #expect(senders(after) == senders(before))
        // It speaks again, and is answered again.
        _ = try await settle(second, heard: all, work: 4) { senders($0).count == 4 }
    }
}
