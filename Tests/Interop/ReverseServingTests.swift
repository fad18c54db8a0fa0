import Foundation
import TestSupport
import Testing

/// A reverse zone beside the farm's own, of the same machines and on the same sockets (RFC 1035 §3.5, RFC 2317):
/// answered, transferred and told of like any zone, and there again after a restart.
@Suite(.serialized) struct ReverseServingTests {
    /// One machine is left over, so that a role can change hands.
    private static let policy = ControlNodeFixture.policy.replacing(
        "web: A}, min: 2}", with: "web: A}, min: 1, max: 1}"
    ).replacing("smtp-out: A}, min: 1,", with: "smtp-out: A}, min: 1, max: 1,")
    private static let zone = "0/29.1.0.127.in-addr.arpa"

    private func pointer(_ last: Int, at port: UInt16) async throws -> [String] {
        try await Dig.short("\(last).\(Self.zone)", "PTR", at: "127.0.0.1", port: port)
    }

    private func serial(at port: UInt16) async throws -> UInt32? {
        let soa = try await Dig.short(Self.zone, "SOA", at: "127.0.0.1", port: port)
        return soa.first?.split(separator: " ").dropFirst(2).first.flatMap { UInt32($0) }
    }

    @Test(.timeLimit(.minutes(3))) func namesGoBothWays() async throws {
        let farm = try ControlNodeFixture(policy: Self.policy)
        let port = try Product.freePort()
        let options = ["--reverse": "127.0.1.0/29", "--secondary": "127.0.0.1:\(port)"]
        let node = try await farm.start(options, web: 1)
        defer { node.signal(SIGKILL) }
        for number in 1...3 {
            #expect(
                try await pointer(number, at: farm.dnsPort)
                    == ["s0\(number).smurf.example.test."])
            #expect(
                try await Dig.short(
                    "s0\(number).smurf.example.test", "A", at: "127.0.0.1", port: farm.dnsPort)
                    == ["127.0.1.\(number)"])
        }
        let own = try Daemon(
            "secondary",
            [
                Product.smurf, "secondary", "--zone", Self.zone, "--data",
                farm.directory.file("copy"), "--dns", "127.0.0.1:\(port)", "--primary",
                "127.0.0.1:\(farm.dnsPort)",
            ], directory: farm.directory)
        defer { own.signal(SIGKILL) }
        try await own.ready { try await self.pointer(1, at: port).count == 1 }
        try await checkRoles(farm)
        try await checkMachines(farm, node, copy: port)
        #expect(await node.stop() == 0)
        let again = try await farm.start(options, web: 1)
        defer { again.signal(SIGKILL) }
        #expect(try await pointer(4, at: farm.dnsPort) == ["s04.smurf.example.test."])
        #expect(try await serial(at: farm.dnsPort) == serial(at: port))
    }

    /// A machine keeps its name whatever it does, so that the reverse zone does not change with roles.
    private func checkRoles(_ farm: ControlNodeFixture) async throws {
        let (before, own) = (try await serial(at: farm.dnsPort), try await farm.serial())
        let out = try await farm.members("smtp-out").first ?? ""
        let moved = "s0" + out.suffix(1)
        let drained = try await farm.smurf(
            "drain", moved, "--reason", "to see what the reverse zone says")
        #expect(drained.status == 0, "\(drained.errors)")
        try await eventually("another machine has the role") {
            let now = try await farm.members("smtp-out")
            return now.count == 1 && now != [out]
        }
        #expect(try await farm.serial() != own)
        #expect(try await serial(at: farm.dnsPort) == before)
    }

    /// A machine that comes is in it at once, here and at the secondary, which is told.
    private func checkMachines(
        _ farm: ControlNodeFixture, _ node: Daemon, copy port: UInt16
    ) async throws {
        let before = try #require(try await serial(at: farm.dnsPort))
        #expect(try await pointer(4, at: farm.dnsPort).isEmpty)
        try farm.directory.write(
            "policy.yml",
            Self.policy + "  - {id: s04, address: 127.0.1.4, agent: false}\n")
        node.signal(SIGHUP)
        for port in [farm.dnsPort, port] {
            try await eventually("port \(port) has the new machine") {
                try await self.pointer(4, at: port) == ["s04.smurf.example.test."]
            }
        }
        let step = try await Dig.full(
            Self.zone, "IXFR=\(before)", at: "127.0.0.1", port: farm.dnsPort,
            options: ["+tcp"])
        #expect(step.contains("s04.smurf.example.test."))
        #expect(!step.contains("s01.smurf.example.test."), "only what has changed: \(step)")
    }

    /// With --dnssec it is signed by a key of its own, which its own parent has to be told of; BIND's verifier finds the
    /// transferred zone whole.
    @Test(.timeLimit(.minutes(2))) func itIsSignedToo() async throws {
        let farm = try ControlNodeFixture()
        let options = [
            "--reverse": "127.0.1.0/29", "--secondary": "127.0.0.1", "--dnssec": "csk",
        ]
        let node = try await farm.start(options)
        defer { node.signal(SIGKILL) }
        let own = try await farm.smurf("zone", "ds")
        let reverse = try await farm.smurf("zone", "ds", "--of", Self.zone)
        #expect(reverse.output.hasPrefix("\(Self.zone). IN DS "), "\(reverse.errors)")
        #expect(reverse.output.split(separator: " ")[3] != own.output.split(separator: " ")[3])
        let delegation = try await farm.smurf("zone", "delegation", "--of", Self.zone)
        #expect(
            delegation.output.contains("\(Self.zone). IN NS ns1.smurf.example.test."),
            "\(delegation.output)")
        let unknown = try await farm.smurf("zone", "keys", "--of", "example.org")
        #expect(
            unknown.status != 0 && unknown.errors.contains("these are: smurf.example.test, "),
            "\(unknown.errors)")
        let whole = try await Dig.full(
            Self.zone, "AXFR", at: "127.0.0.1", port: farm.dnsPort,
            options: ["+tcp", "+onesoa", "+nocomments"])
        let file = try farm.directory.write("reverse.signed", whole)
        let verdict = try await run(["dnssec-verify", "-z", "-o", Self.zone, file])
        #expect(verdict.status == 0, "\(verdict.output)\(verdict.errors)\(whole)")
        let files = try FileManager.default.contentsOfDirectory(atPath: farm.data + "/keys")
        #expect(
            files.contains { $0.hasPrefix("K0%2F29.1.0.127.in-addr.arpa.+013+") }, "\(files)")
        #expect(await node.stop() == 0)
        let again = try await farm.start(options)
        defer { again.signal(SIGKILL) }
        #expect(try await farm.smurf("zone", "ds", "--of", Self.zone).output == reverse.output)
        #expect(await again.stop() == 0)
    }

    @Test func zonesWithinEachOtherAreRefused() async throws {
        let farm = try ControlNodeFixture()
        let both = farm.arguments(["--reverse": "127.0.1.0/29"]) + ["--reverse", "127.0.1.0/24"]
        let refused = try await run(both)
        #expect(refused.status == 1)
        #expect(
            refused.errors.contains("\(Self.zone) lies within 1.0.127.in-addr.arpa"),
            "\(refused.errors)")
        let odd = try await run(farm.arguments(["--reverse": "127.0.0.0/20"]))
        #expect(odd.errors.contains("no reverse zone of its own"), "\(odd.errors)")
    }
}
