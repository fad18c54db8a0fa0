import AuthDNSCore
import Farm
import Testing

/// How answers are found: cuts with their glue, wildcards, aliases. The zone of each is its own.
@Suite struct LookupTests {
    private func address(_ owner: String, _ last: UInt8, count: Int = 1) throws -> [ResourceRecord]
    {
        try (0..<count).map { try Example.record(owner, .a, [192, 0, UInt8($0), last]) }
    }

    private func ask(
        _ extra: [ResourceRecord], _ name: String, _ type: RecordType = .a, size: UInt16? = 1232
    ) throws -> Decoded {
        let image = try ZoneImage(zone: Example.zone(extra: extra), membership: nil, serial: 1)
        let query = Packets.query(name, type, edns: size.map { Packets.opt(size: $0) })
        return try #require(Decoded(Packets.ask(image, query)))
    }

    private func delegation(glue: Int) throws -> [ResourceRecord] {
        try [
            Example.record("c.f.test", .ns, Example.wire("ns1.c.f.test")),
            Example.record("c.f.test", .ns, Example.wire("ns.d.f.test")),
            Example.record("c.f.test", .ns, Example.wire("ns.elsewhere.test")),
            Example.record("d.f.test", .ns, Example.wire("ns.d.f.test")),
            Example.record("d.f.test", .ds, [0, 1, 13, 2] + [UInt8](repeating: 7, count: 32)),
        ] + address("ns1.c.f.test", 1, count: glue) + address("ns.d.f.test", 2, count: glue)
    }

    @Test(arguments: ["c.f.test", "x.c.f.test", "ns1.c.f.test", "a.b.X.c.F.test"])
    func belowACutOneIsReferred(_ name: String) throws {
        let reply = try ask(delegation(glue: 1), name)
        #expect(reply.code == 0 && !reply.isAuthoritative && reply.answers.isEmpty)
        #expect(reply.sections[1].map(\.type) == [2, 2, 2])
        #expect(Set(reply.sections[1].map { $0.owner.lowercased() }) == ["c.f.test"])
        // In-domain glue first, then that of the sibling (RFC 9471).
        #expect(reply.sections[2].map { $0.owner.lowercased() } == ["ns1.c.f.test", "ns.d.f.test"])
    }

    @Test func theParentAnswersForDelegationSigners() throws {
        let signed = try ask(delegation(glue: 1), "d.f.test", .ds)
        #expect(signed.isAuthoritative && signed.answers.map(\.type) == [43])
        let unsigned = try ask(delegation(glue: 1), "c.f.test", .ds)
        #expect(unsigned.isAuthoritative && unsigned.sections[1].map(\.type) == [6])
        #expect(try !ask(delegation(glue: 1), "x.d.f.test", .ds).isAuthoritative)
    }

    @Test func glueOfSiblingsMayBeMissingAndGlueInDomainMayNot() throws {
        // 12 addresses of each fit 512 octets alone, 24 do not.
        let whole = try ask(delegation(glue: 10), "c.f.test", size: 1232)
        #expect(!whole.isTruncated && whole.sections[2].count == 20)
        let lean = try ask(delegation(glue: 12), "c.f.test", size: 512)
        #expect(!lean.isTruncated)
        #expect(lean.sections[2].map(\.owner) == Array(repeating: "ns1.c.f.test", count: 12))
        let cut = try ask(delegation(glue: 24), "c.f.test", size: 512)
        #expect(cut.isTruncated && cut.sections.allSatisfy(\.isEmpty))
    }

    @Test func aTargetBeyondACutComesWithAReferral() throws {
        let alias = try Example.record("go.f.test", .cname, Example.wire("www.c.f.test"))
        let reply = try ask(delegation(glue: 1) + [alias], "go.f.test")
        #expect(reply.isAuthoritative && reply.answers.map(\.type) == [5])
        #expect(Set(reply.sections[1].map(\.owner)) == ["c.f.test"])
        #expect(reply.sections[1].allSatisfy { $0.type == 2 } && reply.sections[2].count == 2)
    }

