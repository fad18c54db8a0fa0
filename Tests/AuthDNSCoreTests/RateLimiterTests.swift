import AuthDNSCore
import Farm
import TestSupport
import Testing

/// The accounts of rate limiting, with a clock of the test's own.
@Suite struct RateLimiterTests {
    private func outcome(
        _ kind: Outcome.Kind = .answer, subject: UInt32 = 1, cookie: CookieState = .none
    ) -> Outcome {
        var outcome = Outcome()
        outcome.length = 100
        outcome.kind = kind
        outcome.subject = subject
        outcome.cookie = cookie
        return outcome
    }

    private func limit(_ rate: Int = 10, slip: Int = 2, window: Int = 5) -> RateLimit {
        var limit = RateLimit()
        limit.responsesPerSecond = rate
        limit.slip = slip
        limit.window = window
        return limit
    }

    private let attacked = IPAddress.v4(0xC000_0201)

    @Test func aBurstOfASecondThenTheRate() {
        var limiter = RateLimiter(limit(), seed: 7)
        var sent = 0
        for step in 0..<1_000 {
            // A hundred queries a second for ten seconds.
            let verdict = limiter.judge(outcome(), to: attacked, now: UInt32(step * 10))
            if verdict == .send { sent += 1 }
        }
        // Debts grow to the window's end, so that who never stops gets the burst alone.
        #expect((10...11).contains(sent), "\(sent)")
        let silent = UInt32(10_000 + 4_800)
        #expect(limiter.judge(outcome(), to: attacked, now: silent) != .send)
        #expect(limiter.judge(outcome(), to: attacked, now: silent + 5_000) == .send)
    }

    @Test func whoStaysBelowTheRateIsNeverLimited() {
        var limiter = RateLimiter(limit(), seed: 7)
        for step in 0..<1_000 {
            let now = UInt32.max - 50_000 &+ UInt32(step * 101)
            #expect(limiter.judge(outcome(), to: attacked, now: now) == .send)
        }
    }

    @Test(arguments: [(0, 0, 90), (1, 90, 0), (2, 45, 45), (3, 30, 60)])
    func everySoManiethSlips(_ slip: Int, _ truncated: Int, _ dropped: Int) {
        var limiter = RateLimiter(limit(slip: slip), seed: 7)
        var verdicts: [RateLimiter.Verdict: Int] = [:]
        for _ in 0..<100 {
            verdicts[limiter.judge(outcome(), to: attacked, now: 0), default: 0] += 1
        }
        #expect(verdicts[.send] == 10)
        #expect((verdicts[.truncate] ?? 0, verdicts[.drop] ?? 0) == (truncated, dropped))
    }

    @Test func blocksAreOfTheirPrefixAndKinds() {
        var limiter = RateLimiter(limit(1), seed: 7)
        func sends(_ client: IPAddress, _ outcome: Outcome) -> Bool {
            limiter.judge(outcome, to: client, now: 0) == .send
        }
        #expect(sends(.v4(0xC000_0201), outcome()) && !sends(.v4(0xC000_02FE), outcome()))
        #expect(sends(.v4(0xC000_0301), outcome()), "the next /24")
        #expect(sends(.v6(high: 0x2001_0DB8_0000_0100, low: 1), outcome()))
        #expect(!sends(.v6(high: 0x2001_0DB8_0000_01FF, low: 9), outcome()), "the same /56")
        #expect(sends(.v6(high: 0x2001_0DB8_0000_0200, low: 1), outcome()))
        #expect(sends(.v4(0xC000_0201), outcome(subject: 2)), "another name")
        #expect(sends(.v4(0xC000_0201), outcome(.nameError)))
        #expect(!sends(.v4(0xC000_0202), outcome(.nameError)))
        #expect(sends(.v4(0xC000_0201), outcome(.error)))
    }

    @Test func whoHasProvedItsAddressIsNeverLimited() throws {
        var rules = limit(1)
        rules.exempt += [
            try #require(Network("198.51.100.0/24")), try #require(Network("2001:db8:1::/72")),
        ]
        var limiter = RateLimiter(rules, seed: 7)
        for _ in 0..<50 {
            #expect(limiter.judge(outcome(cookie: .valid), to: attacked, now: 0) == .send)
            for text in ["127.0.0.9", "::1", "198.51.100.77", "2001:db8:1::9"] {
                let client = try #require(IPAddress(text))
                #expect(limiter.judge(outcome(), to: client, now: 0) == .send)
            }
        }
        for text in ["198.51.101.1", "2001:db8:1:0:100::", "::2"] {
            let client = try #require(IPAddress(text))
            #expect(limiter.judge(outcome(), to: client, now: 0) == .send)
            #expect(limiter.judge(outcome(), to: client, now: 0) != .send)
        }
    }

    /// With more networks than accounts nobody honest suffers, and the greatest debtor is kept.
    @Test func aFullTableKeepsItsDebtors() {
        var rules = limit()
        rules.accounts = 64
        var limiter = RateLimiter(rules, seed: SeededGenerator.announcedSeed("full table"))
        var generator = SeededGenerator(seed: 3)
        var sentToDebtor = 0
        for step in 0..<20_000 {
            let now = UInt32(step / 20)
            let stranger = IPAddress.v4(UInt32.random(in: 1 << 24...UInt32.max, using: &generator))
            _ = limiter.judge(outcome(), to: stranger, now: now)
            if limiter.judge(outcome(), to: attacked, now: now) == .send { sentToDebtor += 1 }
        }
        #expect(sentToDebtor < 500, "\(sentToDebtor) of 20,000 in a second")
    }

    /// Rates and windows beyond all measure neither trap nor limit the wrong way.
    @Test(arguments: [(Int.max, Int.max), (0, 0), (-1, -1), (100_000, 3_600)])
    func extremeSettings(_ rate: Int, _ window: Int) {
        var limiter = RateLimiter(limit(rate, slip: -5, window: window), seed: 0)
        #expect(limiter.judge(outcome(), to: attacked, now: 0) == .send)
        for step in 0..<300_000 {
            _ = limiter.judge(outcome(), to: attacked, now: UInt32(truncatingIfNeeded: step << 16))
        }
    }
}
