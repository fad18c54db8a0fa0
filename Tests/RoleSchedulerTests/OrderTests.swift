import Farm
import Foundation
import Logging
import RoleSchedulerCore
import TestSupport
import Testing

@testable import RoleScheduler

/// Orders as they are passed on: with the change, without anybody asking, and to nobody else.
@Suite struct OrderTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func policy(_ service: String = "none", members: Int = 1) throws -> Policy {
        try parsePolicy(
            """
            version: 1
            zone: smurf.example.test
            defaults: {ttl: 1s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 1s}}
            movement: {max_inflight: 3, gap: 0s, min_dwell: 0s, up_window: 0s, down_window: 0s}
            roles:
              web: {names: {web: A}, min: \(members), service: \(service)}
            members:
              - {id: s01, address: 127.0.1.1, agent: false}
              - {id: s02, address: 127.0.1.2, agent: false}
            """, file: "test.yml"
        ).policy
    }

    private func service() throws -> RoleSchedulerService {
        try RoleSchedulerService(
            policy: policy(), dataDirectory: directory.path, logger: Logger(label: "test"))
    }

    private func id(_ name: String) throws -> SmurfID { try #require(SmurfID(name)) }

    private func plan(_ service: RoleSchedulerService, times: Int = 1) async throws {
        for _ in 0..<times {
            if let view = try await service.tick() { await service.didPublish(view) }
        }
    }

    /// Plans until somebody has the role.
    private func fill(_ service: RoleSchedulerService) async throws -> (SmurfID, SmurfID) {
        let both = try (id("s01"), id("s02"))
        for _ in 0..<600 {
            try await plan(service)
            for (one, other) in [both, (both.1, both.0)] {
                let record = await service.order(for: one)
                if case .serving = record.state { return (one, other) }
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Failure("nobody serves")
    }

    /// Nothing in this test asks for an order: what is taken from the stream was passed on by the plan.
    @Test(.timeLimit(.minutes(1)))
    func anOrderComesWithTheChange() async throws {
        let service = try service()
        var (one, two) = try await (
            service.orders(for: id("s01")).makeAsyncIterator(),
            service.orders(for: id("s02")).makeAsyncIterator()
        )
        #expect(await one.next()?.role == nil)
        #expect(await two.next()?.role == nil)
        let (member, other) = try await fill(service)
        let name = try id("s01")
        let last = member == name ? await one.next() : await two.next()
        #expect(last?.role == Role("web"))
        #expect(await service.order(for: other).role == nil)
    }

    @Test(.timeLimit(.minutes(1)))
    func whoHasNoOtherOrderIsNotTold() async throws {
        let service = try service()
        let web = try #require(Role("web"))
        let (member, other) = try await fill(service)
        let quiet = await service.orders(for: member)
        let before = await service.orderChanges
        let version = await service.board().version
        // Somebody else comes in, and then fifty plans change nothing.
        await service.replacePolicy(try policy(members: 2))
        for _ in 0..<600 where await service.order(for: other).state != .serving(web) {
            try await plan(service)
            try await Task.sleep(for: .milliseconds(10))
        }
        try await plan(service, times: 50)
        #expect(await service.board().version > version)
        #expect(await service.orderChanges == before)
        withExtendedLifetime(quiet) {}
    }

    @Test(.timeLimit(.minutes(1)))
    func anOperatorsWordIsPassedOnAtOnce() async throws {
        let service = try service()
        let (member, _) = try await fill(service)
        var orders = await service.orders(for: member).makeAsyncIterator()
        #expect(await orders.next()?.isHeld == false)
        try await service.hold(member, for: .seconds(600), reason: "new disk", by: "ann")
        #expect(await orders.next()?.isHeld == true)
        try await service.release(member, reason: "", by: "ann")
        #expect(await orders.next()?.isHeld == false)
    }

    @Test(.timeLimit(.minutes(1)))
    func anotherPolicysServiceIsPassedOn() async throws {
        let service = try service()
        let (member, _) = try await fill(service)
        var orders = await service.orders(for: member).makeAsyncIterator()
        #expect(await orders.next()?.service == Service.none)
        await service.replacePolicy(try policy("web"))
        #expect(await orders.next()?.service == .web)
    }

    /// Orders that nobody takes do not pile up, and the last one is kept.
    @Test(.timeLimit(.minutes(1)))
    func whoIsSlowGetsTheNewest() async throws {
        let service = try service()
        let (member, _) = try await fill(service)
        var orders = await service.orders(for: member).makeAsyncIterator()
        for _ in 0..<20 {
            try await service.hold(member, for: .seconds(600), reason: "new disk", by: "ann")
            try await service.release(member, reason: "", by: "ann")
        }
        try await service.hold(member, for: .seconds(600), reason: "new disk", by: "ann")
        #expect(await orders.next()?.isHeld == true)
        #expect(await service.orderChanges == 41)
    }

    @Test(.timeLimit(.minutes(1)))
    func whoIsGoneIsForgotten() async throws {
        let service = try service()
        let name = try id("s01")
        let tasks = (0..<50).map { _ in
            Task { for await _ in await service.orders(for: name) {} }
        }
        try await eventually("all are waiting") { await service.orderStreams == 50 }
        for task in tasks { task.cancel() }
        try await eventually("none is waiting") { await service.orderStreams == 0 }
    }
}

/// How often is planned when nothing rings.
@Suite struct PlanPauseTests {
    @Test func aFarmWhosePlansTakeLongIsPlannedLessOften() async throws {
        let directory = try TemporaryDirectory()
        let policy = try parsePolicy(
            "version: 1\nzone: a.test\nroles: {web: {names: {web: A}}}", file: "test.yml"
        ).policy
        let service = try RoleSchedulerService(
            policy: policy, dataDirectory: directory.path, logger: Logger(label: "test"))
        let usual = Duration.milliseconds(100)
        #expect(service.pause(usual, after: .zero) == usual)
        #expect(service.pause(usual, after: .microseconds(400)) == usual)
        #expect(service.pause(usual, after: .milliseconds(1)) == .milliseconds(200))
        #expect(service.pause(usual, after: .seconds(2)) == .milliseconds(500), "never rarer")
        #expect(service.pause(.seconds(3), after: .seconds(2)) == .seconds(3))
    }
}
