import AuthDNS
import AuthDNSCore
import Farm
import Foundation
import Logging
import TestSupport
import Testing
import ZoneFile

/// Name servers that sign with the same keys: one speaks for all, the others take what it has made of them.
@Suite struct SharedKeysTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        for (name, text) in [("pass", "correct horse\n"), ("other", "another\n")] {
            try directory.write(name, text)
            chmod(directory.file(name), 0o600)
        }
    }

    /// - Parameters:
    ///   - name: of its state directory.
    ///   - passphrase: the name of the file; nil: the server does not sign.
    private func server(
        _ name: String, passphrase: String? = "pass", isShared: Bool = true
    ) throws -> NameServer {
        let zone = try readZone(
            at: directory.write(
                "f.test.zone",
                """
                $ORIGIN f.test.
                $TTL 600
                @ IN SOA ns1 hostmaster 1 60 15 604800 1
                @ IN NS ns1
                ns1 IN A 127.0.0.1
                """))
        var configuration = NameServerConfiguration(
            listen: [(.v4(0x7F00_0001), 0)], stateDirectory: directory.file(name), workers: 1,
            coalescing: .zero)
        if let passphrase {
            configuration.signing = .init(
                directory: directory.file(name + "/keys"),
                keys: KeyPolicy(algorithm: .ed25519, propagation: 0, keyTTL: 1, delegationTTL: 0),
                passphrase: try KeyPassphrase(file: directory.file(passphrase)), isShared: isShared)
        }
        try FileManager.default.createDirectory(
            atPath: directory.file(name), withIntermediateDirectories: true)
        return try NameServer(
            configuration: configuration, zone: zone, logger: Logger(label: "test"))
    }

    private func membership(_ version: UInt64) -> Membership {
        Membership(version: version, hosts: [], records: [])
    }

    /// What the first of the servers makes of the keys.
    private func moved(
        _ server: NameServer, _ keys: SealedKeys?, _ order: KeyOrder? = nil
    ) throws -> SealedKeys {
        let zone = try #require(
            try server.zone.moved(keys?.zones["f.test"], order: order))
        return SealedKeys(zones: ["f.test": zone])
    }

    private func tags(_ server: NameServer) -> [UInt16] { server.zone.keys.map(\.key.tag) }

    /// The keys in its DNSKEY set.
    private func published(_ server: NameServer) throws -> Int {
        let apex = try #require(DomainName("f.test"))
        return server.image.records.count { $0.owner == apex && $0.type == .dnskey }
    }

    @Test func allSignWithWhatOneHasMade() throws {
        let (first, second) = (try server("a"), try server("b"))
        let keys = try moved(first, nil)
        #expect(tags(first) == [], "not used before it is published")
        #expect(try moved(first, keys) == keys, "nothing moves")
        for server in [first, second] {
            try server.publish(membership(1), serial: 7, keys: keys)
            #expect(server.serial == 7)
            #expect(try published(server) == 1)
        }
        #expect(tags(first) == tags(second) && tags(first).count == 1)
        #expect(first.zone.entryPoints == second.zone.entryPoints)
        #expect(second.zone.encryptedKeys.count == 1, "no secret is in the clear on a disk")

        // The other speaks for all now.
        let next = try moved(second, keys, .replace(isEntryPoint: true))
        #expect(next.zones["f.test"]?.version == 2)
        #expect(try published(second) == 1)
        for server in [second, first] {
            try server.publish(membership(1), serial: 8, keys: next)
            #expect(try published(server) == 2)
        }
        #expect(tags(first) == tags(second))
        #expect(throws: NameServerError.self) {
            _ = try moved(second, next, .replace(isEntryPoint: true))
        }

        // As from a backup: those who know better stay with what they have, and whoever speaks for all begins from that.
        try first.publish(membership(2), serial: 9, keys: keys)
        #expect(first.serial == 9)
        #expect(try published(first) == 2)
        let restarted = try server("b")
        #expect(try published(restarted) == 2)
        let repaired = try moved(restarted, keys)
        #expect(repaired.zones["f.test"]?.version == 3)
        try first.publish(membership(2), serial: 10, keys: repaired)
        #expect(tags(first) == tags(second))
    }

    @Test func keysOfOneThatWasAloneBecomeTheFarms() throws {
        let alone = try server("a", isShared: false)
        try alone.publish(membership(1))
        let own = alone.zone.keys
        #expect(own.count == 1)
        let stranger = try server("b", isShared: false)
        try stranger.publish(membership(1))
        let strangers = tags(stranger)

        let (first, second) = (try server("a"), try server("b"))
        let keys = try moved(first, nil)
        for server in [first, second] { try server.publish(membership(2), serial: nil, keys: keys) }
        #expect(first.zone.keys == own && second.zone.keys == own)
        // What the other had is not in use, and not lost.
        let files = try FileManager.default.contentsOfDirectory(atPath: directory.file("b/keys"))
        #expect(files.contains { $0.hasSuffix("\(strangers[0]).private.aside") }, "\(files)")
        #expect(try server("b").zone.keys == own, "after a restart")
    }

    @Test func whoCannotSignSaysSoAndStaysAsItIs() throws {
        let first = try server("a")
        let keys = try moved(first, nil)
        let unsigned = try server("b", passphrase: nil)
        try unsigned.publish(membership(1), serial: 5)
        let wrong = try server("c", passphrase: "other")
        try wrong.publish(membership(1), serial: 5)
        for (server, said) in [(unsigned, "start serve with --dnssec"), (wrong, "does not open")] {
            for _ in 1...50 {
                let error = #expect(throws: NameServerError.self) {
                    try server.publish(membership(2), serial: 6, keys: keys)
                }
                #expect(error?.description.contains(said) == true, "\(String(describing: error))")
            }
            #expect(server.serial == 5)
        }
        #expect(throws: NameServerError.self) { _ = try moved(wrong, keys) }
    }

    @Test func aZoneThatLeftDNSSECNeedsNoKeys() throws {
        let first = try server("a")
        var keys = try moved(first, nil)
        keys = try moved(first, keys, .withdraw)
        keys = try moved(first, keys, .undelegated(true))
        let end = ContinuousClock.now + .seconds(60)
        while keys.zones["f.test"]?.isUnsigned != true {
            try #require(ContinuousClock.now < end)
            Thread.sleep(forTimeInterval: 0.2)
            keys = try moved(first, keys)
        }
        let unsigned = try server("b", passphrase: nil)
        for server in [first, unsigned] {
            try server.publish(membership(1), serial: 5, keys: keys)
            #expect(try published(server) == 0 && server.serial == 5)
        }
        keys = try moved(first, keys, .signAgain)
        try first.publish(membership(1), serial: 6, keys: keys)
        #expect(try published(first) == 1)
    }
}
