import AuthDNSCore
import Crypto
import Farm
import TestSupport
import Testing

/// Signed zones: what is signed, what is taken over, and what proofs replies hold. That others find the signatures
/// good is for the tests against real validators to say.
@Suite struct SigningTests {
    private static let now: UInt32 = 1_800_000_000

    private func key() throws -> ZoneKey {
        ZoneKey(
            drawnFor: try Example.name("f.test"), algorithm: .ed25519, isEntryPoint: true)
    }

    private func signer(_ key: ZoneKey) -> ZoneSigner {
        ZoneSigner(keys: SigningKeys(published: [key], keySigners: [key], zoneSigners: [key]))
    }

    private func content(_ members: Int = 4) throws -> ZoneContent {
        try ZoneContent(zone: Example.zone(), membership: Example.membership(members))
    }

    private func image(_ members: Int = 4) throws -> ZoneImage {
        let signed = try signer(key()).sign(
            content(members), serial: 42, now: Self.now, before: SignedNames())
        return try ZoneImage(signed.content, serial: 42)
    }

    private func ask(
        _ image: ZoneImage, _ name: String, _ type: RecordType, dnssec: Bool = true,
        size: UInt16 = 1232
    ) throws -> Decoded {
        let query = Packets.query(name, type, edns: Packets.opt(size: size, dnssec: dnssec))
        let reply = Packets.ask(image, query)
        #expect(reply.count <= Int(size))
        return try #require(Decoded(reply))
    }

