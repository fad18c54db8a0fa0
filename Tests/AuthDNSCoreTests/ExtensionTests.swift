import AuthDNSCore
import Farm
import TestSupport
import Testing

/// EDNS as RFC 6891 wants it, and the options that this server answers.
@Suite struct ExtensionTests {
    private static let named = AnswerSettings(
        identity: Array("ns-a".utf8), version: Array("smurf 1".utf8), keepalive: 200)

    private func reply(
        _ edns: [UInt8]?, name: String = "f.test", type: RecordType = .ns,
        recordClass: UInt16 = 1, settings: AnswerSettings = named,
        transport: QueryContext.Transport = .udp
    ) throws -> Decoded {
        let query = Packets.query(name, type, recordClass: recordClass, edns: edns)
        let (bytes, outcome) = Packets.ask(
            try Example.image(), query, QueryContext(transport: transport, random: 1),
            settings: settings)
        let decoded = try #require(Decoded(bytes))
        #expect(decoded.code == Int(outcome.code))
        return decoded
    }

    @Test func anOptComesBackExactlyWhenAsked() throws {
        #expect(try reply(nil).opt == nil)
        let decoded = try reply(Packets.opt(dnssec: true))
        #expect(decoded.opt?.ttl == 0x8000 && decoded.opt?.data == [] && decoded.optClass == 1232)
    }

    @Test func unknownOptionsAndFlagsAreIgnored() throws {
        var edns = Packets.opt(options: Packets.option(65_001, [7]) + Packets.option(0))
        edns[7] = 0x7F
        edns[8] = 0xFF
        let decoded = try reply(edns)
        #expect(decoded.code == 0 && decoded.answers.count == 1)
        #expect(decoded.opt?.ttl == 0 && decoded.opt?.data == [])
    }

    @Test(arguments: [1, 2, 255] as [UInt8]) func otherVersionsGetOurs(_ version: UInt8) throws {
        // What stands in the data of another version is not looked at.
        let decoded = try reply(
            Packets.opt(version: version, dnssec: true, options: [0, 3, 0xFF, 0xFF]))
        #expect(decoded.code == 16 && decoded.answers.isEmpty && decoded.opt?.data == [])
        #expect(decoded.opt?.ttl == 0x0100_8000, "version 0 in the reply")
    }

    @Test func twoOptsAreMalformed() throws {
        var query = Packets.query("f.test", .ns, edns: Packets.opt() + Packets.opt())
        query[11] = 2
        let image = try Example.image()
        #expect(try #require(Decoded(Packets.ask(image, query))).code == 1)
        var misplaced = Packets.query("f.test", .ns)
        misplaced.swapAt(9, 11)
        #expect(try #require(Decoded(Packets.ask(image, misplaced))).code == 1)
    }

    @Test func optionsBeyondTheirRecordAreMalformed() throws {
        #expect(try reply(Packets.opt(options: [0, 3, 0, 1])).code == 1)
        #expect(try reply(Packets.opt(options: [0, 3, 0])).code == 1)
    }

    @Test func identityIsToldWhenAskedAndNotHidden() throws {
        let asks = Packets.opt(options: Packets.option(3))
        #expect(try reply(asks).option(3) == Array("ns-a".utf8))
        #expect(try reply(Packets.opt()).option(3) == nil)
        #expect(try reply(asks, settings: AnswerSettings()).option(3) == nil)
        let refused = try reply(asks, name: "example.org")
        #expect(refused.code == 5 && refused.option(3) != nil)
    }

    @Test func zoneVersionIsTheSerialOfTheAnswer() throws {
        let asks = Packets.opt(options: Packets.option(19, [1, 2, 3]))
        for name in ["f.test", "nothing.f.test", "x.sub.f.test", "web.f.test"] {
            #expect(try reply(asks, name: name, type: .a).option(19) == [2, 0, 0, 0, 0, 42])
        }
        #expect(try reply(asks, name: "example.org").option(19) == nil)
        #expect(try reply(Packets.opt()).option(19) == nil)
    }

