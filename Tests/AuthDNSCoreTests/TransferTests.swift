import Farm
import TestSupport
import Testing

@testable import AuthDNSCore

/// Transfers, judged by a reader of its own: whatever version a secondary has, what it is sent must lead it to the
/// version that is served.
@Suite struct TransferTests {
    static let apex = DomainName("smurf.example.test") ?? .root

    static func soa(_ serial: UInt32) -> ResourceRecord {
        let names = (DomainName("ns1.smurf.example.test") ?? .root).wire + [0]
        var data = names
        for value in [serial, 60, 15, 604_800, 5] { data.append(UInt64(value), octets: 4) }
        return ResourceRecord(owner: apex, type: .soa, ttl: 3600, data: data)
    }

    static func image(_ serial: UInt32, _ members: [Int]) throws -> ZoneImage {
        let ns = ResourceRecord(
            owner: apex, type: .ns, ttl: 3600,
            data: (DomainName("ns1.smurf.example.test") ?? .root).wire)
        let addresses = members.map {
            ResourceRecord.address(
                DomainName("web\($0 % 50).smurf.example.test") ?? .root,
                .v4(0x7F00_0000 + UInt32($0)),
                ttl: 60)
        }
        return try ZoneImage(
            apex: apex, serial: serial, version: 1, records: [soa(serial), ns] + addresses)
    }

    static func query(_ type: RecordType, serial: UInt32? = nil, id: UInt16 = 77) -> [UInt8] {
        var query: [UInt8] = [
            UInt8(id >> 8), UInt8(id & 255), 0, 0, 0, 1, 0, 0, 0, serial == nil ? 0 : 1, 0, 0,
        ]
        query += apex.wire
        query.append(UInt64(type.rawValue), octets: 2)
        query.append(1, octets: 2)
        guard let serial else { return query }
        let record = soa(serial)
        query += record.owner.wire
        query.append(6, octets: 2)
        query.append(1, octets: 2)
        query.append(0, octets: 4)
        query.append(UInt64(record.data.count), octets: 2)
        return query + record.data
    }

    static func responder(
        _ image: ZoneImage, _ history: ZoneHistory = ZoneHistory(), key: TSIGKey? = nil
    ) throws -> PeerResponder {
        let network = try #require(Network("127.0.0.0/8"))
        return PeerResponder(
            peers: TransferPeers(
                peers: [.init(network: network, key: key?.name)], keys: key.map { [$0] } ?? []),
            image: image, history: history, settings: AnswerSettings())
    }

    static func context(
        _ transport: QueryContext.Transport = .tcp, from client: IPAddress = .v4(0x7F00_0001)
    ) -> QueryContext {
        QueryContext(transport: transport, random: 1, client: client, unixTime: 5)
    }