    /// RFC 6605 §6.1 and RFC 8080 §6.1: a key, its tag, its DS record.
    @Test func keysOfTheStandards() throws {
        func bytes(_ hex: String) -> [UInt8] {
            stride(from: 0, to: hex.count, by: 2).map { at in
                let start = hex.index(hex.startIndex, offsetBy: at)
                return UInt8(hex[start..<hex.index(start, offsetBy: 2)], radix: 16) ?? 0
            }
        }
        let p256 = try #require(
            ZoneKey(
                zone: Example.name("example.net"), algorithm: .ecdsaP256SHA256, isEntryPoint: true,
                secret: bytes(
                    "194e929d0fcebbec42e51ba6b88508b8" + "966d7974f6cf43bfa24d6cdfc12dea64")))
        #expect(p256.tag == 55648)
        #expect(
            Array(p256.delegationData.dropFirst(4))
                == bytes("b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17"))
        let edwards = try #require(
            ZoneKey(
                zone: Example.name("example.com"), algorithm: .ed25519, isEntryPoint: true,
                secret: Array("82260384628080122645190204142262".utf8)))
        #expect(edwards.tag == 3613)
        #expect(
            Array(edwards.delegationData.dropFirst(4))
                == bytes("3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b"))
    }

    @Test func onlyWhatChangedIsSignedAnew() throws {
        let signer = signer(try key())
        let first = try signer.sign(
            content(4), serial: 1, now: Self.now, before: SignedNames())
        let again = try signer.sign(
            content(4), serial: 1, now: Self.now + 3600, before: first.names)
        #expect(again.content == first.content)
        let changed = try signer.sign(
            content(5), serial: 2, now: Self.now + 3600, before: first.names)
        let old = Set(first.content.records.filter { $0.type == .rrsig })
        let new = changed.content.records.filter { $0.type == .rrsig && !old.contains($0) }
        // SOA; A and AAAA of smtp-out; MX and SPF of bounce; A, AAAA and NSEC of the new host; NSEC before it.
        #expect(new.count == 9, "\(new.map(\.owner.description))")
    }

    @Test func signaturesAreMadeAnewBeforeTheyEndAndNotAtOnce() throws {
        let signer = signer(try key())
        var last = try signer.sign(content(30), serial: 1, now: Self.now, before: SignedNames())
        var renewed: [Int] = []
        for hour in 1...(30 * 24) {
            let now = Self.now + UInt32(hour) * 3600
            let next = try signer.sign(content(30), serial: 1, now: now, before: last.names)
            let old = Set(last.content.records.filter { $0.type == .rrsig })
            let signatures = next.content.records.filter { $0.type == .rrsig }
            renewed.append(signatures.count { !old.contains($0) })
            for signature in signatures {
                let end = signature.data[8..<12].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                #expect(end > now + 7 * 86_400, "a signature is nearly over")
            }
            last = next
        }
        let total = renewed.reduce(0, +)
        #expect(total > 0)
        #expect((renewed.max() ?? 0) * 4 < total, "all at once: \(renewed.max() ?? 0) of \(total)")
    }

    @Test func nobodyGetsSignaturesUnasked() throws {
        let image = try image()
        for (name, type) in [
            ("smtp-out.f.test", RecordType.a), ("no.f.test", .a), ("sub.f.test", .a),
        ] {
            let reply = try ask(image, name, type, dnssec: false)
            let types = reply.sections.flatMap { $0 }.map(\.type)
            #expect(!types.contains(46) && !types.contains(47), "\(name)")
        }
        #expect(try ask(image, "f.test", .dnskey, dnssec: false).answers.count == 1)
        #expect(try !ask(image, "f.test", .nsec, dnssec: false).answers.isEmpty)
    }

    @Test func answersCarryTheirSignatures() throws {
        let image = try image()
        let reply = try ask(image, "smtp-out.f.test", .a)
        #expect(reply.answers.map(\.type).sorted() == [1, 1, 1, 1, 46])
        let mx = try ask(image, "x.wild.f.test", .mx)
        #expect(mx.answers.map(\.type) == [15, 46])
        // Labels of the signature tell that a wildcard was expanded.
        #expect(mx.answers[1].data[3] == 3)
        #expect(mx.sections[1].map(\.type) == [47, 46])
        // The NSEC record is shorter than eight addresses, and of no use to whoever asks for ANY.
        let any = try ask(self.image(8), "smtp-out.f.test", .any)
        #expect(any.answers.map(\.type).sorted() == [1, 1, 1, 1, 1, 1, 1, 1, 46])
    }

    @Test func chainsArePutTogetherInOrder() throws {
        let alias = try Example.record("*.c.f.test", .cname, Example.wire("ns1.f.test"))
        let plain = try ZoneContent(zone: Example.zone(extra: [alias]), membership: nil)
        let signed = try signer(key()).sign(
            plain, serial: 1, now: Self.now, before: SignedNames())
        let reply = try ask(ZoneImage(signed.content, serial: 1), "x.c.f.test", .a)
        #expect(reply.answers.map(\.type) == [5, 46, 1, 46])
        #expect(reply.sections[1].map(\.type) == [47, 46])
    }

    @Test func referralsProveThatTheyAreNotSigned() throws {
        let reply = try ask(image(), "host.sub.f.test", .a)
        #expect(reply.sections[1].map(\.type) == [2, 47, 46])
        #expect(reply.sections[2].map(\.type) == [1], "glue is not signed")
    }

    @Test func aSignedAnswerThatIsTooLongIsTruncated() throws {
        let image = try image(40)
        let unsigned = try ask(image, "smtp-out.f.test", .a, dnssec: false, size: 800)
        #expect(!unsigned.isTruncated && unsigned.answers.count == 40)
        let signed = try ask(image, "smtp-out.f.test", .a, size: 720)
        #expect(signed.isTruncated && signed.answers.isEmpty)
    }

    /// RFC 4035 §5.4, by a checker of its own: of any name and type that is denied, the proofs say so.
    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func everyDenialIsProven(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let image = try image(Int.random(in: 0...12, using: &random))
        let words = [
            "s1", "a", "b", "deep", "wild", "web", "sub", "zz", "-", "\u{1}", "_s", "_tcp", "ns1",
        ]
        for _ in 0..<4000 {
            let labels = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                words.randomElement(using: &random) ?? "a"
            }
            let name = (labels + ["f", "test"]).joined(separator: ".")
            let type = RecordType(
                rawValue: [1, 16, 15, 28, 257].randomElement(using: &random) ?? 1)
            let reply = try ask(image, name, type)
            guard reply.isAuthoritative, reply.answers.isEmpty, reply.code == 0 || reply.code == 3
            else { continue }
            let denials = reply.sections[1].filter { $0.type == 47 }
            let proof = DenialChecker(denials)
            let isProven =
                reply.code == 3
                ? proof.noName(name, under: "f.test") : proof.noType(name, type, under: "f.test")
            #expect(
                isProven, "seed \(seed): \(name) \(type.rawValue), code \(reply.code): \(denials)")
        }
    }

    /// An empty set that answers SERVFAIL is not said to be absent: a resolver would believe it (RFC 8198).
    @Test func emptyRolesAreNotDenied() throws {
        let image = try image()
        #expect(try ask(image, "web.f.test", .a).code == 2)
        #expect(try ask(image, "web.f.test", .any).code == 2)
        let text = try ask(image, "web.f.test", .txt)
        let nsec = try #require(text.sections[1].first { $0.type == 47 })
        #expect(DenialChecker.types(nsec.data).isSuperset(of: [1, 28]))
    }
}

