import AuthDNS
import AuthDNSCore
import Farm
import Foundation
import Logging
import TestSupport
import Testing
import ZoneFile

/// TCP at its limits: when the server stops, and when the process has no descriptor left.
@Suite struct StreamLimitsTests {
    private let directory: TemporaryDirectory

    private static let zone = """
        $ORIGIN f.test.
        $TTL 300
        @ IN SOA ns1 hostmaster 1 60 15 604800 30
        @ IN NS ns1
        ns1 IN A 127.0.0.1

        """

    init() throws { directory = try TemporaryDirectory() }

    private func server() throws -> NameServer {
        let zone = try readZone(at: directory.write("f.test.zone", StreamLimitsTests.zone))
        let server = try NameServer(
            configuration: NameServerConfiguration(
                listen: [(.v4(0x7F00_0001), 0)], stateDirectory: directory.path,
                coalescing: .zero),
            zone: zone, logger: Logger(label: "test"))
        let hosts = try (1...20).map {
            Membership.Host(
                id: try #require(SmurfID("s\($0)")), addresses: [.v4(0x0A00_0000 + UInt32($0))])
        }
        try server.publish(
            Membership(
                version: 1, hosts: hosts,
                records: [.init(owner: "out", kind: .address, members: hosts.map(\.id), ttl: 30)]))
        server.start()
        return server
    }

    /// A client that reads slowly gets every answer to what it asked before the stop.
    @Test func aStopFinishesTheAnswersUnderWay() async throws {
        let server = try server()
        let port = try #require(server.endpoints.first).port
        let client = try #require(
            LoopbackClient(port: port, stream: true, receiveBuffer: 4096))
        let count = 2_000
        let query = Question.framed(Question.bytes("out.f.test", 1))
        for _ in 0..<count { client.send(query) }
        for _ in 0..<3_000 where server.counters.tcpQueries < UInt64(count) {
            try await Task.sleep(for: .milliseconds(10))
        }
        try #require(server.counters.tcpQueries == UInt64(count))
        let stopped = Task.detached { server.stop() }
        var answers = 0
        while client.receive() != nil { answers += 1 }
        await stopped.value
        #expect(answers == count)
    }

    /// Idle clients and half a query do not hold a stop up.
    @Test func aStopHangsUpOnWhoIsOwedNothing() async throws {
        let server = try server()
        let port = try #require(server.endpoints.first).port
        let idle = try #require(LoopbackClient(port: port, stream: true))
        let half = try #require(LoopbackClient(port: port, stream: true))
        half.send([0, 40, 1])
        idle.send(Question.framed(Question.bytes("out.f.test", 1)))
        #expect(idle.receive() != nil)
        server.stop()
        #expect(idle.receive() == nil && half.receive() == nil)
    }

    /// Who asks and asks without reading is hung up on, and counted as slow.
    @Test func whoNeverReadsIsDropped() throws {
        let server = try server()
        defer { server.stop() }
        let port = try #require(server.endpoints.first).port
        let client = try #require(LoopbackClient(port: port, stream: true, receiveBuffer: 4096))
        let queries = Array(
            repeatElement(Question.framed(Question.bytes("out.f.test", 1)), count: 100).joined())
        // Beside what the server keeps, the system keeps some MiB for the client.
        for _ in 0..<5_000 where server.counters.connections.endedSlow == 0 { client.send(queries) }
        #expect(server.counters.connections.endedSlow == 1)
        #expect(server.counters.connections.endedIdle == 0)
    }

    private static let policy = """
        version: 1
        zone: f.test
        roles: {web: {names: {web: A}, min: 1}}
        members: [{id: s01, address: 127.0.1.1, agent: false}]

        """

    /// With every descriptor taken that clients may have, more of them neither make the thread spin nor end the node
    /// (Dispatch traps when there is none left for it); UDP is answered meanwhile, and TCP again as soon as there are
    /// descriptors.
    @Test func aShortageOfDescriptorsIsSatOut() async throws {
        let (dns, agents) = (try Product.freePort(), try Product.freePort())
        let node = try Daemon(
            "serve",
            [
                Product.smurf, "serve", "--policy",
                directory.write("p.yml", StreamLimitsTests.policy), "--zone",
                directory.write("f.test.zone", StreamLimitsTests.zone), "--data",
                directory.file("data"), "--dns", "127.0.0.1:\(dns)", "--agents",
                "127.0.0.1:\(agents)",
            ], directory: directory)
        let query = Question.bytes("ns1.f.test", 1)
        try await node.ready(within: .seconds(240)) {
            guard FileManager.default.fileExists(atPath: directory.file("data/control.sock")),
                let udp = LoopbackClient(port: dns, stream: false)
            else { return false }
            udp.send(query)
            // Until all of the node is there: some of it needs descriptors when it starts.
            let board = try await run([
                Product.smurf, "roles", "--control", directory.file("data/control.sock"),
            ])
            return udp.receive() != nil && board.output.contains("serving")
        }
        try await Task.sleep(for: .seconds(1))
        let pid = node.pid
        let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")
        let highest = open.compactMap { Int($0) }.max() ?? 0
        let limited = try await run(["prlimit", "--pid", "\(pid)", "--nofile=\(highest + 38):4096"])
        try #require(limited.status == 0, "\(limited.errors)")
        var clients = (0..<40).compactMap { _ in LoopbackClient(port: dns, stream: true) }
        try #require(clients.count == 40)

        try #require(node.isRunning, "\(node.log)")
        let before = try StreamLimitsTests.ticks(pid)
        try await Task.sleep(for: .seconds(3))
        // A thread that spins would take 300 ticks, or on a busy machine its share of them.
        try #require(node.isRunning, "\(node.log)")
        #expect(try StreamLimitsTests.ticks(pid) - before < 60)
        let udp = try #require(LoopbackClient(port: dns, stream: false))
        udp.send(query)
        #expect(udp.receive() != nil)

        clients.removeAll()
        let fresh = try #require(LoopbackClient(port: dns, stream: true))
        fresh.send(Question.framed(query))
        #expect(fresh.receive() != nil)
        #expect(await node.stop() == 0)
    }

    /// Processor time that a process has taken, in hundredths of a second.
    private static func ticks(_ pid: Int32) throws -> Int {
        let stat = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
        let words = stat.split(separator: " ")
        return try #require(Int(words[13])) + #require(Int(words[14]))
    }
}