    /// All records of a stream, in order.
    static func records(_ stream: TransferStream) throws -> [ResourceRecord] {
        var stream = stream
        var records: [ResourceRecord] = []
        while let message = stream.message(unixTime: 5) {
            var reader = MessageReader(message)
            let found = reader.counts()
            let counts = try #require(found)
            #expect(message.count <= 65_535 && counts[0] == 1 && message[2] & 0x84 == 0x84)
            let isSkipped = reader.skipQuestions(1)
            #expect(isSkipped)
            for _ in 0..<counts[1] {
                var fixed = reader
                _ = fixed.name()
                _ = fixed.octets(4)
                let (seconds, next) = (fixed.number(4), reader.record())
                let (ttl, record) = (try #require(seconds), try #require(next))
                records.append(
                    ResourceRecord(
                        owner: record.owner, type: RecordType(rawValue: record.type),
                        ttl: UInt32(ttl), data: Array(message[record.data])))
            }
        }
        return records
    }

    /// What a secondary makes of an answer (RFC 1995 §4): its zone afterwards.
    static func taken(
        _ answer: [ResourceRecord], by zone: Set<ResourceRecord>, serial: UInt32
    ) throws -> (Set<ResourceRecord>, UInt32) {
        func number(_ record: ResourceRecord) throws -> UInt32 {
            try #require(SOAData(record.data)).serial
        }
        let newest = try number(try #require(answer.first))
        if answer.count == 1 { return (zone, serial) }
        #expect(answer.last == answer.first)
        guard answer[1].type == .soa, answer.count > 2 else {
            return (Set(answer[1..<(answer.count - 1)]), newest)
        }
        var zone = zone
        var isAdding = true
        var at = serial
        for record in answer[1..<(answer.count - 1)] {
            if record.type == .soa {
                isAdding.toggle()
                if isAdding { at = try number(record) } else { #expect(try number(record) == at) }
            } else if isAdding {
                let isNew = zone.insert(record).inserted
                #expect(isNew)
            } else {
                let gone = zone.remove(record)
                #expect(gone != nil)
            }
        }
        #expect(isAdding && at == newest)
        return (zone, at)
    }

    /// A node that does not know the members yet must not have its zone file alone copied by secondaries.
    @Test func aZoneThatMayNotBeAnsweredIsNotTransferred() throws {
        var responder = try Self.responder(Self.image(9, [1]))
        responder.settings.isServing = false
        for query in [Self.query(.axfr), Self.query(.ixfr, serial: 1)] {
            guard case .message(let reply) = responder.answer(query, Self.context(), unixTime: 5)
            else {
                Issue.record("a refusal is one message")
                return
            }
            #expect(reply[3] & 15 == 2)
        }
    }

    @Test(arguments: 0..<6 as Range<UInt64>)
    func everyOlderVersionIsLedToTheNewest(round: UInt64) throws {
        let seed = SeededGenerator.announcedSeed("TransferTests") &+ round
        var random = SeededGenerator(seed: seed)
        // Serials go through 2^31 and 2^32.
        var serial: UInt32 = [1, 0x7FFF_FFF0, 0xFFFF_FFF0][Int(round % 3)]
        var members = Set(0..<200)
        var versions = [try Self.image(serial, members.sorted())]
        var limit = ZoneHistory.Limit()
        if round % 2 == 1 { limit.steps = 12 }
        var history = ZoneHistory(limit: limit)
        for _ in 0..<30 {
            for _ in 0..<Int.random(in: 1...12, using: &random) {
                let member = Int.random(in: 0..<260, using: &random)
                if members.remove(member) == nil { members.insert(member) }
            }
            serial &+= UInt32.random(in: 1...9, using: &random)
            let next = try Self.image(serial, members.sorted())
            history.append(ZoneDifference(from: versions[versions.count - 1], to: next))
            versions.append(next)
        }
        let newest = versions[versions.count - 1]
        let responder = try Self.responder(newest, history)
        var increments = 0
        for old in versions {
            let query = Self.query(.ixfr, serial: old.serial)
            guard case .stream(let stream) = responder.answer(query, Self.context(), unixTime: 5)
            else {
                Issue.record("no stream for \(old.serial), seed \(seed)")
                continue
            }
            let answer = try Self.records(stream)
            let before = Set(old.records.dropFirst())
            let (zone, at) = try Self.taken(answer, by: before, serial: old.serial)
            #expect(zone == Set(newest.records.dropFirst()) && at == newest.serial, "seed \(seed)")
            if answer.count > 2, answer[1].type == .soa { increments += 1 }
        }
        #expect(increments >= 8, "seed \(seed)")
        // The journal gives the same history back, also when its end is torn.
        let saved = history.steps.flatMap(\.saved)
        #expect(ZoneDifference.read(saved) == history.steps)
        let torn = ZoneDifference.read(Array(saved.dropLast(3)))
        #expect(torn == Array(history.steps.dropLast()))
    }

    @Test func largeZonesTakeManyMessages() throws {
        let image = try Self.image(9, Array(0..<20_000))
        guard
            case .stream(let stream) = try Self.responder(image).answer(
                Self.query(.axfr), Self.context(), unixTime: 5)
        else {
            Issue.record("no stream")
            return
        }
        var copy = stream
        var count = 0
        while copy.message(unixTime: 5) != nil { count += 1 }
        #expect(count > 10)
        let answer = try Self.records(stream)
        #expect(answer == image.records + [image.records[0]])
    }

    /// Octet 3 of the reply to a transfer query in its various wrong forms.
    @Test func refusesByCode() throws {
        let image = try Self.image(9, [1, 2])
        let responder = try Self.responder(image)
        func code(_ query: [UInt8], _ context: QueryContext) -> UInt8? {
            guard case .message(let reply) = responder.answer(query, context, unixTime: 5) else {
                return nil
            }
            #expect(reply.count >= 12 && reply[2] & 0x80 != 0)
            return reply[3] & 15
        }
        let stranger = Self.context(from: .v4(0xC000_0201))
        #expect(code(Self.query(.axfr), stranger) == 5)
        #expect(code(Self.query(.ixfr, serial: 1), stranger) == 5)
        #expect(code(Self.query(.axfr), Self.context(.udp)) == 1)
        #expect(code(Self.query(.ixfr), Self.context()) == 1)
        var elsewhere = Self.query(.axfr)
        elsewhere[13] = 0x78
        #expect(code(elsewhere, Self.context()) == 9)
        // By UDP an incremental query learns the newest serial and comes back by TCP.
        let udp = responder.answer(Self.query(.ixfr, serial: 1), Self.context(.udp), unixTime: 5)
        guard case .message(let reply) = udp else {
            Issue.record("no reply")
            return
        }
        #expect(reply[7] == 1)
    }

    /// Found by comparing with BIND and Knot: what is refused must be refused with an OPT record (RFC 6891
    /// section 6.1.1), which carries DO as it was asked (RFC 3225).
    @Test(arguments: [false, true])
    func refusalsHaveAnOPTWhenTheQueryHas(dnssec: Bool) throws {
        let responder = try Self.responder(try Self.image(9, [1, 2]))
        var query = Self.query(.axfr) + Packets.opt(dnssec: dnssec)
        query[11] = 1
        let answer = responder.answer(query, Self.context(.udp), unixTime: 5)
        guard case .message(let message) = answer else {
            Issue.record("no reply")
            return
        }
        let reply = try #require(Decoded(message))
        #expect(reply.code == 1)
        #expect(try #require(reply.opt).ttl == (dnssec ? 0x8000 : 0))
    }

    /// Queries of any bytes get a reply in good form or none, and never a trap.
    @Test func mutatedQueriesDoNoHarm() throws {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("TransferTests.mutated"))
        let key = try #require(TSIGTests.key())
        let responder = try Self.responder(try Self.image(9, [1, 2]), key: key)
        var exchange = TSIGExchange(key)
        var signed = Self.query(.ixfr, serial: 3)
        exchange.sign(&signed, unixTime: 5)
        for _ in 0..<20_000 {
            var query = Bool.random(using: &random) ? signed : Self.query(.ixfr, serial: 3)
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                // The id is not signed (RFC 8945 section 4.3.2).
                let at = Int.random(in: min(2, query.count - 1)..<query.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: query.removeSubrange(at...)
                case 1: query.insert(.random(in: 0...255, using: &random), at: at)
                default: query[at] = .random(in: 0...255, using: &random)
                }
                if query.isEmpty { query = [0] }
            }
            switch responder.answer(query, Self.context(), unixTime: 5) {
            case .none: break
            case .message(let reply): #expect(reply.count >= 12)
            case .stream, .notified:
                // The case of the key's name, and its TTL, may change.
                let length = Self.query(.ixfr, serial: 3).count
                #expect(query.prefix(length) == signed.prefix(length), "a mutated query was let in")
            }
        }
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0..<80, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            _ = ZoneDifference.read(bytes)
            _ = responder.answer(bytes, Self.context(.udp), unixTime: 5)
        }
    }
}
