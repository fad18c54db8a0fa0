import AuthDNSCore
import Farm
import TestSupport
import Testing

@Suite struct RespondTests {
    struct Case: Sendable {
        var name: String
        var type: RecordType
        var code: Int
        var answers: Int
        var authority: UInt16?
        var isAuthoritative = true
    }

    static let cases: [Case] = [
        Case(name: "smtp-out.f.test", type: .a, code: 0, answers: 4),
        Case(name: "SMTP-Out.F.Test", type: .aaaa, code: 0, answers: 4),
        Case(name: "bounce.f.test", type: .mx, code: 0, answers: 4),
        Case(name: "bounce.f.test", type: .txt, code: 0, answers: 1),
        Case(name: "s2.f.test", type: .a, code: 0, answers: 1),
        Case(name: "f.test", type: .soa, code: 0, answers: 1),
        Case(name: "smtp-out.f.test", type: .txt, code: 0, answers: 0, authority: 6),
        Case(name: "nothing.f.test", type: .a, code: 3, answers: 0, authority: 6),
        Case(name: "deep.f.test", type: .a, code: 0, answers: 0, authority: 6),
        Case(name: "x.deep.f.test", type: .a, code: 3, answers: 0, authority: 6),
        Case(name: "alias.f.test", type: .a, code: 0, answers: 2),
        Case(name: "alias.f.test", type: .cname, code: 0, answers: 1),
        Case(name: "alias.f.test", type: .mx, code: 0, answers: 1, authority: 6),
        Case(name: "away.f.test", type: .a, code: 0, answers: 1),
        Case(name: "dead.f.test", type: .a, code: 3, answers: 1, authority: 6),
        Case(name: "loop-a.f.test", type: .a, code: 0, answers: 2),
        Case(name: "x.wild.f.test", type: .mx, code: 0, answers: 1),
        Case(name: "x.y.wild.f.test", type: .mx, code: 0, answers: 1),
        Case(name: "x.wild.f.test", type: .a, code: 0, answers: 0, authority: 6),
        Case(name: "odd.f.test", type: RecordType(rawValue: 731), code: 0, answers: 1),
        Case(name: "_s._tcp.f.test", type: .srv, code: 0, answers: 1),
        Case(name: "smtp-out.f.test", type: .any, code: 0, answers: 4),
        Case(name: "web.f.test", type: .a, code: 2, answers: 0, isAuthoritative: false),
        Case(name: "web.f.test", type: .aaaa, code: 2, answers: 0, isAuthoritative: false),
        Case(name: "web.f.test", type: .mx, code: 0, answers: 0, authority: 6),
        Case(
            name: "x.sub.f.test", type: .a, code: 0, answers: 0, authority: 2,
            isAuthoritative: false),
        Case(name: "sub.f.test", type: .ds, code: 0, answers: 0, authority: 6),
        Case(name: "example.org", type: .a, code: 5, answers: 0, isAuthoritative: false),
        Case(name: "xf.test", type: .a, code: 5, answers: 0, isAuthoritative: false),
        Case(name: "f.test", type: .axfr, code: 5, answers: 0, isAuthoritative: false),
        Case(
            name: "f.test", type: RecordType(rawValue: 249), code: 4, answers: 0,
            isAuthoritative: false),
    ]

    /// CD is the asker's word to its resolver (RFC 4035 §3.1.6); RD is copied.
    @Test func checkingDisabledIsCleared() throws {
        var query = Packets.query("smtp-out.f.test", .a)
        query[3] |= 0x30
        let reply = try #require(Decoded(Packets.ask(try Example.image(), query)))
        #expect(reply.flags & 0x0030 == 0 && reply.flags & 0x0100 != 0)
    }

    @Test(arguments: cases) func answers(_ test: Case) throws {
        let bytes = Packets.ask(try Example.image(), Packets.query(test.name, test.type))
        let reply = try #require(Decoded(bytes))
        #expect(reply.id == 0xBEEF)
        #expect(reply.flags & 0x8180 == 0x8100, "QR set, RD copied, RA clear")
        #expect(reply.code == test.code)
        #expect(reply.answers.count == test.answers)
        #expect(reply.sections[1].first?.type == test.authority)
        #expect(reply.isAuthoritative == test.isAuthoritative)
        #expect(reply.questionName == test.name, "the case of the question is echoed")
        #expect(reply.opt != nil && reply.optClass == 1232)
    }

