import AuthDNS
import AuthDNSCore
import Farm
import Foundation
import Logging
import TestSupport
import Testing
import ZoneFile

@Suite struct NameServerTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func zone(ttl: Int = 300, _ more: String = "") throws -> StaticZone {
        try readZone(
            at: directory.write(
                "f.test.zone",
                """
                $ORIGIN f.test.
                $TTL \(ttl)
                @ IN SOA ns1 hostmaster 1 60 15 604800 30
                @ IN NS ns1
                ns1 IN A 127.0.0.1
                \(more)
                """))
    }

    private func server(
        coalescing: Duration = .zero, idleTimeout: Duration = .seconds(20)
    ) throws -> NameServer {
        let server = try NameServer(
            configuration: NameServerConfiguration(
                listen: [(.v4(0x7F00_0001), 0)], stateDirectory: directory.path, workers: 2,
                coalescing: coalescing, idleTimeout: idleTimeout),
            zone: zone(), logger: Logger(label: "test"))
        server.start()
        return server
    }

    private func membership(_ version: UInt64, _ members: Int) throws -> Membership {
        let hosts = try (0..<members).map {
            Membership.Host(
                id: try #require(SmurfID("s\($0)")), addresses: [.v4(0x0A00_0001 + UInt32($0))])
        }
        return Membership(
            version: version, hosts: hosts,
            records: [
                .init(owner: "smtp-out", kind: .address, members: hosts.map(\.id), ttl: 30)
            ])
    }

    private func client(_ server: NameServer, stream: Bool = false) throws -> LoopbackClient {
        let port = try #require(server.endpoints.first).port
        return try #require(LoopbackClient(port: port, stream: stream))
    }

    private func answers(_ reply: [UInt8]?) throws -> Int {
        let reply = try #require(reply)
        try #require(reply.count >= 12)
        return Int(reply[6]) << 8 | Int(reply[7])
    }

    @Test func everyChangeIsAnsweredAtTheNextQuery() throws {
        let server = try server()
        defer { server.stop() }
        let client = try client(server)
        var serial = server.serial
        for round in 1...20 {
            let published = try server.publish(membership(UInt64(round), round))
            #expect(Serial.isNewer(published, than: serial))
            serial = published
            client.send(Question.bytes("smtp-out.f.test", 1))
            #expect(try answers(client.receive()) == round)
        }
        #expect(server.counters.queries == 20 && server.counters.answers == 20)
    }

    @Test func pipelinedQueriesOfOneConnectionAreAllAnswered() throws {
        let server = try server()
        defer { server.stop() }
        try server.publish(membership(1, 3))
        let client = try client(server, stream: true)
        let all = (0..<200).map { UInt16($0) }
        client.send(
            all.flatMap { Question.framed(Question.bytes("smtp-out.f.test", 1, id: $0)) })
        for id in all {
            let reply = try #require(client.receive())
            #expect(UInt16(reply[0]) << 8 | UInt16(reply[1]) == id)
            #expect(try answers(reply) == 3)
        }
        #expect(server.counters.tcpQueries == 200)
    }

    @Test func aMessageInPiecesIsAnsweredAndNonsenseEndsTheConnection() throws {
        let server = try server()
        defer { server.stop() }
        let whole = Question.framed(Question.bytes("ns1.f.test", 1))
        let slow = try client(server, stream: true)
        for octet in whole { slow.send([octet]) }
        #expect(try answers(slow.receive()) == 1)
        let rude = try client(server, stream: true)
        rude.send([0, 3, 1, 2, 3])
        #expect(rude.receive() == nil)
    }

    @Test func noQueryIsLostWhileTheMembershipChanges() async throws {
        let server = try server()
        defer { server.stop() }
        try server.publish(membership(1, 1))
        let port = try #require(server.endpoints.first).port
        let asking = Task.detached {
            let client = try #require(LoopbackClient(port: port, stream: false))
            var lost = 0
            for _ in 0..<3_000 {
                client.send(Question.bytes("smtp-out.f.test", 1))
                guard let reply = client.receive(), reply[3] & 15 == 0, (1...9).contains(reply[7])
                else {
                    lost += 1
                    continue
                }
            }
            return lost
        }
        for round in 2...60 { try server.publish(membership(UInt64(round), 1 + round % 9)) }
        #expect(try await asking.value == 0)
    }

    /// From threads of their own, because `publish` blocks; the window is long enough for a busy machine
    /// to start them all within it.
    @Test func changesInsideTheWindowBecomeOneSerial() async throws {
        let server = try server(coalescing: .seconds(5))
        defer { server.stop() }
        let first = try server.publish(membership(1, 1))
        let changes = try (2...6).map { try membership(UInt64($0), $0) }
        let (serials, continuation) = AsyncStream.makeStream(of: UInt32?.self)
        for change in changes {
            Thread.detachNewThread { continuation.yield(try? server.publish(change)) }
        }
        var seen: [UInt32?] = []
        for await serial in serials.prefix(changes.count) { seen.append(serial) }
        #expect(!seen.contains(nil) && !seen.contains(first))
        #expect(Set(seen).count < changes.count)
        let client = try client(server)
        client.send(Question.bytes("smtp-out.f.test", 1))
        #expect((2...6).contains(try answers(client.receive())))
    }

    /// Octets without a whole query do not keep a connection.
    @Test func aTricklingClientIsIdle() throws {
        let server = try server(idleTimeout: .seconds(1))
        defer { server.stop() }
        let client = try client(server, stream: true)
        let query = Question.framed(Question.bytes("f.test", 6))
        client.send(query)
        #expect(client.receive() != nil)
        // Its end is seen as such: the server closes while half a query stands.
        for octet in query.prefix(20) {
            client.send([octet])
            Thread.sleep(forTimeInterval: 0.2)
        }
        client.send(Array(query.dropFirst(20)))
        #expect(client.receive() == nil)
        #expect(server.counters.connections.endedIdle == 1)
        #expect(server.counters.connections.endedSlow == 0)
    }

    @Test func restartServesWhatWasServedBefore() throws {
        let first = try server()
        let serial = try first.publish(membership(5, 4))
        first.stop()
        let second = try server()
        defer { second.stop() }
        #expect(second.serial == serial)
        let client = try client(second)
        client.send(Question.bytes("smtp-out.f.test", 1))
        #expect(try answers(client.receive()) == 4)
        let next = try second.publish(membership(6, 5))
        #expect(Serial.isNewer(next, than: serial))
    }

    /// Half the circle away from the zone file's serial a plain comparison takes the older for the newer.
    @Test(arguments: [0x7FFF_FFFF, 0x8000_0000, 0x8000_0002, 0xC000_0000, 0xFFFF_FFFE] as [UInt32])
    func theSerialGoesOnFromWhereverItWas(last: UInt32) throws {
        try directory.write("zone.serial", "\(last)\n")
        var serial = last
        for round in 1...2 as ClosedRange<UInt64> {
            let server = try server()
            for step in 1...3 {
                let next = try server.publish(
                    membership(round * 10 + UInt64(step), Int(round) + step))
                #expect(Serial.isNewer(next, than: serial))
                serial = next
            }
            server.stop()
        }
    }

    @Test func damagedImageNeverTakesTheSerialBack() throws {
        let first = try server()
        var serial = first.serial
        for round in 1...30 { serial = try first.publish(membership(UInt64(round), round)) }
        first.stop()
        try directory.write("zone.image", "torn")
        let second = try server()
        defer { second.stop() }
        #expect(Serial.isNewer(second.serial, than: serial))
        let client = try client(second)
        client.send(Question.bytes("ns1.f.test", 1))
        #expect(try answers(client.receive()) == 1)
    }

    @Test func aChangeIsServedThoughTheDiskDoesNotTakeIt() async throws {
        let server = try server()
        let serial = try server.publish(membership(1, 2))
        let away = directory.path + "-away"
        try FileManager.default.moveItem(atPath: directory.path, toPath: away)
        let next = try server.publish(membership(2, 3))
        #expect(Serial.isNewer(next, than: serial))
        #expect(!server.isSaved)
        let client = try client(server)
        client.send(Question.bytes("smtp-out.f.test", 1))
        #expect(try answers(client.receive()) == 3)
        try FileManager.default.moveItem(atPath: away, toPath: directory.path)
        try await eventually("the zone is saved") { server.isSaved }
        server.stop()
        let again = try self.server()
        defer { again.stop() }
        #expect(again.serial == next)
    }

    /// A server that was killed may have published more than it saved.
    @Test func serialsThatWereNotSavedAreNotGivenOutAgain() throws {
        let first = try server()
        let serial = try first.publish(membership(1, 2))
        let image = try Data(contentsOf: URL(fileURLWithPath: directory.file("zone.image")))
        var last = serial
        for round in 2...20 { last = try first.publish(membership(UInt64(round), round)) }
        let reserved = try String(contentsOfFile: directory.file("zone.serial"), encoding: .utf8)
        first.stop()
        try image.write(to: URL(fileURLWithPath: directory.file("zone.image")))
        try directory.write("zone.serial", reserved)
        let second = try server()
        defer { second.stop() }
        #expect(Serial.isNewer(second.serial, than: last))
        let client = try client(second)
        client.send(Question.bytes("smtp-out.f.test", 1))
        #expect(try answers(client.receive()) == 2)
    }

    @Test func aPortInUseIsOneClearError() throws {
        let server = try server()
        defer { server.stop() }
        let port = try #require(server.endpoints.first).port
        let error = #expect(throws: NameServerError.self) {
            try NameServer(
                configuration: NameServerConfiguration(
                    listen: [(.v4(0x7F00_0001), port)], stateDirectory: directory.path),
                zone: zone(), logger: Logger(label: "test"))
        }
        #expect(error?.description.contains("127.0.0.1 port \(port)") == true)
    }

    /// Bound to the wildcard it answers from the address that was asked: the client hears no other.
    @Test(arguments: [false, true]) func answersLeaveFromTheAskedAddress(_ stream: Bool) throws {
        let server = try NameServer(
            configuration: NameServerConfiguration(
                listen: [(.v4(0), 0), (.v6(high: 0, low: 0), 0)], stateDirectory: directory.path),
            zone: zone(), logger: Logger(label: "test"))
        server.start()
        defer { server.stop() }
        let port = try #require(server.endpoints.first).port
        for host: UInt8 in [1, 5, 77, 5] {
            let client = try #require(LoopbackClient(port: port, host: host, stream: stream))
            for id: UInt16 in 1...40 {
                let query = Question.bytes("ns1.f.test", 1, id: id)
                client.send(stream ? Question.framed(query) : query)
            }
            for _ in 1...40 { #expect(try answers(client.receive()) == 1) }
        }
    }

    @Test func reloadChangesTheStaticPartOnly() throws {
        let server = try server()
        defer { server.stop() }
        try server.publish(membership(1, 2))
        let path = try directory.write(
            "new.zone",
            "f.test. 300 IN SOA ns1 hm 1 60 15 604800 30\nf.test. 300 IN NS ns1\n"
                + "ns1 300 IN A 127.0.0.1\nextra 300 IN A 127.0.0.3\n")
        try server.reload(readZone(at: path, origin: DomainName("f.test")))
        let client = try client(server)
        for (name, count) in [("extra.f.test", 1), ("smtp-out.f.test", 2)] {
            client.send(Question.bytes(name, 1))
            #expect(try answers(client.receive()) == count)
        }
    }

    /// Texts of the membership are answered beside each other, and left out where the zone file has an alias or a cut:
    /// roles go on then.
    @Test func textsAreAnsweredWhereTheyCanBe() throws {
        let server = try NameServer(
            configuration: NameServerConfiguration(
                listen: [(.v4(0x7F00_0001), 0)], stateDirectory: directory.path,
                coalescing: .zero),
            zone: zone(
                ttl: 300,
                """
                _acme-challenge.alias IN CNAME elsewhere.example.
                cut IN NS ns.elsewhere.example.
                _acme-challenge.web IN TXT "of the file"
                """), logger: Logger(label: "test"))
        server.start()
        defer { server.stop() }
        func count(_ name: String) throws -> Int {
            let client = try client(server)
            client.send(Question.bytes(name, 16))
            return try answers(client.receive())
        }
        var members = try membership(1, 2)
        members.texts = [
            .init(owner: "_acme-challenge", value: "at the apex"),
            .init(owner: "_acme-challenge.alias", value: "never"),
            .init(owner: "_acme-challenge.below.cut", value: "never"),
            .init(owner: "_acme-challenge.web", value: "one"),
            .init(owner: "_acme-challenge.web", value: "two"),
        ]
        try server.publish(members)
        #expect(try count("_acme-challenge.web.f.test") == 2)
        #expect(try count("_acme-challenge.f.test") == 1)
        #expect(try count("_acme-challenge.alias.f.test") == 1, "the alias itself")
        #expect(try count("_acme-challenge.below.cut.f.test") == 0)
        let names = ["_acme-challenge.alias", "_acme-challenge.below.cut", "_acme-challenge.web"]
        let rooms = try names.map {
            server.zone.canAnswerText(at: try #require(DomainName($0 + ".f.test")))
        }
        #expect(rooms == [false, false, true])
        try server.publish(membership(2, 3))
        #expect(try count("_acme-challenge.web.f.test") == 1, "the file's again")
        #expect(try count("_acme-challenge.f.test") == 0)
    }

    /// Keys that cannot be used are said at the start, and nothing is served.
    @Test func keysOfAnotherKindAreRefused() throws {
        func signed(_ policy: KeyPolicy) throws -> NameServer {
            var configuration = NameServerConfiguration(
                listen: [(.v4(0x7F00_0001), 0)], stateDirectory: directory.path)
            configuration.signing = .init(directory: directory.file("keys"), keys: policy)
            return try NameServer(
                configuration: configuration, zone: zone(), logger: Logger(label: "test"))
        }
        let first = try signed(KeyPolicy())
        let serial = first.serial
        first.stop()
        // The same keys and signatures are found again.
        #expect(try signed(KeyPolicy()).serial == serial)
        #expect(throws: NameServerError.self) { try signed(KeyPolicy(isSplit: true)) }
        #expect(throws: NameServerError.self) { try signed(KeyPolicy(algorithm: .ed25519)) }
        let files = try FileManager.default.contentsOfDirectory(atPath: directory.file("keys"))
        let secret = try #require(files.first { $0.hasSuffix(".private") })
        let path = directory.file("keys/" + secret)
        #expect(
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
                == 0o600)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        #expect(throws: NameServerError.self) { try signed(KeyPolicy()) }
    }

    /// The parent's DS record is noted for the key that the parent was asked for last, even when nobody ever said
    /// that it had the first one; and only that one is what the parent should have.
    @Test(.timeLimit(.minutes(2))) func theNewestKeyIsDelegated() async throws {
        var configuration = NameServerConfiguration(
            listen: [(.v4(0x7F00_0001), 0)], stateDirectory: directory.path)
        configuration.signing = .init(
            directory: directory.file("keys"),
            keys: KeyPolicy(algorithm: .ed25519, propagation: 0, keyTTL: 1, delegationTTL: 600))
        let server = try NameServer(
            configuration: configuration, zone: zone(ttl: 1), logger: Logger(label: "test"))
        server.start()
        defer { server.stop() }
        func announced(_ count: Int) async throws {
            let end = ContinuousClock.now + .seconds(60)
            while server.zone.keys.count(where: \.awaitsDelegation) < count {
                try #require(ContinuousClock.now < end, "\(server.zone.keys.map(\.state))")
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        #expect(
            server.zone.entryPoints == server.zone.keys.map(\.key),
            "before the parent was ever asked")
        try await announced(1)
        try server.zone.follow(.replace(isEntryPoint: true))
        #expect(
            server.zone.entryPoints == [server.zone.keys[0].key], "before caches have the new key")
        try await announced(2)
        #expect(server.zone.entryPoints == [server.zone.keys[1].key])
        try server.zone.follow(.delegated(tag: nil))
        #expect(server.zone.keys[1].delegated != nil && server.zone.keys[0].delegated == nil)
    }
}