    /// The zone of RFC 4592 §2.2.1, under another apex; and its questions.
    @Test(
        arguments: [
            ("host3.f.test", .mx, 0, 1), ("host3.f.test", .a, 0, 0),
            ("foo.bar.f.test", .txt, 0, 1), ("host1.f.test", .mx, 0, 0),
            ("sub.*.f.test", .mx, 0, 0), ("_telnet._tcp.host1.f.test", .srv, 3, 0),
            ("host.subdel.f.test", .a, 0, 0), ("ghost.*.f.test", .mx, 3, 0),
            ("*.f.test", .mx, 0, 1), ("sub.*.f.test", .txt, 0, 1),
            ("_tcp.host1.f.test", .a, 0, 0), ("x._ssh._tcp.host1.f.test", .mx, 3, 0),
        ] as [(String, RecordType, Int, Int)])
    func wildcardsOfTheStandard(
        _ name: String, _ type: RecordType, _ code: Int, _ answers: Int
    ) throws {
        let reply = try ask(
            [
                Example.record("*.f.test", .txt, [1, 0x77]),
                Example.record("*.f.test", .mx, [0, 10] + Example.wire("host1.f.test")),
                Example.record("sub.*.f.test", .txt, [1, 0x73]),
                Example.record("host1.f.test", .a, [192, 0, 2, 1]),
                Example.record("_ssh._tcp.host1.f.test", .srv, [0, 0, 0, 0, 0, 22, 0]),
                Example.record("subdel.f.test", .ns, Example.wire("ns.example.com")),
            ], name, type)
        #expect(reply.code == code && reply.answers.count == answers)
        #expect(reply.answers.allSatisfy { $0.owner == name }, "synthesised for the question")
        let isReferral = name.hasSuffix("subdel.f.test")
        #expect(reply.isAuthoritative == !isReferral)
        if answers == 0 { #expect(reply.sections[1].first?.type == (isReferral ? 2 : 6)) }
    }

    @Test func aWildcardWithoutRecordsIsNodata() throws {
        let below = try [Example.record("x.*.e.f.test", .txt, [1, 0x77])]
        #expect(try ask(below, "any.e.f.test").code == 0)
        #expect(try ask(below, "any.other.e.f.test", .txt).code == 0)
        #expect(try ask(below, "f.any.f.test", .txt).code == 3)
    }

    @Test func wildcardAliasesLeadOnAndNeverRound() throws {
        let records = try [
            Example.record("*.w.f.test", .cname, Example.wire("ns1.f.test")),
            Example.record("*.o.f.test", .cname, Example.wire("x.o.f.test")),
        ]
        let on = try ask(records, "any.w.f.test")
        #expect(on.answers.map(\.owner) == ["any.w.f.test", "ns1.f.test"])
        let round = try ask(records, "any.o.f.test")
        #expect(round.answers.map(\.owner) == ["any.o.f.test"] && round.code == 0)
    }

    @Test(arguments: [1, 7, 8, 9, 20]) func aliasesAreFollowedSoFar(_ length: Int) throws {
        let chain = try (0..<length).map {
            try Example.record(
                "c\($0).f.test", .cname,
                Example.wire($0 + 1 == length ? "ns1.f.test" : "c\($0 + 1).f.test"))
        }
        let reply = try ask(chain, "c0.f.test")
        #expect(reply.code == 0 && reply.isAuthoritative)
        #expect(reply.answers.filter { $0.type == 5 }.count == min(length, 8))
        #expect(reply.answers.filter { $0.type == 1 }.count == (length <= 8 ? 1 : 0))
        #expect(reply.answers.map(\.owner).prefix(2).first == "c0.f.test")
    }

    @Test func anAliasOfItselfIsAnsweredOnce() throws {
        let own = try Example.record("me.f.test", .cname, Example.wire("me.f.test"))
        #expect(try ask([own], "me.f.test").answers.count == 1)
    }

    @Test func anAliasOfAnEmptyRoleIsAFailure() throws {
        let alias = try Example.record("shop.f.test", .cname, Example.wire("web.f.test"))
        let image = try ZoneImage(
            zone: Example.zone(extra: [alias]), membership: Example.membership(2), serial: 1)
        let reply = try #require(
            Decoded(Packets.ask(image, Packets.query("shop.f.test", .a))))
        #expect(reply.code == 2 && reply.answers.isEmpty && reply.option(15) == [0, 14])
    }

    @Test func dataOfUnknownTypesIsLeftAlone() throws {
        // A name within data that is not known is neither compressed nor lower-cased (RFC 3597 §4, §7).
        let data: [UInt8] = [1, 0x46, 4, 0x54, 0x65, 0x73, 0x74, 0]
        for type in [64, 65, 731, 65_280] {
            let record = try Example.record("t.f.test", RecordType(rawValue: UInt16(type)), data)
            let reply = try ask([record], "t.f.test", record.type)
            #expect(reply.answers.map(\.data) == [data])
        }
    }
}
