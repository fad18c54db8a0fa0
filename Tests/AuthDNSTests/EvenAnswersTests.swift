import AuthDNS
import AuthDNSCore
import Farm
import Logging
import TestSupport
import Testing

/// Whom a server that runs sends askers to first: every member as often, for each type and number of members in an
/// answer. The draw itself is tested without a server (`SubsetTests`); here it is the server's own chance.
@Suite struct EvenAnswersTests {
    private static let members = 7
    private static let kinds: [(String, Membership.RoleRecords.Kind, RecordType)] = [
        ("out", .address, .a), ("out", .address, .aaaa), ("in", .mailExchange(preference: 5), .mx),
        ("_submission._tcp", .service(priority: 1, port: 587), .srv),
    ]

    private func server(limit: Int, in directory: TemporaryDirectory) throws -> NameServer {
        let soa = try #require(DomainName("f.test"))
        let zone = try StaticZone(records: [
            ResourceRecord(
                owner: soa, type: .soa, ttl: 60, data: [0, 0] + [UInt8](repeating: 0, count: 20)),
            ResourceRecord(owner: soa, type: .ns, ttl: 60, data: [1, 0x61, 0]),
        ])
        let server = try NameServer(
            configuration: NameServerConfiguration(
                listen: [(.v4(0x7F00_0001), 0)], stateDirectory: directory.path,
                coalescing: .zero),
            zone: zone, logger: Logger(label: "test"))
        server.start()
        let hosts = try (0..<Self.members).map { index in
            Membership.Host(
                id: try #require(SmurfID("s\(index)")),
                addresses: [.v4(0x0A00_0000 + UInt32(index)), .v6(high: 1, low: UInt64(index))])
        }
        let records = [Self.kinds[0], Self.kinds[2], Self.kinds[3]].map { owner, kind, _ in
            Membership.RoleRecords(
                owner: owner, kind: kind, members: hosts.map(\.id), ttl: 30, limit: limit)
        }
        try server.publish(Membership(version: 1, hosts: hosts, records: records))
        return server
    }

    @Test(arguments: [0, 1, 2, 6]) func everyMemberComesFirstAsOften(limit: Int) throws {
        let directory = try TemporaryDirectory()
        let server = try server(limit: limit, in: directory)
        defer { server.stop() }
        let port = try #require(server.endpoints.first).port
        let client = try #require(LoopbackClient(port: port, stream: false))
        for (owner, _, type) in Self.kinds {
            let question = Question.bytes("\(owner).f.test", UInt8(type.rawValue))
            let isEven = try (0..<2).contains { _ in
                ChiSquare.isUniform(try firsts(client, question))
            }
            #expect(isEven, "k = \(limit), \(owner) \(type.rawValue)")
        }
    }

    /// How often each member came first.
    private func firsts(_ client: LoopbackClient, _ question: [UInt8]) throws -> [Int] {
        var found: [[UInt8]: Int] = [:]
        for _ in 0..<3_000 {
            client.send(question)
            let reply = try #require(client.receive())
            // Behind the question: owner, type, class and TTL in ten octets, the data's length, and the data.
            let start = question.count + 10
            try #require(reply.count > start + 2)
            let length = Int(reply[start]) << 8 | Int(reply[start + 1])
            try #require(reply.count >= start + 2 + length)
            found[Array(reply[(start + 2)..<(start + 2 + length)]), default: 0] += 1
        }
        #expect(found.count == Self.members)
        return Array(found.values)
    }
}