    @Test func negativeTTLIsTheLesserOfTheTwo() throws {
        let reply = try #require(
            Decoded(Packets.ask(try Example.image(), Packets.query("no.f.test", .a))))
        let soa = try #require(reply.sections[1].first)
        #expect(soa.owner == "f.test" && soa.ttl == 30)
    }

    @Test func soaCarriesTheImagesSerial() throws {
        let reply = try #require(
            Decoded(Packets.ask(try Example.image(), Packets.query("f.test", .soa))))
        #expect(
            Array(try #require(reply.answers.first).data.suffix(20).prefix(4)) == [0, 0, 0, 42])
    }

    @Test func referralCarriesGlue() throws {
        let reply = try #require(
            Decoded(Packets.ask(try Example.image(), Packets.query("x.sub.f.test", .a))))
        #expect(reply.sections[1].map(\.owner) == ["sub.f.test"])
        #expect(reply.sections[2].map(\.data) == [[127, 0, 0, 9]])
    }

    @Test func mailExchangersNameTheHosts() throws {
        let bytes = Packets.ask(try Example.image(), Packets.query("bounce.f.test", .mx))
        let reply = try #require(Decoded(bytes))
        let hosts = reply.answers.compactMap { record in
            var offset = record.dataStart + 2
            return Decoded.name(bytes, &offset)
        }
        #expect(Set(hosts) == ["s0.f.test", "s1.f.test", "s2.f.test", "s3.f.test"])
    }

    @Test func emptyRoleMayBeNodata() throws {
        let image = try ZoneImage(
            zone: Example.zone(), membership: Example.membership(2, empty: .nodata), serial: 1)
        let reply = try #require(Decoded(Packets.ask(image, Packets.query("web.f.test", .a))))
        #expect(reply.code == 0 && reply.answers.isEmpty)
    }

    @Test func membershipBesideAStaticAliasIsRefused() throws {
        let alias = try Example.record("web.f.test", .cname, Example.wire("ns1.f.test"))
        let membership = Membership(
            version: 1,
            hosts: [.init(id: try #require(SmurfID("s0")), addresses: [.v4(1)])],
            records: [
                .init(
                    owner: "web", kind: .address, members: [try #require(SmurfID("s0"))], ttl: 30)
            ])
        #expect(throws: ZoneFault.self) {
            try ZoneImage(zone: Example.zone(extra: [alias]), membership: membership, serial: 1)
        }
    }

    @Test func truncationDropsEveryRecordAndTCPHasThem() throws {
        let image = try Example.image(90)
        let small = try #require(
            Decoded(Packets.ask(image, Packets.query("smtp-out.f.test", .a, edns: nil))))
        #expect(small.isTruncated && small.answers.isEmpty && small.opt == nil)
        let large = try #require(Decoded(Packets.ask(image, Packets.query("smtp-out.f.test", .a))))
        #expect(large.isTruncated && large.answers.isEmpty && large.opt != nil)
        let whole = try #require(
            Decoded(Packets.ask(image, Packets.query("smtp-out.f.test", .a), .tcp)))
        #expect(!whole.isTruncated && Set(whole.answers.map(\.data)).count == 90)
    }

    @Test func extensionMechanism() throws {
        let image = try Example.image()
        func reply(_ edns: [UInt8]?) throws -> Decoded {
            try #require(Decoded(Packets.ask(image, Packets.query("f.test", .ns, edns: edns))))
        }
        #expect(try reply(nil).opt == nil)
        #expect(try reply(Packets.opt(version: 1)).code == 16)
        #expect(try reply(Packets.opt(dnssec: true)).opt?.ttl == 0x8000)
    }

    @Test func headersThatAreNoQuery() throws {
        let image = try Example.image()
        let good = Packets.query("f.test", .ns, edns: nil)
        #expect(Packets.ask(image, Array(good[..<11])).isEmpty)
        func changed(_ offset: Int, _ value: UInt8) -> [UInt8] {
            var message = good
            message[offset] = value
            return Packets.ask(image, message)
        }
        #expect(changed(2, 0x81).isEmpty, "a response is never answered")
        #expect(Decoded(changed(2, 0x28))?.code == 4, "UPDATE")
        #expect(changed(5, 2)[3] & 15 == 1, "QDCOUNT 2")
        #expect(changed(5, 0)[3] & 15 == 1, "QDCOUNT 0")
        #expect(changed(12, 0xC0)[3] & 15 == 1, "a pointer in the question")
        let chaos = Packets.query("version.bind", .txt, recordClass: 3)
        #expect(Decoded(Packets.ask(image, chaos))?.code == 5)
    }

    @Test func everyOrderIsEquallyLikely() throws {
        let image = try Example.image(3)
        let query = Packets.query("smtp-out.f.test", .a)
        var generator = SeededGenerator(seed: 1)
        var orders: [[UInt8]: Int] = [:]
        for _ in 0..<6_000 {
            let reply = try #require(Decoded(Packets.ask(image, query, random: generator.next())))
            orders[reply.answers.compactMap(\.data.last), default: 0] += 1
        }
        #expect(orders.count == 6)
        #expect(orders.values.allSatisfy { (850...1_150).contains($0) }, "\(orders)")
    }

    @Test func hostileBytesNeverTrap() throws {
        let image = try Example.image(90)
        var generator = SeededGenerator(seed: SeededGenerator.announcedSeed("hostileBytes"))
        let seeds = Self.cases.map { Packets.query($0.name, $0.type) }
        for round in 0..<20_000 {
            var message = seeds[round % seeds.count]
            if round % 5 == 0 {
                message = (0..<Int.random(in: 0...80, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
                if message.count > 5 { message.replaceSubrange(2...5, with: [1, 0, 0, 1]) }
            } else {
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    let at = Int.random(in: 0..<message.count, using: &generator)
                    message[at] = UInt8.random(in: 0...255, using: &generator)
                }
                if round % 7 == 0 { message.removeLast(Int.random(in: 0..<20, using: &generator)) }
            }
            let reply = Packets.ask(image, message, random: generator.next(), room: 4096)
            guard !reply.isEmpty else { continue }
            #expect(reply.count <= 1_232 && Array(reply[..<2]) == Array(message[..<2]))
            #expect(Decoded(reply) != nil, "\(message)")
        }
    }
}

@Suite struct SavedImageTests {
    @Test func comesBackTheSame() throws {
        let image = try Example.image()
        let again = try SavedImage.decode(SavedImage.encode(image))
        #expect(again.serial == 42 && again.membershipVersion == 7)
        #expect(again.records == image.records && again.failing == image.failing)
        let query = Packets.query("web.f.test", .a)
        #expect(Packets.ask(again, query) == Packets.ask(image, query))
    }

    @Test func damageIsAFaultNeverATrap() throws {
        let bytes = SavedImage.encode(try Example.image())
        var generator = SeededGenerator(seed: SeededGenerator.announcedSeed("damage"))
        for length in stride(from: 0, to: bytes.count, by: 17) {
            #expect(throws: ZoneFault.self) { try SavedImage.decode(Array(bytes[..<length])) }
        }
        for _ in 0..<200 {
            var damaged = bytes
            damaged[Int.random(in: 0..<bytes.count, using: &generator)] ^= 0x10
            #expect(throws: ZoneFault.self) { try SavedImage.decode(damaged) }
        }
    }

    @Test(
        arguments: [
            (5, 100, 100), (100, 5, 101), (UInt32.max, 3, 3), (3, UInt32.max, 4), (7, 7, 8),
        ] as [(UInt32, UInt32, UInt32)])
    func serialsNeverGoBack(_ last: UInt32, _ time: UInt32, _ next: UInt32) {
        #expect(Serial.next(after: last, unixTime: time) == next)
        #expect(Serial.isNewer(next, than: last))
    }
}

@Suite struct SenderPolicyTests {
    private func policy(_ senders: [IPAddress]) throws -> String {
        let image = try ZoneImage(
            zone: Example.zone(),
            membership: Membership(version: 1, senders: senders, senderOwners: ["@"]), serial: 1)
        let data = try #require(image.records.first { $0.type == .txt && $0.owner == image.apex })
        var text = ""
        var rest = data.data[...]
        while let length = rest.first {
            text += String(decoding: rest.dropFirst().prefix(Int(length)), as: UTF8.self)
            rest = rest.dropFirst(Int(length) + 1)
        }
        return text
    }

    @Test func exactBlocks() throws {
        #expect(try policy([]) == "v=spf1 -all")
        #expect(try policy([.v4(0x0A00_0001)]) == "v=spf1 ip4:10.0.0.1 -all")
        #expect(
            try policy((4...7).map { .v4(0x0A00_0000 + $0) }) == "v=spf1 ip4:10.0.0.4/30 -all")
    }

    @Test func manySendersAreCoveredInOneAnswer() throws {
        var generator = SeededGenerator(seed: SeededGenerator.announcedSeed("senders"))
        let senders = (0..<3_000).map { _ in
            IPAddress.v4(0x0A00_0000 | UInt32.random(in: 0...0xFFFF, using: &generator))
        }
        let text = try policy(senders)
        #expect(text.utf8.count <= 450)
        let blocks = try text.split(separator: " ").dropFirst().dropLast().map { part in
            let pieces = part.dropFirst(4).split(separator: "/")
            guard case .v4(let base) = try #require(IPAddress(String(pieces[0]))) else {
                return (UInt32(0), UInt32(0))
            }
            let length = pieces.count > 1 ? try #require(UInt32(pieces[1])) : 32
            return (base, length == 0 ? 0 : UInt32.max << (32 - length))
        }
        for case .v4(let sender) in senders {
            #expect(blocks.contains { sender & $0.1 == $0.0 })
        }
    }
}
