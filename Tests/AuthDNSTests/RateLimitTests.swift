import AuthDNS
import AuthDNSCore
import Farm
import Logging
import TestSupport
import Testing
import ZoneFile

/// Rate limiting and counting of a running server.
@Suite struct RateLimitTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func server() throws -> NameServer {
        let text = "$ORIGIN f.test.\n@ 60 IN SOA ns1 hm 1 60 15 604800 30\n@ 60 IN NS ns1\n"
        let zone = try readZone(at: directory.write("f.test.zone", text + "ns1 60 A 127.0.0.1\n"))
        var settings = ServerSettings()
        // The test's own address is limited here; a window so long that no pause of a busy machine
        // gives any credit back.
        settings.rateLimit?.exempt = []
        settings.rateLimit?.responsesPerSecond = 1
        settings.rateLimit?.window = 3_600
        settings.rateLimit?.slip = 1
        let server = try NameServer(
            configuration: NameServerConfiguration(
                listen: [(.v4(0x7F00_0001), 0)], stateDirectory: directory.path,
                coalescing: .zero, settings: settings),
            zone: zone, logger: Logger(label: "test"))
        server.start()
        return server
    }

    @Test func clientsWithoutProofAreSentAway() throws {
        let server = try server()
        defer { server.stop() }
        let port = try #require(server.endpoints.first).port
        let client = try #require(LoopbackClient(port: port, stream: false))
        func ask(_ options: [UInt8]?) throws -> [UInt8] {
            client.send(Question.bytes("f.test", 6, options: options))
            return try #require(client.receive())
        }
        var truncated = 0
        // More than any credit that can come in while they are asked.
        for _ in 0..<50 where try ask(nil)[2] & 2 != 0 { truncated += 1 }
        try #require(truncated > 0)
        // A cookie gets whoever shows it through.
        let refused = try ask([0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8])
        let cookie = Array(refused.suffix(24))
        for _ in 0..<50 {
            let reply = try ask([0, 10, 0, 24] + cookie)
            #expect(reply[2] & 2 == 0 && reply[7] == 1)
        }
        let stream = try #require(LoopbackClient(port: port, stream: true))
        for _ in 0..<50 {
            stream.send(Question.framed(Question.bytes("f.test", 6)))
            #expect(try #require(stream.receive())[7] == 1)
        }
        let counters = server.counters
        #expect(counters.queries == 151 && counters.tcpQueries == 50)
        #expect(counters.rateLimit.truncated >= UInt64(truncated))
        #expect(counters.cookies.clientOnly == 1 && counters.cookies.valid == 50)
        #expect(counters.repliesByType == [.soa: 151] && counters.queriesWithOPT == 51)
        #expect(counters.connections.accepted == 1)
    }

    @Test func everyReplyIsCountedByItsCodeAndType() throws {
        let server = try server()
        defer { server.stop() }
        let port = try #require(server.endpoints.first).port
        let stream = try #require(LoopbackClient(port: port, stream: true))
        let version: [UInt8] = [0, 0, 41, 4, 208, 0, 1, 0, 0, 0, 0]
        var badVersion = Question.bytes("f.test", 15) + version
        badVersion[11] = 1
        for query in [
            Question.bytes("f.test", 6), Question.bytes("no.f.test", 1),
            Question.bytes("example.org", 28), badVersion, [UInt8](repeating: 0, count: 12),
        ] {
            stream.send(Question.framed(query))
            #expect(stream.receive() != nil)
        }
        // Itself a response: no answer.
        stream.send(Question.framed([0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
        stream.send(Question.framed(Question.bytes("f.test", 6)))
        #expect(stream.receive() != nil)
        let counters = server.counters
        #expect(counters.repliesByCode == [0: 2, 3: 1, 5: 1, 16: 1, 1: 1])
        #expect(counters.repliesByType == [.soa: 2, .a: 1, .aaaa: 1, .mx: 1])
        #expect(counters.silent == 1 && counters.queries == 7)
        // UDP, TCP, TLS.
        #expect(server.countersByThread.map(\.queries) == [0, 7, 0])
    }
}
