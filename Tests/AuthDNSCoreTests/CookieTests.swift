import AuthDNSCore
import Farm
import Testing

/// Server cookies: the examples of RFC 9018 appendix A, the rules of time, and what is answered to whom.
@Suite struct CookieTests {
    private static let secret = CookieSecret(hex: "e5e973e5a6b2a43f48e7dc849e37bfcf")
    private static let older = CookieSecret(hex: "dd3bdf9344b678b185a6f5cb60fca715")
    private static let newer = CookieSecret(hex: "445536bcd2513298075a5d379663c962")
    /// When the cookie of example A.1 was made.
    private static let issued: UInt32 = 1_559_731_985
    private static let good = "2464c4abcf10c957010000005cf79f111f8130c3eee29480"

    private static func octets(_ hex: String) -> [UInt8] {
        stride(from: 0, to: hex.count, by: 2).map { start in
            UInt8(hex.dropFirst(start).prefix(2), radix: 16) ?? 0
        }
    }

    /// Asks with a cookie, in hexadecimal.
    private func ask(
        _ cookie: String?, at now: UInt32, from client: String = "198.51.100.100",
        _ cookies: ServerCookies, name: String = "f.test",
        transport: QueryContext.Transport = .udp, isLimited: Bool = false
    ) throws -> (Decoded, Outcome) {
        let options = cookie.map { Packets.option(10, Self.octets($0)) } ?? []
        let context = QueryContext(
            transport: transport, random: 1, client: IPAddress(client),
            unixTime: now, isLimited: isLimited)
        let (bytes, outcome) = Packets.ask(
            try Example.image(), Packets.query(name, .ns, edns: Packets.opt(options: options)),
            context, settings: AnswerSettings(cookies: cookies))
        return (try #require(Decoded(bytes)), outcome)
    }

    @Test(
        arguments: [
            ("198.51.100.100", 1_559_731_985, "2464c4abcf10c957", CookieState.client, good),
            (
                "198.51.100.100", 1_559_734_385, good, .valid,
                "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"
            ),
            // The example's cookie has come of age in the meantime; its reserved octets are hashed.
            (
                "203.0.113.203", 1_559_734_700, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
                .invalid, "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"
            ),
            (
                "203.0.113.203", 1_559_727_985, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
                .valid, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5"
            ),
        ])
    func examplesOfTheStandard(
        _ client: String, _ now: UInt32, _ asked: String, _ state: CookieState, _ replied: String
    ) throws {
        let cookies = ServerCookies(active: try #require(Self.secret))
        let (reply, outcome) = try ask(asked, at: now, from: client, cookies)
        #expect(outcome.cookie == state && reply.code == 0)
        #expect(reply.option(10) == Self.octets(replied))
    }

    @Test func exampleOfASecretThatIsRolledOver() throws {
        let cookies = ServerCookies(
            active: try #require(Self.newer), other: Self.older)
        let (reply, outcome) = try ask(
            "22681ab97d52c298010000005cf7c57926556bd0934c72f8", at: 1_559_741_961,
            from: "2001:db8:220:1:59de:d0f4:8769:82b8", cookies)
        #expect(outcome.cookie == .valid)
        #expect(
            reply.option(10) == Self.octets("22681ab97d52c298010000005cf7c609a6bb79d16625507a"))
    }

    @Test(
        arguments: [
            (0, .valid, true), (1_799, .valid, true), (1_800, .valid, false),
            (3_600, .valid, false), (3_601, .invalid, false), (-300, .valid, true),
            (-301, .invalid, false),
        ] as [(Int, CookieState, Bool)])
    func cookiesAgeAndAreRenewed(_ age: Int, _ state: CookieState, _ isEchoed: Bool) throws {
        let cookies = ServerCookies(active: try #require(Self.secret))
        let (reply, outcome) = try ask(
            Self.good, at: UInt32(Int(Self.issued) + age), cookies)
        #expect(outcome.cookie == state)
        #expect((reply.option(10) == Self.octets(Self.good)) == isEchoed)
    }

    @Test func timestampsWrapAround() throws {
        let cookies = ServerCookies(active: try #require(Self.secret))
        let made = try ask("2464c4abcf10c957", at: 0xFFFF_FF00, cookies).0.option(10)
        let hex = try #require(made).map { String(UInt16($0) + 256, radix: 16).dropFirst() }
        let (_, outcome) = try ask(hex.joined(), at: 0x100, cookies)
        #expect(outcome.cookie == .valid)
    }

    @Test(arguments: [0, 8, 12, 15, 23]) func aForgedOctetIsNoticed(_ at: Int) throws {
        let cookies = ServerCookies(active: try #require(Self.secret))
        var hex = Array(Self.good)
        hex[at * 2 + 1] = hex[at * 2 + 1] == "0" ? "1" : "0"
        #expect(try ask(String(hex), at: Self.issued, cookies).1.cookie == .invalid)
        let (reply, outcome) = try ask(
            Self.good, at: Self.issued, from: "198.51.100.101", cookies)
        #expect(outcome.cookie == .invalid && reply.code == 0, "answered all the same")
    }

    @Test(arguments: [0, 1, 7, 9, 15, 41]) func wrongLengthsAreMalformed(_ count: Int) throws {
        let cookies = ServerCookies(active: try #require(Self.secret))
        let hex = String(repeating: "01", count: count)
        #expect(try ask(hex, at: Self.issued, cookies).0.code == 1)
    }

    @Test func withoutCookiesTheOptionIsUnknown() throws {
        let query = Packets.query(
            "f.test", .ns, edns: Packets.opt(options: Packets.option(10, [1])))
        let reply = try #require(Decoded(Packets.ask(try Example.image(), query)))
        #expect(reply.code == 0 && reply.option(10) == nil)
    }

    @Test func whoMustShowACookieIsToldOne() throws {
        let cookies = ServerCookies(active: try #require(Self.secret), isRequired: true)
        let (first, _) = try ask("2464c4abcf10c957", at: Self.issued, cookies)
        #expect(first.code == 23 && first.answers.isEmpty)
        #expect(first.option(10) == Self.octets(Self.good))
        #expect(try ask(Self.good, at: Self.issued, cookies).0.code == 0)
        #expect(
            try ask("2464c4abcf10c957", at: Self.issued, cookies, transport: .tcp).0.code == 0)
        #expect(try ask(nil, at: Self.issued, cookies).0.code == 0, "knows no cookies")
    }

    @Test func whoAsksTooMuchMustProveItsAddress() throws {
        let cookies = ServerCookies(active: try #require(Self.secret))
        let (bare, _) = try ask(nil, at: Self.issued, cookies, isLimited: true)
        #expect(bare.isTruncated && bare.answers.isEmpty && bare.code == 0)
        let (client, _) = try ask("2464c4abcf10c957", at: Self.issued, cookies, isLimited: true)
        #expect(client.code == 23 && !client.isTruncated)
        let (known, _) = try ask(Self.good, at: Self.issued, cookies, isLimited: true)
        #expect(known.code == 0 && known.answers.count == 1)
    }

    @Test func aCookieMayBeRenewedWithoutAQuestion() throws {
        let cookies = ServerCookies(active: try #require(Self.secret))
        func renew(_ hex: String) throws -> Decoded {
            var query: [UInt8] = [0xBE, 0xEF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
            query += Packets.opt(options: Packets.option(10, Self.octets(hex)))
            let (bytes, _) = Packets.ask(
                try Example.image(), query,
                QueryContext(
                    transport: .udp, random: 1, client: IPAddress("198.51.100.100"),
                    unixTime: Self.issued), settings: AnswerSettings(cookies: cookies))
            return try #require(Decoded(bytes))
        }
        #expect(try renew("2464c4abcf10c957").code == 0)
        #expect(try renew("2464c4abcf10c957").option(10) == Self.octets(Self.good))
        #expect(try renew(Self.good).code == 0)
        let forged = try renew(String(Self.good.dropLast()) + "1")
        #expect(forged.code == 23 && forged.option(10) == Self.octets(Self.good))
        #expect(try renew("2464c4abcf").code == 1)
    }

    @Test(arguments: ["", "e5e973e5a6b2a43f48e7dc849e37bfc", "g5e973e5a6b2a43f48e7dc849e37bfcf"])
    func secretsHaveTheirForm(_ hex: String) {
        #expect(CookieSecret(hex: hex) == nil)
    }
}
