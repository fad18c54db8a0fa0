import Foundation
import TestSupport
import Testing

/// `smurf zone challenge`: texts for a certificate authority (ACME, RFC 8555 §8.4) come at once, outlive a restart, and
/// end by themselves or by command.
@Suite(.serialized) struct ChallengeTests {
    private func texts(_ name: String, _ farm: ControlNodeFixture) async throws -> [String] {
        try await Dig.short(
            "\(name).smurf.example.test", "TXT", at: "127.0.0.1", port: farm.dnsPort)
    }

    @Test(.timeLimit(.minutes(3))) func challengesComeAndGo() async throws {
        let farm = try ControlNodeFixture(
            zone: ControlNodeFixture.zone
                + "_acme-challenge.alias IN CNAME elsewhere.example.\n_acme-challenge.fix IN TXT own\n"
        )
        let node = try await farm.start()
        defer { node.signal(SIGKILL) }
        for value in ["one", "two"] {
            let added = try await farm.smurf(
                "zone", "challenge", "add", "WEB", value, "--for", "1h")
            #expect(added.status == 0, "\(added.errors)")
            #expect(added.output.contains("_acme-challenge.web.smurf.example.test answers it"))
        }
        // No waiting: whoever said it may be looked up at once.
        #expect(try await texts("_acme-challenge.web", farm) == ["\"one\"", "\"two\""])
        try await checkRefusals(farm)
        #expect(await node.stop() == 0)
        let again = try await farm.start()
        defer { again.signal(SIGKILL) }
        #expect(try await texts("_acme-challenge.web", farm).count == 2)
        let taken = try await farm.smurf("zone", "challenge", "remove", "web", "one")
        #expect(taken.output.hasPrefix("1 taken away"), "\(taken.output)\(taken.errors)")
        #expect(try await texts("_acme-challenge.web", farm) == ["\"two\""])
        let short = try await farm.smurf("zone", "challenge", "add", "web", "two", "--for", "1s")
        #expect(short.status == 0, "\(short.errors)")
        try await eventually("it ends by itself") {
            try await self.texts("_acme-challenge.web", farm).isEmpty
        }
        #expect(try await texts("_acme-challenge.fix", farm) == ["\"own\""])
        #expect(await again.stop() == 0)
    }

    private func checkRefusals(_ farm: ControlNodeFixture) async throws {
        let alias = try await farm.smurf("zone", "challenge", "add", "alias", "x")
        #expect(alias.status != 0 && alias.errors.contains("an alias"), "\(alias.errors)")
        let empty = try await farm.smurf("zone", "challenge", "add", "web", "")
        #expect(empty.status != 0 && empty.errors.contains("1 to 255 octets"), "\(empty.errors)")
        let long = try await farm.smurf(
            "zone", "challenge", "add", String(repeating: "a.", count: 130), "x")
        #expect(long.status != 0 && long.errors.contains("is no name under"), "\(long.errors)")
        for number in 1...99 {
            let more = try await farm.smurf("zone", "challenge", "add", "many", "\(number)")
            guard more.status != 0 else { continue }
            #expect(number == 99 && more.errors.contains("remove some"), "\(more.errors)")
        }
        let rest = try await farm.smurf("zone", "challenge", "remove", "many")
        #expect(rest.output.hasPrefix("98 taken away"), "\(rest.output)")
    }
}
