import AuthDNSCore
import Farm

/// The zone that the checks ask: wildcards, aliases that loop, cuts with glue, sets that do not fit.
enum FuzzZone {
    static let apex = name("f.test")

    static func name(_ text: String) -> DomainName {
        guard let name = DomainName(text) else { fatalError("no name: \(text)") }
        return name
    }

    static func soa(_ serial: UInt32) -> ResourceRecord {
        var data = name("ns1.f.test").wire + name("hostmaster.f.test").wire
        for value in [serial, 60, 15, 604_800, 30] {
            for shift in [24, 16, 8, 0] as [UInt32] { data.append(UInt8(value >> shift & 255)) }
        }
        return ResourceRecord(owner: apex, type: .soa, ttl: 300, data: data)
    }

    static let records: [ResourceRecord] = {
        func record(_ owner: String, _ type: RecordType, _ data: [UInt8]) -> ResourceRecord {
            ResourceRecord(owner: name(owner), type: type, ttl: 300, data: data)
        }
        let aliases = [
            ("alias", "ns1.f.test"), ("away", "www.example"), ("la", "lb.f.test"),
            ("lb", "la.f.test"), ("*.w", "x.w.f.test"), ("cut", "h.sub.f.test"),
        ]
        return [
            record("f.test", .ns, name("ns1.f.test").wire),
            record("ns1.f.test", .a, [127, 0, 0, 1]),
            record("a.b.deep.f.test", .txt, [2, 0x68, 0x69]),
            record("*.m.f.test", .mx, [0, 5] + name("ns1.f.test").wire),
            record("sub.f.test", .ns, name("ns.sub.f.test").wire),
            record("ns.sub.f.test", .a, [127, 0, 0, 9]),
        ] + aliases.map { record($0.0 + ".f.test", .cname, name($0.1).wire) }
            + (0..<60).map { record("many.f.test", .a, [10, 0, 0, UInt8($0)]) }
            + (0..<8).map {
                record("t.f.test", .txt, [200, $0] + [UInt8](repeating: 65, count: 199))
            }
    }()

    static func content() throws -> ZoneContent {
        try ZoneContent(
            zone: StaticZone(records: [soa(1)] + records), membership: Membership(version: 1))
    }

    static let plain = made { try ZoneImage(content(), serial: 42) }

    static let signed = made {
        let key = ZoneKey(drawnFor: apex, algorithm: .ed25519, isEntryPoint: true)
        let signer = ZoneSigner(
            keys: SigningKeys(published: [key], keySigners: [key], zoneSigners: [key]))
        let signed = try signer.sign(
            content(), serial: 42, now: 1_800_000_000, before: SignedNames())
        return try ZoneImage(signed.content, serial: 42)
    }

    static func made(_ make: () throws -> ZoneImage) -> ZoneImage {
        do { return try make() } catch { fatalError("the zone is not good: \(error)") }
    }
}
