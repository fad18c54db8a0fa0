import AuthDNS
import AuthDNSCore
import Delivery
import Farm
import Glibc
import Logging
import TestSupport
import Testing
import ZoneFile

@Suite struct ResolverTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func server(port: UInt16 = 0) throws -> NameServer {
        let zone = try readZone(
            at: directory.write(
                "f.test.zone",
                """
                $ORIGIN f.test.
                $TTL 300
                @ IN SOA ns1 hostmaster 1 60 15 604800 30
                @ IN NS ns1
                ns1 IN A 127.0.0.1
                both 40 IN A 192.0.2.9
                both 20 IN AAAA 2001:db8::9
                both 40 IN A 192.0.2.1
                alias 7 IN CNAME ns1
                text IN TXT "no address"
                mail 60 IN MX 20 second
                mail 60 IN MX 10 first
                deaf IN MX 0 .
                plain 50 IN A 192.0.2.4
                """))
        let server = try NameServer(
            configuration: NameServerConfiguration(
                listen: [(.v4(0x7F00_0001), port)], stateDirectory: directory.path, workers: 1,
                coalescing: .zero),
            zone: zone, logger: Logger(label: "test"))
        server.start()
        return server
    }

    private func upstream(of server: NameServer) throws -> [Resolver.Server] {
        let endpoint = try #require(server.endpoints.first)
        return [Resolver.Server(address: endpoint.address, port: endpoint.port)]
    }

    private func membership(_ version: UInt64, ttl: UInt32) throws -> Membership {
        let id = try #require(SmurfID("s1"))
        return Membership(
            version: version,
            hosts: [.init(id: id, addresses: [.v4(0x0A00_0000 + UInt32(version))])],
            records: [.init(owner: "smtp-out", kind: .address, members: [id], ttl: ttl)])
    }

    private func found(_ resolver: Resolver, _ name: String) async -> [IPAddress] {
        ((try? await resolver.addresses(of: name)) ?? nil)?.addresses ?? []
    }

    @Test func aChangeIsSeenWhenTheTimeToLiveIsOver() async throws {
        let server = try server()
        defer { server.stop() }
        let resolver = try Resolver(.forward(upstream(of: server)))
        for version in 1...3 {
            try server.publish(membership(UInt64(version), ttl: 1))
            let published = ContinuousClock.now
            let new = IPAddress.v4(0x0A00_0000 + UInt32(version))
            // Holds on any machine: what is asked a second after the change must be new.
            while true {
                let asked = ContinuousClock.now
                let answer = try await resolver.addresses(of: "smtp-out.f.test")
                #expect(answer.timeToLive <= .seconds(1))
                if answer.addresses == [new] { break }
                try #require(published.duration(to: asked) < .seconds(1))
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    @Test func anAnswerIsKeptAsLongAsItsTimeToLive() async throws {
        let server = try server()
        defer { server.stop() }
        let resolver = try Resolver(.stub(zone: "f.test", servers: upstream(of: server)))
        try server.publish(membership(1, ttl: 100_000))
        let first = try await resolver.addresses(of: "smtp-out.f.test")
        try server.publish(membership(2, ttl: 100_000))
        let second = try await resolver.addresses(of: "SMTP-out.F.test.")
        #expect(first.addresses == second.addresses)
        #expect(second.timeToLive < first.timeToLive)
        #expect(first.timeToLive > .seconds(50_000))
    }

    @Test func bothKindsOfAddressesAndTheSmallestTimeToLive() async throws {
        let server = try server()
        defer { server.stop() }
        let resolver = try Resolver(.forward(upstream(of: server)))
        let both = try await resolver.addresses(of: "both.f.test")
        #expect(
            both.addresses.map(\.description).sorted()
                == ["192.0.2.1", "192.0.2.9", "2001:db8::9"])
        #expect(both.timeToLive <= .seconds(20))
        let alias = try await resolver.addresses(of: "alias.f.test")
        #expect(alias.addresses == [.v4(0x7F00_0001)] && alias.timeToLive <= .seconds(7))
    }

    @Test func whatIsMissingHasItsOwnError() async throws {
        let server = try server()
        defer { server.stop() }
        let resolver = try Resolver(.stub(zone: "f.test", servers: upstream(of: server)))
        await #expect(throws: ResolverError.noSuchName("gone.f.test")) {
            try await resolver.addresses(of: "gone.f.test")
        }
        await #expect(throws: ResolverError.noData("text.f.test")) {
            try await resolver.addresses(of: "text.f.test")
        }
        await #expect(throws: ResolverError.noData("text.f.test")) {
            try await resolver.mailExchanges(of: "text.f.test")
        }
        await #expect(throws: ResolverError.nullMX("deaf.f.test")) {
            try await resolver.mailExchanges(of: "deaf.f.test")
        }
        for name in ["", "a\0b", String(repeating: "a", count: 64) + ".f.test", "a..b"] {
            await #expect(throws: ResolverError.self) { try await resolver.addresses(of: name) }
        }
    }

    @Test func mailExchangesByPreference() async throws {
        let server = try server()
        defer { server.stop() }
        let resolver = try Resolver(.forward(upstream(of: server)))
        let mail = try await resolver.mailExchanges(of: "mail.f.test")
        #expect(mail.exchanges.map(\.host) == ["first.f.test", "second.f.test"])
        #expect(mail.exchanges.map(\.preference) == [10, 20])
        #expect(mail.timeToLive <= .seconds(60))
        let plain = try await resolver.mailExchanges(of: "plain.f.test")
        #expect(plain.exchanges.map(\.host) == ["plain.f.test"])
        #expect(plain.timeToLive <= .seconds(50))
    }

    @Test func aSilentServerFailsAndIsFoundWhenItSpeaks() async throws {
        let port = try Product.freePort()
        let resolver = try Resolver(
            .forward([Resolver.Server(address: .v4(0x7F00_0001), port: port)]))
        await #expect(throws: ResolverError.self) {
            try await resolver.addresses(of: "both.f.test")
        }
        let server = try server(port: port)
        defer { server.stop() }
        let end = ContinuousClock.now + .seconds(120)
        while await found(resolver, "both.f.test").isEmpty && ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(100))
        }
        #expect(await found(resolver, "both.f.test").count == 3)
    }

    @Test func aThousandLookupsAtOnceAreAllAnswered() async throws {
        let server = try server()
        defer { server.stop() }
        let resolver = try Resolver(.stub(zone: "f.test", servers: upstream(of: server)))
        let missing = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<1000 {
                group.addTask {
                    // A question that fails for the crowd may be asked again.
                    for _ in 0..<10 {
                        do throws(ResolverError) {
                            _ = try await resolver.addresses(of: "n\(number).f.test")
                            return false
                        } catch {
                            if case .noSuchName = error { return true }
                        }
                    }
                    return false
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(missing == 1000)
    }

    /// libunbound reads settings into globals; two contexts that were made at once crashed.
    @Test func resolversMayBeMadeAtOnce() async throws {
        let server = try server()
        defer { server.stop() }
        let upstream = try upstream(of: server)
        let made = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<64 {
                group.addTask { (try? Resolver(.stub(zone: "f.test", servers: upstream))) != nil }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(made == 64)
    }

    @Test func aDeadServerBesideALivingOneDoesNotMatter() async throws {
        let server = try server()
        defer { server.stop() }
        let dead = Resolver.Server(address: .v4(0x7F00_0001), port: try Product.freePort())
        let resolver = try Resolver(.forward([dead] + upstream(of: server)))
        // Different names, so that each is asked for.
        for number in 0..<30 {
            await #expect(throws: ResolverError.noSuchName("n\(number).f.test")) {
                try await resolver.addresses(of: "n\(number).f.test")
            }
        }
    }

    @Test func cancelledLookupsEndAtOnceAndLeaveNothingBehind() async throws {
        let port = try Product.freePort()
        let silent = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(silent) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = inet_addr("127.0.0.1")
        let status = withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(silent, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0)
        for round in 0..<20 {
            let resolver = try Resolver(
                .forward([Resolver.Server(address: .v4(0x7F00_0001), port: port)]))
            let tasks = (0..<20).map { number in
                Task { try await resolver.addresses(of: "n\(round)-\(number).f.test") }
            }
            if round % 2 == 0 { try await Task.sleep(for: .milliseconds(20)) }
            for task in tasks { task.cancel() }
            for task in tasks {
                await #expect(throws: ResolverError.self) { try await task.value }
            }
        }
    }

    @Test func anUpstreamThatCannotBeUsedIsRefused() throws {
        #expect(throws: ResolverError.self) { try Resolver(.forward([])) }
        #expect(throws: ResolverError.self) {
            try Resolver(
                .stub(zone: "f.test\"\nserver:", servers: [.init(address: .v4(0x7F00_0001))]))
        }
    }
}
