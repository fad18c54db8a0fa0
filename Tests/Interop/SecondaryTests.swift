import AuthDNS
import AuthDNSCore
import DNSTransport
import Farm
import Foundation
import Logging
import TestSupport
import Testing
import ZoneFile

extension InteropTests {
    /// Secondaries of three makers follow a zone whose members change all the time, and end with the very records
    /// that we serve: after bursts, steady changes, quiet, restarts of either side, a lost journal and a serial
    /// that goes round.
    @Suite(.serialized)
    struct SecondaryTests {
        private let directory: TemporaryDirectory
        private let port: UInt16
        private let securePort: UInt16
        private let secondaries: [SecondaryKind: UInt16]

        init() throws {
            directory = try TemporaryDirectory()
            port = try Product.freePort()
            securePort = try Product.freePort()
            var ports: [SecondaryKind: UInt16] = [:]
            for kind in SecondaryKind.allCases { ports[kind] = try Product.freePort() }
            secondaries = ports
        }

        private func primary(expire: Int = 604_800) throws -> NameServer {
            let origin = try #require(DomainName(SecondaryServer.zone))
            let file = try directory.write(
                "zone.txt",
                """
                $ORIGIN \(SecondaryServer.zone).
                $TTL 3600
                @ IN SOA ns1 hostmaster 1 \(min(60, expire / 8)) \(min(15, expire / 8)) \(expire) 5
                @ IN NS ns1
                ns1 IN A 127.0.0.1
                extra IN TXT "one" "two; three"

                """)
            let keyFile = try directory.write(
                "keys",
                "key \"xfr\" {\n algorithm hmac-sha256; // shared\n"
                    + " secret \"\(SecondaryServer.secret)\";\n};\n")
            chmod(keyFile, 0o600)
            var configuration = NameServerConfiguration(
                listen: [(.v4(0x7F00_0001), port)], stateDirectory: directory.path,
                coalescing: .milliseconds(20))
            let name = try #require(DomainName("xfr"))
            let network = try #require(Network("127.0.0.1"))
            configuration.peers = TransferPeers(
                peers: [.init(network: network, key: name)], keys: try TSIGKeysFile.read(keyFile))
            configuration.notified = secondaries.values.map {
                .init(address: .v4(0x7F00_0001), port: $0, key: name)
            }
            let server = try NameServer(
                configuration: configuration, zone: loadZone(at: file, origin: origin).zone,
                logger: Logger(label: "primary"))
            server.start()
            return server
        }

        /// The same server over TLS.
        private func secure(_ server: NameServer) async throws -> TLSListener {
            let certificate = directory.file("primary.pem")
            let key = directory.file("primary.key")
            if !FileManager.default.fileExists(atPath: key) {
                try await SelfSigned.certificate(
                    "primary", for: "ns1.smurf.example.test", in: directory)
            }
            return try await TLSListener(
                server, on: SecureSockets([(.v4(0x7F00_0001), securePort)]),
                .init(certificate: certificate, key: key))
        }