    /// RFC 7830: over TLS and when the query has the option, and only then; RFC 8467: in blocks of 468.
    @Test func repliesAreFilledUpOverTLSAlone() throws {
        let asks = Packets.opt(options: Packets.option(12, [0, 0, 0, 0]))
        func lengths(_ edns: [UInt8]?, isEncrypted: Bool) throws -> [(
            whole: Int, padding: [UInt8]?
        )] {
            try [("f.test", RecordType.ns), ("nope.f.test", .a), ("smtp-out.f.test", .a)].map {
                let (bytes, _) = Packets.ask(
                    try Example.image(90), Packets.query($0, $1, edns: edns),
                    QueryContext(transport: .tcp, random: 1, isEncrypted: isEncrypted),
                    settings: Self.named)
                return (bytes.count, try #require(Decoded(bytes)).option(12))
            }
        }
        let padded = try lengths(asks, isEncrypted: true)
        #expect(padded.allSatisfy { $0.whole % 468 == 0 }, "\(padded)")
        #expect(padded.allSatisfy { $0.padding?.allSatisfy { $0 == 0 } == true })
        #expect(Set(padded.map(\.whole)).count == 2, "small ones look alike")
        for bare in try lengths(asks, isEncrypted: false)
            + lengths(Packets.opt(), isEncrypted: true)
        {
            #expect(bare.padding == nil)
        }
        for (bare, padded) in zip(try lengths(Packets.opt(), isEncrypted: true), padded) {
            #expect((0..<472).contains(padded.whole - bare.whole))
        }
    }

    @Test func keepaliveIsForConnectionsOnly() throws {
        let asks = Packets.opt(options: Packets.option(11))
        #expect(try reply(asks, transport: .tcp).option(11) == [0, 200])
        #expect(try reply(asks).option(11) == nil)
        #expect(try reply(Packets.opt(), transport: .tcp).option(11) == nil)
    }

    @Test(
        arguments: [
            ("example.org", .a, 5, 20), ("f.test", .axfr, 5, 18), ("web.f.test", .a, 2, 14),
            ("f.test", RecordType(rawValue: 250), 4, 21),
        ] as [(String, RecordType, Int, UInt8)])
    func errorsSayWhy(_ name: String, _ type: RecordType, _ code: Int, _ info: UInt8) throws {
        let decoded = try reply(Packets.opt(), name: name, type: type)
        #expect(decoded.code == code && decoded.option(15) == [0, info])
        #expect(try reply(nil, name: name, type: type).code == code)
    }

    @Test func aReplyThatIsFullGoesWithoutItsReason() throws {
        // 512 octets are asked for, a long name takes half, NSID most of the rest.
        let label = String(repeating: "x", count: 63)
        let name = "\(label).\(label).\(label).example.org"
        let long = AnswerSettings(identity: [UInt8](repeating: 0x61, count: 64))
        let decoded = try reply(
            Packets.opt(size: 512, options: Packets.option(3)), name: name, settings: long)
        #expect(decoded.option(15) == [0, 20] && decoded.option(3)?.count == 64)
    }

    @Test func theServersOwnNames() throws {
        func text(_ name: String, _ settings: AnswerSettings = Self.named) throws -> [UInt8]? {
            let decoded = try reply(
                nil, name: name, type: .txt, recordClass: 3, settings: settings)
            #expect(decoded.code == (decoded.answers.isEmpty ? 5 : 0))
            return decoded.answers.first?.data
        }
        let version = [7] + Array("smurf 1".utf8)
        let identity = [4] + Array("ns-a".utf8)
        #expect(try text("version.bind") == version && text("VERSION.server") == version)
        #expect(try text("id.server") == identity && text("hostname.BIND") == identity)
        #expect(try text("authors.bind") == nil && text("f.test") == nil)
        for name in ["version.bind", "id.server"] {
            #expect(try text(name, AnswerSettings()) == nil, "hidden")
        }
        let other = try reply(nil, name: "id.server", type: .a, recordClass: 3)
        #expect(other.code == 0 && other.answers.isEmpty)
    }

    @Test func everyOptionTogetherStaysWithinTheLimit() throws {
        let image = try Example.image(90)
        let cookies = ServerCookies(active: CookieSecret(1, 2))
        let settings = AnswerSettings(
            identity: [UInt8](repeating: 0x61, count: 64), cookies: cookies, keepalive: 1)
        let options =
            [3, 19, 11].flatMap { Packets.option($0) }
            + Packets.option(10, [1, 2, 3, 4, 5, 6, 7, 8])
        for count in 1...90 {
            let image = count == 90 ? image : try Example.image(count)
            for size in [512, 700, 1232, 4096] as [UInt16] {
                let query = Packets.query(
                    "smtp-out.f.test", .a, edns: Packets.opt(size: size, options: options))
                let (bytes, _) = Packets.ask(
                    image, query,
                    QueryContext(transport: .udp, random: 5, client: .v4(1), unixTime: 9),
                    settings: settings)
                #expect(bytes.count <= min(Int(size), 1232))
                let decoded = try #require(Decoded(bytes))
                #expect(decoded.options.map(\.code) == [3, 10, 19])
                #expect(
                    decoded.isTruncated ? decoded.answers.isEmpty : decoded.answers.count == count)
            }
        }
    }
}
