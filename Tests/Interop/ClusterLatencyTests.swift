import AuthDNS
import Farm
import Foundation
import Logging
import RoleScheduler
import TestSupport
import Testing
import ZoneFile

extension ControlInteropTests {
    /// How long it takes from a report that changes the membership to the changed record at another control node, over an
    /// etcd of three members. The figures are printed; docs/decisions/0008-etcd.md has some.
    @Suite(.serialized)
    struct ClusterLatencyTests {
        /// One control node without its command line.
        private final class Node: Sendable {
            let service: RoleSchedulerService
            let nameServer: NameServer
            private let work: Task<Void, any Error>

            init(
                _ name: String, _ policy: String, _ etcd: EtcdCluster,
                _ directory: TemporaryDirectory
            ) throws {
                let logger = Logger(label: name)
                let data = directory.file(name)
                try FileManager.default.createDirectory(
                    atPath: data, withIntermediateDirectories: false)
                let service = try RoleSchedulerService(
                    policy: parsePolicy(policy, file: "policy.yml").policy,
                    store: EtcdFarmStore(
                        EtcdSettings(
                            members: etcd.urls.compactMap { EtcdAddress($0) },
                            prefix: "/smurf/smurf.example.test", node: name, agents: "127.0.0.1:1")),
                    dataDirectory: data, logger: logger)
                let nameServer = try NameServer(
                    configuration: NameServerConfiguration(
                        listen: [(.v4(0x7F00_0001), 0)], stateDirectory: data, workers: 1),
                    zone: readZone(at: directory.file("static.zone")), logger: logger)
                nameServer.start()
                (self.service, self.nameServer) = (service, nameServer)
                work = Task {
                    try await service.run(served: {
                        nameServer.hasMembers ? nameServer.serial : nil
                    }) {
                        try nameServer.publish($0.membership, serial: $0.serial)
                    }
                }
            }

            func stop() async {
                work.cancel()
                _ = try? await work.value
                nameServer.stop()
            }

            /// How many addresses an answer for `web` has now.
            func answered() throws -> Int {
                let port = try #require(nameServer.endpoints.first).port
                let client = try #require(LoopbackClient(port: port, stream: false))
                client.send(Question.bytes("web.smurf.example.test", 1, options: []))
                let reply = try #require(client.receive())
                return reply[3] & 15 == 0 ? Int(reply[7]) : 0
            }
        }

        private static func policy(_ count: Int) -> String {
            """
            version: 1
            zone: smurf.example.test
            defaults: {ttl: 1s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 1s}}
            movement: {max_inflight: 3, gap: 0s, min_dwell: 0s, up_window: 0s, down_window: 0s}
            guards: {dead_after: 10m, panic_below: 0%}
            roles:
              web: {names: {web: A}, min: \(count), service: none}
            members:

            """ + (1...count).map { "  - {id: m\($0), address: 127.0.2.\($0)}\n" }.joined()
        }

        @Test(.timeLimit(.minutes(4)))
        func aReportIsSoonAnsweredByAnotherNode() async throws {
            let count = ProcessInfo.processInfo.environment["SMURF_SOAK"] == nil ? 25 : 60
            let directory = try TemporaryDirectory()
            try directory.write("static.zone", ControlNodeFixture.zone)
            let etcd = try EtcdCluster(members: 3)
            try await etcd.start()
            let policy = ClusterLatencyTests.policy(count)
            let nodes = try ["n1", "n2"].map { try Node($0, policy, etcd, directory) }
            try await eventually("both know who leads") {
                for node in nodes where await node.service.standing.leader == nil { return false }
                return true
            }
            let isFirst = await nodes[0].service.leads
            let (leader, other) = isFirst ? (nodes[0], nodes[1]) : (nodes[1], nodes[0])
            let web = try #require(Role("web"))
            var times: [Duration] = []
            for number in 1...count {
                let id = try #require(SmurfID("m\(number)"))
                let report = { (role: Role?) in
                    try await leader.service.report(
                        smurf: id, addresses: [], ready: true, role: role, connections: 0, load: 0,
                        work: 0)
                }
                try await report(nil)
                try await eventually("\(id) is to be in the role", every: .milliseconds(5)) {
                    await leader.service.order(for: id).role == web
                }
                // Beyond the name server's window for changes, which would be measured instead.
                try await Task.sleep(for: .milliseconds(260))
                let began = ContinuousClock.now
                try await report(web)
                while try other.answered() != number {
                    guard ContinuousClock.now - began < .seconds(20) else {
                        throw Failure("\(id) is not answered")
                    }
                    try await Task.sleep(for: .microseconds(200))
                }
                times.append(ContinuousClock.now - began)
            }
            times.sort()
            print(
                "report → record at another node, \(count) times: median \(times[count / 2]), "
                    + "p99 \(times[count * 99 / 100]), longest \(times[count - 1])")
            #expect(times[count / 2] < .seconds(1))
            for node in nodes { await node.stop() }
            await etcd.stop()
        }

        /// A farm that one node has kept on its disk goes on in etcd where it was.
        @Test(.timeLimit(.minutes(2)))
        func aFarmOfOneNodeIsTakenOver() async throws {
            let directory = try TemporaryDirectory()
            try directory.write("static.zone", ControlNodeFixture.zone)
            let data = directory.file("n1")
            let policy = ControlNodeFixture.policy
            try FileManager.default.createDirectory(
                atPath: data, withIntermediateDirectories: false)
            let alone = try RoleSchedulerService(
                policy: parsePolicy(policy, file: "policy.yml").policy, dataDirectory: data,
                logger: Logger(label: "alone"))
            var before: Membership?
            try await eventually("the roles are filled") {
                before = try await alone.tick() ?? before
                return before?.records.allSatisfy { !$0.members.isEmpty } ?? false
            }
            let id = try #require(before?.records.first { $0.owner == "web" }?.members.last)
            try await alone.cordon(id, for: .seconds(600), reason: "stays", by: "ann")
            // Put under the name that `Node` makes its directory by.
            try FileManager.default.moveItem(atPath: data, toPath: directory.file("kept"))

            let etcd = try EtcdCluster(members: 1)
            try await etcd.start()
            let service = try RoleSchedulerService(
                policy: parsePolicy(policy, file: "policy.yml").policy,
                store: EtcdFarmStore(
                    EtcdSettings(
                        members: etcd.urls.compactMap { EtcdAddress($0) },
                        prefix: "/smurf/smurf.example.test", node: "n1", agents: "127.0.0.1:1")),
                dataDirectory: directory.file("kept"), logger: Logger(label: "shared"))
            let (views, seen) = AsyncStream.makeStream(of: FarmView.self)
            let work = Task { try await service.run(served: { 77 }) { seen.yield($0) } }
            var iterator = views.makeAsyncIterator()
            // What was answered is answered first of all, then it gets a serial.
            let first = try #require(await iterator.next())
            #expect(first.membership == before)
            let second = try #require(await iterator.next())
            #expect(second.membership == before)
            #expect(try #require(second.serial) > 77)
            let line = await service.board().smurfs.first { $0.id == id }
            #expect(line?.words.map(\.text) == ["cordon"])
            work.cancel()
            _ = try? await work.value
            await etcd.stop()
        }
    }
}
