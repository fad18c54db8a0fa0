import AuthDNSCore
import Farm
import Testing

/// Reverse zones as the standards name them (RFC 1035 §3.5, RFC 3596 §2.5, RFC 2317).
@Suite struct ReverseZoneTests {
    private let hosts: [(name: String, addresses: [IPAddress])] = [
        ("s02", [.v4(0xC000_0247), .v6(high: 0x2001_0DB8_0000_0001, low: 2)]),
        ("s01", [.v4(0xC000_0241)]),
        ("s03", [.v4(0xC633_6401)]),
    ]

    private func zone(_ text: String) throws -> ReverseZone {
        try ReverseZone(
            of: try #require(Network(text)), hosts: hosts, zone: "smurf.example.test")
    }

    @Test func aWholeNetworkHasTheOctetsBehindIt() throws {
        let small = try zone("192.0.2.0/24")
        #expect(small.origin == "2.0.192.in-addr.arpa.")
        #expect(small.pointers.map(\.owner) == ["65", "71"])
        #expect(small.pointers[0].target == "s01.smurf.example.test.")
        #expect(small.parentLines.isEmpty)
        let large = try zone("192.0.0.0/16")
        #expect(large.origin == "0.192.in-addr.arpa.")
        #expect(large.pointers.map(\.owner) == ["65.2", "71.2"])
    }

    @Test func partOfANetworkHasAZoneBesideTheOthers() throws {
        let part = try zone("192.0.2.64/29")
        #expect(part.origin == "64/29.2.0.192.in-addr.arpa.")
        #expect(part.pointers.map(\.owner) == ["65", "71"])
        #expect(part.parentLines.count == 8)
        #expect(
            part.parentLines[1]
                == "65.2.0.192.in-addr.arpa. IN CNAME 65.64/29.2.0.192.in-addr.arpa.")
        // The last octet's end does not overflow.
        #expect(try zone("192.0.2.192/26").parentLines.last?.hasPrefix("255.") == true)
    }

    @Test func nibblesOfIPv6() throws {
        let v6 = try zone("2001:db8:0:1::/64")
        #expect(v6.origin == "1.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.")
        #expect(v6.pointers.map(\.owner) == ["2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"])
    }

    @Test(arguments: ["192.0.2.1", "192.0.0.0/20", "0.0.0.0/0", "2001:db8::/33", "2001:db8::1"])
    func othersAreRefused(_ text: String) {
        #expect(throws: ZoneFault.self) { try zone(text) }
    }

    @Test func theServedZoneIsMadeOfMachines() throws {
        let zone = try StaticZone(records: [
            ResourceRecord(
                owner: try #require(DomainName("smurf.example.test")), type: .soa, ttl: 60,
                data: [0, 0] + [UInt8](repeating: 0, count: 20)),
            ResourceRecord(
                owner: try #require(DomainName("smurf.example.test")), type: .ns, ttl: 60,
                data: [1, 0x61, 0]),
        ])
        let network = try #require(Network("192.0.2.64/26"))
        let members = Membership(
            version: 7,
            hosts: try hosts.sorted { $0.name < $1.name }.map {
                Membership.Host(id: try #require(SmurfID($0.name)), addresses: $0.addresses)
            }, hostTTL: 900)
        let content = try ZoneContent(reverseOf: network, beside: zone, membership: members)
        #expect(content.apex == DomainName("64/26.2.0.192.in-addr.arpa"))
        #expect(content.version == 7)
        let pointers = content.records.filter { $0.type == .ptr }
        #expect(pointers.map(\.owner.description) == ["65", "71"].map { "\($0).\(content.apex)" })
        #expect(pointers.map(\.ttl) == [900, 900])
        #expect(pointers[1].data == DomainName("s02.smurf.example.test")?.wire)
        #expect(content.records.map(\.type).prefix(2) == [.soa, .ns])
        // Before machines are known there is a zone already.
        let empty = try ZoneContent(reverseOf: network, beside: zone, membership: nil)
        #expect(empty.records.count == 2)
    }

    @Test func aQuestionIsAnsweredFromItsZone() throws {
        let apexes = ["smurf.example.test", "2.0.192.in-addr.arpa", "2.168.192.in-addr.arpa"]
        let images = try apexes.enumerated().map { number, apex in
            let name = try #require(DomainName(apex))
            return try ZoneImage(
                apex: name, serial: 1, version: 1,
                records: [
                    ResourceRecord(
                        owner: name, type: .soa, ttl: 60,
                        data: [0, 0] + [UInt8](repeating: 0, count: 20)),
                    ResourceRecord(
                        owner: name, type: .a, ttl: 60, data: [10, 0, 0, UInt8(number)]),
                ])
        }
        for (number, apex) in apexes.enumerated() {
            let query = Packets.query(apex, .a, edns: nil)
            var reply = [UInt8](repeating: 0, count: 512)
            var space = reply.mutableSpan
            let outcome = respond(
                to: query.span, context: QueryContext(transport: .udp, random: 1),
                settings: AnswerSettings(), from: images[0], beside: Array(images.dropFirst()),
                into: &space)
            #expect(outcome.code == 0)
            #expect(reply[outcome.length - 1] == UInt8(number))
            #expect(images.map { $0.isAsked(in: query) }.firstIndex(of: true) == number)
        }
    }
}
