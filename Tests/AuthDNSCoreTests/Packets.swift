import AuthDNSCore
import Farm
import Testing

/// Query messages as bytes, and replies taken apart by code that shares nothing with the responder.
enum Packets {
    static func query(
        _ name: String, _ type: RecordType, recordClass: UInt16 = 1, id: UInt16 = 0xBEEF,
        edns: [UInt8]? = opt()
    ) -> [UInt8] {
        var message: [UInt8] = [UInt8(id >> 8), UInt8(id & 255), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        if edns != nil { message[11] = 1 }
        for label in name.split(separator: ".") {
            message.append(UInt8(label.utf8.count))
            message += Array(label.utf8)
        }
        message += [0] + octets(type.rawValue) + octets(recordClass)
        return message + (edns ?? [])
    }

    static func opt(
        size: UInt16 = 4096, version: UInt8 = 0, dnssec: Bool = false, options: [UInt8] = []
    ) -> [UInt8] {
        [0, 0, 41] + octets(size) + [0, version, dnssec ? 0x80 : 0, 0]
            + octets(UInt16(options.count)) + options
    }

    static func octets(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }

    /// One option of an OPT record.
    static func option(_ code: UInt16, _ data: [UInt8] = []) -> [UInt8] {
        octets(code) + octets(UInt16(data.count)) + data
    }

    static func ask(
        _ image: ZoneImage, _ message: [UInt8], _ transport: QueryContext.Transport = .udp,
        random: UInt64 = 0x1234_5678_9ABC_DEF1, room: Int = 65_535
    ) -> [UInt8] {
        ask(
            image, message, QueryContext(transport: transport, random: random),
            settings: AnswerSettings(), room: room
        ).0
    }

    static func ask(
        _ image: ZoneImage, _ message: [UInt8], _ context: QueryContext, settings: AnswerSettings,
        room: Int = 65_535
    ) -> ([UInt8], Outcome) {
        var buffer = [UInt8](repeating: 0xEE, count: room)
        var space = buffer.mutableSpan
        let outcome = respond(
            to: message.span, context: context, settings: settings, from: image, into: &space)
        return (Array(buffer[..<outcome.length]), outcome)
    }
}

/// A reply message, decoded.
struct Decoded {
    struct Record: Hashable {
        var owner: String
        var type: UInt16
        var ttl: UInt32
        var data: [UInt8]
        var dataStart: Int
    }

    var id: UInt16
    var flags: UInt16
    var questionName = ""
    var sections: [[Record]] = [[], [], []]
    var opt: Record?
    var optClass: UInt16 = 0
    private(set) var isWhole = false

    var code: Int { Int(flags & 15) | (opt.map { Int($0.ttl >> 24) << 4 } ?? 0) }
    var isTruncated: Bool { flags & 0x0200 != 0 }
    /// Options of the OPT record in their order.
    var options: [(code: UInt16, data: [UInt8])] {
        var rest = (opt?.data ?? [])[...]
        var found: [(UInt16, [UInt8])] = []
        while rest.count >= 4 {
            let head = Array(rest.prefix(4))
            let length = Int(head[2]) << 8 | Int(head[3])
            found.append(
                (UInt16(head[0]) << 8 | UInt16(head[1]), Array(rest.dropFirst(4).prefix(length))))
            rest = rest.dropFirst(4 + length)
        }
        return found
    }

    func option(_ code: UInt16) -> [UInt8]? { options.first { $0.code == code }?.data }
    var isAuthoritative: Bool { flags & 0x0400 != 0 }
    var answers: [Record] { sections[0] }

    init?(_ message: [UInt8]) {
        guard message.count >= 12 else { return nil }
        func number(_ at: Int) -> Int { Int(message[at]) << 8 | Int(message[at + 1]) }
        id = UInt16(number(0))
        flags = UInt16(number(2))
        var offset = 12
        for _ in 0..<number(4) {
            guard let name = Decoded.name(message, &offset), offset + 4 <= message.count else {
                return nil
            }
            questionName = name
            offset += 4
        }
        for section in 0..<3 {
            for _ in 0..<number(6 + section * 2) {
                guard let owner = Decoded.name(message, &offset), offset + 10 <= message.count
                else { return nil }
                let ttl = UInt32(number(offset + 4)) << 16 | UInt32(number(offset + 6))
                let end = offset + 10 + number(offset + 8)
                guard end <= message.count else { return nil }
                let record = Record(
                    owner: owner, type: UInt16(number(offset)), ttl: ttl,
                    data: Array(message[(offset + 10)..<end]), dataStart: offset + 10)
                if record.type == 41 {
                    guard opt == nil, section == 2 else { return nil }
                    opt = record
                    optClass = UInt16(number(offset + 2))
                } else {
                    sections[section].append(record)
                }
                offset = end
            }
        }
        isWhole = offset == message.count
        guard isWhole else { return nil }
    }