/// What NSEC records prove, by the letter of RFC 4035 §5.4 and with names as text.
private struct DenialChecker {
    private let denials: [(owner: [String], next: [String], types: Set<UInt16>)]

    init(_ records: [Decoded.Record]) {
        denials = records.map { record in
            var offset = 0
            let next = Decoded.name(record.data, &offset) ?? ""
            return (
                DenialChecker.labels(record.owner), DenialChecker.labels(next),
                DenialChecker.types(record.data)
            )
        }
    }

    static func types(_ data: [UInt8]) -> Set<UInt16> {
        var offset = 0
        _ = Decoded.name(data, &offset)
        var types: Set<UInt16> = []
        while offset + 2 <= data.count {
            let (window, length) = (UInt16(data[offset]), Int(data[offset + 1]))
            for index in 0..<length {
                for bit in 0..<8 where data[offset + 2 + index] & (0x80 >> UInt8(bit)) != 0 {
                    types.insert(window << 8 | UInt16(index * 8 + bit))
                }
            }
            offset += 2 + length
        }
        return types
    }

    /// From the right, lower-cased.
    private static func labels(_ name: String) -> [String] {
        name.lowercased().split(separator: ".").map(String.init).reversed()
    }

    private static func precedes(_ left: [String], _ right: [String]) -> Bool {
        for (one, other) in zip(left, right) where one != other {
            return Array(one.utf8).lexicographicallyPrecedes(Array(other.utf8))
        }
        return left.count < right.count
    }

    private func covers(_ name: [String]) -> Bool {
        denials.contains { denial in
            guard DenialChecker.precedes(denial.owner, name) else { return false }
            return DenialChecker.precedes(name, denial.next) || denial.next.count <= 2
        }
    }

    /// The name does not exist, and no wildcard could stand for it.
    func noName(_ name: String, under apex: String) -> Bool {
        let labels = DenialChecker.labels(name)
        guard covers(labels) else { return false }
        // The closest encloser is what the name shares with either end of the covering record.
        let ends = denials.flatMap { [$0.owner, $0.next] }
        let shared = ends.map { zip($0, labels).prefix { $0 == $1 }.count }.max() ?? 0
        return covers(Array(labels.prefix(shared)) + ["*"])
    }

    func noType(_ name: String, _ type: RecordType, under apex: String) -> Bool {
        let labels = DenialChecker.labels(name)
        func lacks(_ owner: [String]) -> Bool {
            denials.contains {
                $0.owner == owner && !$0.types.contains(type.rawValue) && !$0.types.contains(5)
            }
        }
        if lacks(labels) { return true }
        // An empty non-terminal: the next name is below it.
        if denials.contains(where: {
            DenialChecker.precedes($0.owner, labels) && $0.next.starts(with: labels)
        }) {
            return true
        }
        return covers(labels)
            && (1..<labels.count).contains { lacks(Array(labels.prefix($0)) + ["*"]) }
    }
}
