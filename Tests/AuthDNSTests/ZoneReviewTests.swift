import AuthDNSCore
import Farm
import Foundation
import TestSupport
import Testing
import ZoneFile

/// What is said of a zone file that can be read, alone and beside a policy's names.
@Suite struct ZoneReviewTests {
    private static let start =
        "$ORIGIN f.test.\n$TTL 300\n@ IN SOA ns1 hm 1 60 15 604800 30\n@ IN NS ns1\n"
        + "ns1 IN A 127.0.0.1\n"

    /// Role names web and eu.web, MX at bounce, member s01, SPF at the apex and at bounce.
    private static func names() throws -> Membership {
        let host = Membership.Host(id: try #require(SmurfID("s01")), addresses: [.v4(0x7F00_0101)])
        func role(_ owner: String, _ kind: Membership.RoleRecords.Kind) -> Membership.RoleRecords {
            Membership.RoleRecords(owner: owner, kind: kind, members: [], ttl: 30)
        }
        return Membership(
            version: 0, hosts: [host],
            records: [
                role("bounce", .mailExchange(preference: 10)), role("eu.web", .address),
                role("web", .address),
            ], senderOwners: ["@", "bounce"])
    }

    private func load(_ text: String) throws -> LoadedZone {
        let directory = try TemporaryDirectory()
        return try loadZone(at: directory.write("f.zone", Self.start + text))
    }

    /// Lines behind a good start, the line that is at fault, and a part of the error.
    @Test(arguments: [
        ("web IN CNAME ns1\n", 6, "web.f.test is an alias"),
        ("bounce IN CNAME ns1\n", 6, "bounce.f.test is an alias"),
        ("x IN TXT a\nweb IN NS ns1\n", 7, "web.f.test is delegated"),
        ("eu.web IN NS ns1\n", 6, "eu.web.f.test is delegated"),
        ("x IN TXT a\ns01 IN A 127.0.0.9\n", 7, "member 's01'"),
        ("s01 IN TXT a\n", 6, "member 's01'"),
        ("s01 IN CNAME ns1\n", 6, "member 's01'"),
    ])
    func whatContradictsThePolicyIsAnErrorWithItsLine(
        _ text: String, _ line: Int, _ part: String
    ) throws {
        let loaded = try load(text)
        let error = #expect(throws: ZoneFileError.self) {
            try loaded.check(against: Self.names())
        }
        #expect(error?.line == line)
        #expect(error?.text.contains(part) == true, "\(error?.description ?? "")")
    }

    /// Lines behind a good start, the line that is warned of, and a part of the warning.
    @Test(arguments: [
        ("web IN A 127.0.0.9\n", 6, "never answered"),
        ("web IN AAAA ::9\n", 6, "never answered"),
        ("bounce IN MX 10 ns1\n", 6, "never answered"),
        ("@ IN TXT verification=7\n", 6, "SPF record replaces it"),
        ("@ IN MX 10 mail\n", 6, "mail.f.test has no address"),
        ("a IN CNAME ns1\n@ IN MX 10 a\n", 7, "RFC 2181 section 10.3"),
        ("_x._tcp IN SRV 0 0 25 gone\n", 6, "gone.f.test has no address"),
        ("@ IN NS ns2\n", 6, "ns2.f.test has no address"),
    ])
    func whatIsDoubtfulIsAWarningWithItsLine(
        _ text: String, _ line: Int, _ part: String
    ) throws {
        let warnings = try load(text).check(against: Self.names())
        #expect(warnings.count == 1, "\(warnings)")
        #expect(warnings.first?.line == line)
        #expect(warnings.first?.text.contains(part) == true, "\(warnings)")
    }

    /// Targets that somebody has an address for: glue, a wildcard, another zone, the farm itself.
    @Test(arguments: [
        "@ IN MX 10 web\n@ IN MX 20 s01\n", "*.w IN A 127.0.0.3\n@ IN MX 10 a.w\n",
        "@ IN MX 10 mail.other.test.\n@ IN MX 0 .\n", "sub IN NS ns.sub\nns.sub IN A 127.0.0.4\n",
        "sub IN NS ns1\n@ IN MX 10 mail.sub\n", "_dmarc.web IN TXT a\n", "x IN CNAME web\n",
        "*.web IN TXT a\n",
    ])
    func whatIsInOrderIsNotMentioned(_ text: String) throws {
        #expect(try load(text).check(against: Self.names()) == [])
    }

    private static let policy = """
        version: 1
        zone: f.test
        roles: {web: {names: {web: A}, min: 1}}
        members: [{id: NAME, address: 127.0.1.1, agent: false}]

        """

    /// The commands: `zone check` prints warnings, and refuses with `--policy` what `serve` refuses.
    @Test func theCommandsRefuseAZoneThatContradictsThePolicy() async throws {
        let directory = try TemporaryDirectory()
        let zone = try directory.write("f.zone", Self.start + "@ IN MX 10 gone\nwww IN CNAME ns1\n")
        let good = try directory.write(
            "good.yml", Self.policy.replacing("NAME", with: "s01"))
        let bad = try directory.write("bad.yml", Self.policy.replacing("NAME", with: "ns1"))
        let alias = try directory.write(
            "alias.yml",
            Self.policy.replacing("NAME", with: "s01").replacing("{web: A}", with: "{www: A}"))

        let fine = try await run([Product.smurf, "zone", "check", zone, "--policy", good])
        #expect(fine.status == 0, "\(fine.errors)")
        #expect(fine.errors.contains("f.zone:6: warning: gone.f.test has no address"))
        for (policy, line) in [(bad, 5), (alias, 7)] {
            let checked = try await run([Product.smurf, "zone", "check", zone, "--policy", policy])
            let served = try await run([
                "timeout", "30", Product.smurf, "serve", "--policy", policy, "--zone", zone,
                "--data",
                directory.file("data"), "--dns", "127.0.0.1:\(Product.freePort())",
            ])
            for result in [checked, served] {
                #expect(result.status == 2, "\(result.errors)")
                #expect(result.errors.contains("f.zone:\(line): error:"), "\(result.errors)")
            }
        }
    }
}