    /// The name at `offset` with its case, following pointers that go backwards only.
    static func name(_ message: [UInt8], _ offset: inout Int) -> String? {
        var labels: [String] = []
        var at = offset
        var end: Int?
        var lowest = offset
        while at < message.count {
            let length = Int(message[at])
            if length == 0 {
                offset = end ?? at + 1
                return labels.joined(separator: ".")
            }
            if length >= 0xC0 {
                guard at + 1 < message.count else { return nil }
                let target = (length & 0x3F) << 8 | Int(message[at + 1])
                guard target < lowest else { return nil }
                end = end ?? at + 2
                lowest = target
                at = target
                continue
            }
            guard length < 64, at + 1 + length <= message.count else { return nil }
            labels.append(String(decoding: message[(at + 1)...(at + length)], as: UTF8.self))
            at += length + 1
        }
        return nil
    }
}

/// The zone that the tests of this folder ask.
enum Example {
    static func name(_ text: String) throws -> DomainName {
        try #require(DomainName(text))
    }

    static func record(_ owner: String, _ type: RecordType, _ data: [UInt8]) throws
        -> ResourceRecord
    {
        ResourceRecord(owner: try name(owner), type: type, ttl: 300, data: data)
    }

    static func wire(_ text: String) throws -> [UInt8] { try name(text).wire }

    static func zone(extra: [ResourceRecord] = []) throws -> StaticZone {
        let soa =
            try wire("ns1.f.test") + wire("hostmaster.f.test") + [0, 0, 0, 1, 0, 0, 0, 60, 0, 0, 0]
            + [15, 0, 9, 0x3A, 0x80, 0, 0, 0, 30]
        return try StaticZone(
            records: [
                record("f.test", .soa, soa), record("f.test", .ns, wire("ns1.f.test")),
                record("ns1.f.test", .a, [127, 0, 0, 1]),
                record("alias.f.test", .cname, wire("ns1.f.test")),
                record("away.f.test", .cname, wire("www.example.org")),
                record("dead.f.test", .cname, wire("nothing.f.test")),
                record("loop-a.f.test", .cname, wire("loop-b.f.test")),
                record("loop-b.f.test", .cname, wire("loop-a.f.test")),
                record("a.b.deep.f.test", .txt, [2, 0x68, 0x69]),
                record("*.wild.f.test", .mx, [0, 5] + wire("ns1.f.test")),
                record("sub.f.test", .ns, wire("ns.sub.f.test")),
                record("ns.sub.f.test", .a, [127, 0, 0, 9]),
                record("odd.f.test", RecordType(rawValue: 731), [1, 2, 3]),
                record("_s._tcp.f.test", .srv, [0, 1, 0, 2, 0, 25] + wire("ns1.f.test")),
            ] + extra)
    }

    static func membership(
        _ count: Int, empty: Membership.EmptyAnswer = .servfail
    ) throws -> Membership {
        let hosts = try (0..<count).map { index in
            Membership.Host(
                id: try #require(SmurfID("s\(index)")),
                addresses: [.v4(0x0A00_0000 + UInt32(index)), .v6(high: 1, low: UInt64(index))])
        }
        let all = hosts.map(\.id)
        return Membership(
            version: 7, hosts: hosts,
            records: [
                .init(owner: "bounce", kind: .mailExchange(preference: 10), members: all, ttl: 20),
                .init(owner: "smtp-out", kind: .address, members: all, ttl: 30),
                .init(owner: "web", kind: .address, members: [], ttl: 30, whenEmpty: empty),
            ], senders: hosts.flatMap(\.addresses), senderOwners: ["bounce"])
    }

    static func image(_ count: Int = 4) throws -> ZoneImage {
        try ZoneImage(zone: zone(), membership: membership(count), serial: 42)
    }
}
