import Testing

@testable import AuthDNSCore

/// Signed exchanges. `dig`, NSD, Knot and BIND judge them from outside; here is what they do not try.
@Suite struct TSIGTests {
    static func key(_ algorithm: TSIGKey.Algorithm = .sha256) -> TSIGKey? {
        DomainName("xfr.example").flatMap {
            TSIGKey(name: $0, algorithm: algorithm, secret: Array("0123456789abcdef".utf8))
        }
    }

    private func signed(_ key: TSIGKey, at time: UInt64 = 1000) -> ([UInt8], TSIGExchange) {
        var exchange = TSIGExchange(key)
        var query = TransferTests.query(.soa)
        exchange.sign(&query, unixTime: time)
        return (query, exchange)
    }

    /// The code in the TSIG record of a refusal, and the header's.
    private func faults(_ verdict: TSIGExchange.Verdict) -> (UInt16, UInt8)? {
        guard case .refused(let reply) = verdict,
            case .found(_, let record) = TSIGRecord.find(in: reply)
        else { return nil }
        return (record.fault, reply[3])
    }

    @Test(arguments: TSIGKey.Algorithm.allCases)
    func bothSidesAgree(algorithm: TSIGKey.Algorithm) throws {
        let key = try #require(Self.key(algorithm))
        let (query, asked) = signed(key)
        var client = asked
        guard
            case .good(let bare, var server) = TSIGExchange.judge(
                query, keys: [key], unixTime: 1100)
        else {
            Issue.record("not taken")
            return
        }
        #expect(bare == TransferTests.query(.soa))
        for number in 0..<3 as Range<UInt8> {
            let message = [0, 77, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0] as [UInt8]
            var reply = message
            server.sign(&reply, unixTime: 1100)
            #expect(reply.count == message.count + server.overhead)
            // Once out of order is enough.
            if number == 1 {
                var changed = reply
                changed[1] ^= 1
                var copy = client
                let near = copy.verify(changed, unixTime: 1101)
                #expect(near != nil, "the id alone may change")
                changed[3] ^= 1
                copy = client
                let refused = copy.verify(changed, unixTime: 1101)
                #expect(refused == nil)
            }
            let said = client.verify(reply, unixTime: 1101)
            #expect(said == message)
        }
    }

    /// The MAC of one query by Python's own hmac, made apart from this code.
    @Test func theCodeIsThatOfTheStandard() throws {
        let key = try #require(Self.key())
        let (query, _) = signed(key, at: 0x1234_5678)
        guard case .found(_, let record) = TSIGRecord.find(in: query) else {
            Issue.record("no record")
            return
        }
        let hex = record.code.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
            .joined()
        #expect(hex == TSIGTests.expected)
    }

    static let expected = "c431c0d36898fac53c4ebeddd7770889f10321d2a1028f219394d7dc01993836"

    @Test func refusesWithTheRightFault() throws {
        let key = try #require(Self.key())
        let (query, _) = signed(key)
        #expect(faults(TSIGExchange.judge(query, keys: [], unixTime: 1000))! == (17, 9))
        let other = try #require(Self.key(.sha512))
        #expect(faults(TSIGExchange.judge(query, keys: [other], unixTime: 1000))! == (17, 9))
        for at in [2, 5, 14, query.count - 10] {
            var changed = query
            changed[at] ^= 1
            if case .good = TSIGExchange.judge(changed, keys: [key], unixTime: 1000) {
                Issue.record("octet \(at) does not matter")
            }
        }
        var forged = query
        forged[13] ^= 0x01
        #expect(faults(TSIGExchange.judge(forged, keys: [key], unixTime: 1000))! == (16, 9))
        for time in [1301, 699, 0, UInt64.max] as [UInt64] {
            let verdict = TSIGExchange.judge(query, keys: [key], unixTime: time)
            #expect(faults(verdict)! == (18, 9))
        }
        for time in [1300, 700] as [UInt64] {
            guard case .good = TSIGExchange.judge(query, keys: [key], unixTime: time) else {
                Issue.record("\(time) is near enough")
                continue
            }
        }
    }

    @Test func theSignatureMustComeLastAndOnce() throws {
        let key = try #require(Self.key())
        let (query, _) = signed(key)
        var twice = query
        var exchange = TSIGExchange(key)
        exchange.sign(&twice, unixTime: 1000)
        guard case .malformed = TSIGExchange.judge(twice, keys: [key], unixTime: 1000) else {
            Issue.record("two were taken")
            return
        }
        var behind = query + OptRecord.plain
        behind[11] = 2
        guard case .malformed = TSIGExchange.judge(behind, keys: [key], unixTime: 1000) else {
            Issue.record("one before OPT was taken")
            return
        }
    }
}

/// Secondaries are told at once, again until they answer, and of what is newest.
@Suite struct NotifyScheduleTests {
    @Test func tellsUntilAnsweredAndGivesUp() {
        var schedule = NotifySchedule(count: 2)
        var id: UInt16 = 0
        func next() -> UInt16 {
            id += 1
            return id
        }
        #expect(schedule.due(now: 0, newID: next).isEmpty && schedule.nextAt == nil)
        schedule.changed(to: 5, now: 100)
        #expect(schedule.due(now: 100, newID: next).map(\.target) == [0, 1])
        #expect(schedule.due(now: 101, newID: next).isEmpty)
        schedule.answered(target: 0, id: 1, now: 110)
        #expect(schedule.waiting == 1)
        // A forged answer, and one to an older message, count for nothing.
        schedule.answered(target: 1, id: 999, now: 110)
        #expect(schedule.due(now: 600, newID: next).map(\.target) == [1])
        schedule.answered(target: 1, id: 2, now: 610)
        #expect(schedule.waiting == 1)
        // A change meanwhile: told again as soon as the answer is there, and only then.
        schedule.changed(to: 6, now: 620)
        #expect(schedule.due(now: 620, newID: next).map(\.target) == [0])
        schedule.answered(target: 1, id: 3, now: 630)
        #expect(schedule.due(now: 630, newID: next).map(\.target) == [1])
        var now = 700
        var tries = 0
        while let at = schedule.nextAt, tries < 100 {
            now = max(now, at)
            tries += schedule.due(now: now, newID: next).count
        }
        #expect(tries == 18 && schedule.waiting == 0)
    }
}
