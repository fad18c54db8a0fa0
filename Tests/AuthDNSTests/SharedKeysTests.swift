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
    ///   - propagation: seconds until a step of keys is everywhere.
    private func server(
        _ name: String, passphrase: String? = "pass", isShared: Bool = true,
        propagation: UInt64 = 0
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
                keys: KeyPolicy(
                    algorithm: .ed25519, propagation: propagation, keyTTL: 1, delegationTTL: 0),
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

    /// What is due is known beforehand, so that a plan need not try it.
    @Test func nothingIsDueForAWhile() throws {
        let (first, second) = try (server("a", propagation: 3600), server("b", propagation: 3600))
        let old = try moved(first, nil)
        #expect(try areSettled(first, old))
        #expect(try !areSettled(second, old), "it has not looked yet")
        for server in [first, second] { try server.publish(membership(1), serial: 7, keys: old) }
        #expect(try areSettled(first, old), "it was published, and is what was known")
        let keys = try moved(first, old, .replace(isEntryPoint: true))
        #expect(try areSettled(first, keys) && !areSettled(first, old), "an order changed them")
        // Another moves them on: this one has to look whether what comes again then is a backup.
        for server in [first, second] { try server.publish(membership(1), serial: 8, keys: keys) }
        let next = try moved(second, keys, .withdraw)
        try first.publish(membership(1), serial: 9, keys: next)
        #expect(try !areSettled(first, keys) && !areSettled(first, next))
    }

    @Test func whatIsDueIsSeen() throws {
        let server = try server("a")
        let keys = try moved(server, nil)
        let replaced = try moved(server, keys, .replace(isEntryPoint: true))
        // The new key is due to be announced as soon as caches know it.
        let end = ContinuousClock.now + .seconds(60)
        var next = replaced
        while next == replaced {
            while try areSettled(server, replaced) {
                try #require(ContinuousClock.now < end)
                Thread.sleep(forTimeInterval: 0.05)
            }
            next = try moved(server, replaced)
        }
    }

    private func areSettled(_ server: NameServer, _ keys: SealedKeys) throws -> Bool {
        server.zone.areSettled(try #require(keys.zones["f.test"]))
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

    /// Whoever can write to the farm's record can write anything there: nobody signs with it, nobody keeps it, and all go on
    /// with what they have.
    @Test func tamperedKeysAreRefusedAndTheOldOnesStay() throws {
        let server = try server("a")
        let good = try moved(server, nil)
        try server.publish(membership(1), serial: 5, keys: good)
        let (before, files) = (server.zone.keys, try contents(of: "a/keys"))
        let seed = SeededGenerator.announcedSeed("tamperedKeysAreRefused")
        for (what, keys) in try tampered(good, seed) {
            let zone = SealedKeys.Zone(version: 2, keys: keys, isUnsigned: false)
            let shared = SealedKeys(zones: ["f.test": zone])
            for _ in 1...2 {
                #expect(throws: NameServerError.self, "\(what)") {
                    try server.publish(membership(2), serial: 6, keys: shared)
                }
                #expect(throws: NameServerError.self, "\(what)") { _ = try moved(server, shared) }
            }
            #expect(server.zone.keys == before && server.serial == 5, "\(what)")
            #expect(try contents(of: "a/keys") == files, "\(what)")
        }
        // Nothing of it is remembered either.
        try server.publish(membership(2), serial: 6, keys: good)
        #expect(server.serial == 6 && server.zone.keys == before)
        #expect(try self.server("a").zone.keys == before, "after a restart")
    }

    /// Ways in which the one key of a farm may be another than was written.
    private func tampered(
        _ good: SealedKeys, _ seed: UInt64
    ) throws -> [(String, [SealedKeys.Key])] {
        let key = try #require(good.zones["f.test"]?.keys.first)
        // A key that somebody drew for himself, in the clear.
        let own = try self.server("own", passphrase: "other", isShared: false)
        try own.publish(membership(1))
        let drawn = try #require(own.zone.keys.first).key
        let clear = """
            Private-key-format: v1.3
            Algorithm: 15 (ED25519)
            PrivateKey: \(Data(drawn.secret).base64EncodedString())
            Created: 20260101000000
            Publish: 20260101000000
            Activate: 20260101000000

            """
        let public64 = Data(drawn.publicData.dropFirst(4)).base64EncodedString()
        let ours = "f.test. IN DNSKEY 257 3 15 \(public64)\n"
        let sealed = try String(
            contentsOfFile: try #require(
                contents(of: "own/keys").keys.first { $0.hasSuffix(".private") }
                    .map { directory.file("own/keys/") + $0 }), encoding: .utf8)
        func changed(_ open: String? = nil, closed: String? = nil) -> [SealedKeys.Key] {
            [.init(open: open ?? key.open, closed: closed ?? key.closed)]
        }
        var all: [(String, [SealedKeys.Key])] = [
            ("a secret in the clear", changed(ours, closed: clear)),
            ("a secret in the clear beside ours", [key] + changed(ours, closed: clear)),
            ("a secret under another passphrase", changed(ours, closed: sealed)),
            ("another zone's", changed(key.open.replacing("f.test.", with: "g.test."))),
            ("other flags", changed(key.open.replacing(" 257 ", with: " 256 "))),
            ("another public half", changed(ours)),
            ("no public half", changed("")),
            ("nothing", [.init(open: "", closed: "")]),
            ("twice", [key, key]),
            ("a thousand", Array(repeating: key, count: 1000)),
            ("a thousand others", (0..<1000).map { .init(open: "\($0)", closed: "\($0)") }),
            ("another algorithm", changed(closed: key.closed.replacing(": 15 ", with: ": 13 "))),
            (
                "a moment of no calendar",
                changed(
                    closed: key.closed.replacing("Created: 20", with: "Created: x0"))
            ),
        ]
        // The secret itself is damaged: an octet of it is another, is missing, or the end is.
        var random = SeededGenerator(seed: seed)
        let text = Array(key.closed)
        let begin = try #require(key.closed.range(of: "-----BEGIN "))
        let start = key.closed.distance(from: key.closed.startIndex, to: begin.lowerBound)
        for round in 0..<12 {
            var other = text
            let at = Int.random(in: (start + 40)..<(text.count - 40), using: &random)
            switch round % 3 {
            case 0: other[at] = other[at] == "A" ? "B" : "A"
            case 1: other.removeSubrange(at..<min(at + 5, other.count))
            default: other.removeSubrange(at...)
            }
            if other != text {
                all.append(("damaged at \(at), \(round)", changed(closed: String(other))))
            }
        }
        return all
    }

    private func contents(of name: String) throws -> [String: Data] {
        let path = directory.file(name)
        var found: [String: Data] = [:]
        for file in try FileManager.default.contentsOfDirectory(atPath: path) {
            found[file] = FileManager.default.contents(atPath: path + "/" + file)
        }
        return found
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
