import AuthDNSCore
import Foundation
import TestSupport
import Testing
import ZoneFile

@Suite struct ZoneFileTests {
    private static let head = "$ORIGIN f.test.\n$TTL 300\n@ IN SOA ns1 hm 1 60 15 604800 30\n"
    private static let start = head + "@ IN NS ns1\nns1 IN A 127.0.0.1\n"

    @Test(arguments: ["smurf.example.test", "example.test"])
    func theZonesOfThisRepositoryAreGood(_ apex: String) throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let zone = try readZone(at: root.appendingPathComponent("Zones/\(apex).zone").path)
        #expect(zone.apex == DomainName(apex))
        #expect(throws: Never.self) { try ZoneImage(zone: zone, membership: nil, serial: 1) }
    }

    /// Text behind a good start (or the whole text), the line that is at fault, and a word of the error.
    static let faults: [(String, Int, String)] = [
        (start + "www.other.test. IN A 127.0.0.1\n", 6, "outside"),
        (start + "www CH A 127.0.0.1\n", 6, "class"),
        (start + "@ IN SOA ns1 hm 1 60 15 604800 30\n", 6, "second SOA"),
        (start + "ns1 IN CNAME www\n", 6, "CNAME"),
        (start + "w IN CNAME www\nw IN A 127.0.0.1\n", 7, "CNAME"),
        (start + "w IN TXT a\nw IN DNAME x.test.\nw IN TXT b\n", 7, "DNAME is not supported"),
        (start + "*.w IN NS ns1\n", 6, "a wildcard cannot be delegated"),
        (start + "w IN HTTPS 1 . port=http\n", 6, "parse"),
        (start + "w IN TYPE731 \\# 3 0102\n", 6, "parse"),
        (start + "w IN TXT \"open\n", 6, "quote"),
        (start + "w IN TXT ( \"a\"\n", 6, "never closed"),
        (start + "w IN A 127.0.0.300\n", 6, "parse"),
        (start + "$INCLUDE other.zone\n", 6, "INCLUDE"),
        (start + "w 4294967295 IN A 127.0.0.1\n", 6, "TTL"),
        (start + "w 4294967296 IN A 127.0.0.1\n", 6, "beyond 2147483647"),
        (start + "w 99999999999999999999999999 IN A 127.0.0.1\n", 6, "beyond 2147483647"),
        (start + "w 3551W A 127.0.0.1\n", 6, "beyond 2147483647"),
        (start + " 4294967297 IN TXT a\n", 6, "the TTL '4294967297'"),
        (start + "w ( 4294967297\n IN A 127.0.0.1 )\n", 6, "the TTL '4294967297'"),
        (start + "$TTL 4294967596\nw A 127.0.0.1\n", 6, "$TTL '4294967596'"),
        (
            "$ORIGIN f.test.\n@ 60 IN SOA ns1 hm ( 1 60\n 15 604800 4294967326 )\n", 3,
            "the negative TTL"
        ),
        (start + oversized("t IN TXT"), 6, "more than 65535 octets"),
        (start + manyAddresses, 5005, "do not fit one answer"),
        ("\u{FEFF}" + start, 1, "byte order mark"),
        (head + "ns1 IN A 127.0.0.1\n", 0, "NS"),
        ("$ORIGIN f.test.\nns1 300 IN A 127.0.0.1\n", 2, "SOA"),
        ("", 0, "SOA"),
    ]

    private static func oversized(_ head: String) -> String {
        let string = "\"" + String(repeating: "x", count: 250) + "\""
        return head + String(repeating: " " + string, count: 270) + "\nw IN A 127.0.0.1\n"
    }

    private static let manyAddresses = (1...5000).map {
        "many IN A 127.0.\($0 >> 8).\($0 & 255)\n"
    }.joined()

    /// Types in words, and others by their number (RFC 3597 §5, RFC 9460 §2.1).
    @Test(
        arguments: [
            (
                "HTTPS 1 . alpn=h2,h3 port=443 ipv4hint=192.0.2.1", 65,
                [
                    0, 1, 0, 0, 1, 0, 6, 2, 0x68, 0x32, 2, 0x68, 0x33, 0, 3, 0, 2, 1, 0xBB, 0, 4, 0,
                    4, 192, 0, 2, 1,
                ]
            ),
            ("SVCB 0 s.f.test.", 64, [0, 0, 1, 0x73, 1, 0x66, 4, 0x74, 0x65, 0x73, 0x74, 0]),
            ("TYPE65 \\# 3 000100", 65, [0, 1, 0]),
            ("TYPE731 \\# 4 ab cdef 01", 731, [171, 205, 239, 1]),
            ("TYPE1 \\# 4 7f000001", 1, [127, 0, 0, 1]), ("TYPE731 \\# 0", 731, []),
            ("CAA 0 issue \"x\"", 257, [0, 5, 0x69, 0x73, 0x73, 0x75, 0x65, 0x78]),
            ("TLSA 3 1 1 00ff", 52, [3, 1, 1, 0, 255]),
        ] as [(String, UInt16, [UInt8])])
    func everyTypeIsRead(_ text: String, _ type: UInt16, _ data: [UInt8]) throws {
        let directory = try TemporaryDirectory()
        let zone = try readZone(
            at: directory.write("f.test.zone", Self.start + "w IN \(text)\n"))
        let record = try #require(zone.records.last)
        #expect(record.type.rawValue == type && record.data == data)
    }

    @Test(arguments: faults.indices) func faultsNameTheirLine(_ index: Int) throws {
        let (text, line, word) = Self.faults[index]
        let directory = try TemporaryDirectory()
        let path = try directory.write("f.zone", text)
        let error = #expect(throws: ZoneFileError.self) { try readZone(at: path) }
        #expect(error?.line == line)
        #expect(error?.text.contains(word) == true, "\(error?.description ?? "")")
    }

    /// Numbers that are not times, and times that just fit, are nobody's business.
    @Test func numbersThatFitAreRead() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write(
            "f.zone",
            Self.start
                + "w 2147483647 IN TXT \"99999999999\" ; 99999999999\n99999999999 A 127.0.0.1\n"
                + "v 1h30m IN A 127.0.0.2\n")
        let zone = try readZone(at: path)
        #expect(zone.records.contains { $0.ttl == 2_147_483_647 })
        #expect(zone.records.contains { $0.ttl == 5_400 })
        #expect(zone.records.count == 6)
    }

    @Test func pathsThatAreNoFileAreFaults() {
        #expect(throws: ZoneFileError.self) { try readZone(at: "/tmp") }
        #expect(throws: ZoneFileError.self) { try readZone(at: "/nowhere/f.zone") }
    }

    @Test func unknownTypesAndParenthesesAreRead() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write(
            "f.zone",
            Self.start + "odd TYPE731 \\# 3 010203\nt IN TXT ( \"a;b\" ; comment (\n \"c\" )\n")
        let zone = try readZone(at: path)
        #expect(zone.records.contains { $0.type.rawValue == 731 && $0.data == [1, 2, 3] })
        #expect(zone.records.contains { $0.data == [3, 0x61, 0x3B, 0x62, 1, 0x63] })
    }
}