        @Test(.timeLimit(.minutes(5)))
        func everySecondaryConverges() async throws {
            let seed = SeededGenerator.announcedSeed("SecondaryTests")
            var farm = ChangingFarm(seed: seed)
            // Serials cross 2^31 on their way, where a naive comparison goes wrong.
            try directory.write("zone.serial", "2147483600\n")
            var held: NameServer? = try primary()
            var server: NameServer { get throws { try #require(held) } }
            try server.publish(farm.next())
            var listener = try await secure(server)
            var others = try SecondaryKind.allCases.map {
                try SecondaryServer(
                    $0, primary: $0 == .ownTLS ? securePort : port,
                    port: try #require(secondaries[$0]), directory: directory)
            }
            try await converged(server, others, "at first")

            let scale = ProcessInfo.processInfo.environment["SMURF_SOAK"] == nil ? 1 : 10
            for _ in 0..<(200 * scale) { try server.publish(farm.next()) }
            try await converged(server, others, "after a burst")
            for _ in 0..<(20 * scale) {
                try server.publish(farm.next())
                try await Task.sleep(for: .milliseconds(100))
            }
            try await converged(server, others, "after steady changes")
            #expect(try server.serial > 1 << 31, "the serial has crossed the middle")

            for index in others.indices {
                try await others[index].restart()
                for _ in 0..<10 { try server.publish(farm.next()) }
            }
            try await converged(server, others, "after restarts of secondaries")

            for isLost in [false, true] {
                await listener.stop()
                try server.stop()
                // Its sockets close with it.
                held = nil
                if isLost {
                    try FileManager.default.removeItem(atPath: directory.file("zone.journal"))
                }
                held = try primary()
                listener = try await secure(server)
                for _ in 0..<10 { try server.publish(farm.next()) }
                try await converged(server, others, "after a restart, journal lost: \(isLost)")
            }
            await listener.stop()
            try server.stop()
            for other in others {
                let status = await other.daemon.stop()
                #expect(![.own, .ownTLS].contains(other.kind) || status == 0, "\(other.kind)")
            }
        }

        /// A zone is answered for as long as its primary wanted, restarts or not, and again once there is a primary.
        @Test(.timeLimit(.minutes(3)))
        func anExpiredZoneIsNotAnswered() async throws {
            var farm = ChangingFarm(seed: 5)
            var held: NameServer? = try primary(expire: 8)
            try held?.publish(farm.next())
            let own = try #require(secondaries[.own])
            var secondary = try SecondaryServer(
                .own, primary: port, port: own, directory: directory)
            func status() async throws -> String {
                let reply = try await Dig.full(
                    "ns1.smurf.example.test", "A", at: "127.0.0.1", port: own)
                return reply.split(separator: "status: ").last.map {
                    String($0.prefix { $0 != "," })
                }
                    ?? ""
            }
            try await secondary.daemon.ready { try await status() == "NOERROR" }
            held?.stop()
            held = nil
            try await secondary.restart()
            try await eventually("it is answered from the disk") {
                try await status() == "NOERROR"
            }
            try await eventually("it expires") { try await status() == "SERVFAIL" }
            try await secondary.restart()
            try await eventually("it stays expired") { try await status() == "SERVFAIL" }
            held = try primary(expire: 8)
            try await eventually("it is back") { try await status() == "NOERROR" }
            held?.stop()
            #expect(await secondary.daemon.stop() == 0)
        }

        private func converged(
            _ server: NameServer, _ others: [SecondaryServer], _ what: Comment
        ) async throws {
            for other in others {
                do {
                    try await eventually("\(other.kind) has \(server.serial), \(what)") {
                        try await other.serial() == server.serial
                    }
                } catch {
                    throw Failure("\(error)\n\(other.daemon.log.suffix(4000))")
                }
            }
            let own = try await SecondaryServer.records(at: port, key: true)
            #expect(own.count == server.image.records.count, what)
            for other in others {
                let theirs = try await other.records()
                #expect(theirs.subtracting(own).isEmpty, "\(other.kind) \(what)")
                #expect(own.subtracting(theirs).isEmpty, "\(other.kind) \(what)")
            }
        }
    }
}

/// A farm of two hundred machines whose roles change at random.
private struct ChangingFarm {
    private var random: SeededGenerator
    private var version: UInt64 = 0
    private var web: Set<Int> = [1, 2, 3]
    private var mail: Set<Int> = [4, 5]

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func next() -> Membership {
        version += 1
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let machine = Int.random(in: 1...200, using: &random)
            if Bool.random(using: &random) {
                if web.remove(machine) == nil { web.insert(machine) }
            } else {
                if mail.remove(machine) == nil { mail.insert(machine) }
            }
        }
        var membership = Membership(version: version, hostTTL: 3600, senderOwners: ["@"])
        let ids = (1...200).compactMap { number in SmurfID("s\(number)").map { ($0, number) } }
        membership.hosts = ids.map { id, number in
            Membership.Host(id: id, addresses: [.v4(0x7F00_0000 + UInt32(number))])
        }
        func members(_ set: Set<Int>) -> [SmurfID] {
            ids.filter { set.contains($0.1) }.map(\.0)
        }
        membership.records = [
            .init(owner: "web", kind: .address, members: members(web), ttl: 5),
            .init(
                owner: "bounce", kind: .mailExchange(preference: 10), members: members(mail),
                ttl: 5),
        ]
        return membership
    }
}
