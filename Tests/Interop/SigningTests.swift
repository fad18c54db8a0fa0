import Foundation
import TestSupport
import Testing

extension ControlInteropTests {
    /// A signed zone as independent validators see it: Unbound, ldns and BIND's dnssec-verify.
    @Suite(.serialized) struct SigningTests {
        private static let secure: [(String, String, String)] = [
            ("smurf.example.test", "SOA", "NOERROR"), ("smurf.example.test", "DNSKEY", "NOERROR"),
            ("web.smurf.example.test", "A", "NOERROR"),
            ("smtp-out.smurf.example.test", "A", "NOERROR"),
            ("smtp-out.smurf.example.test", "TXT", "NOERROR"),
            ("web.smurf.example.test", "HTTPS", "NOERROR"),
            ("_submission._tcp.smurf.example.test", "SRV", "NOERROR"),
            ("nope.smurf.example.test", "A", "NXDOMAIN"),
            ("deep.smurf.example.test", "A", "NOERROR"),
            ("x.b.deep.smurf.example.test", "TXT", "NXDOMAIN"),
            ("foo.wild.smurf.example.test", "MX", "NOERROR"),
            ("foo.wild.smurf.example.test", "A", "NOERROR"),
            ("x.alias.x.smurf.example.test", "A", "NOERROR"),
            ("www.smurf.example.test", "A", "NOERROR"),
            ("dead.smurf.example.test", "A", "NXDOMAIN"),
            ("sub.smurf.example.test", "DS", "NOERROR"), ("S01.SMURF.example.test", "A", "NOERROR"),
        ]

        private func expectSecure(_ resolver: ValidatingResolver, _ when: String) async throws {
            let found = try await resolver.asked(SigningTests.secure.map { ($0.0, $0.1) })
            try #require(found.count == SigningTests.secure.count, "\(when)")
            for ((name, type, status), reply) in zip(SigningTests.secure, found) {
                #expect(
                    reply.status == status && reply.isSecure, "\(when): \(name) \(type): \(reply)")
            }
        }

        private func expectVerified(_ farm: SignedFarm, _ when: String) async throws {
            let zone = try await farm.transferred()
            try farm.directory.write("keys.ds", try await farm.smurf("zone", "ds").output)
            let ldns = try await run([
                "ldns-verify-zone", "-k", farm.directory.file("keys.ds"), zone,
            ])
            #expect(ldns.status == 0, "\(when): \(ldns.output)\(ldns.errors)")
            let bind = try await run(["dnssec-verify", "-z", "-o", "smurf.example.test", zone])
            #expect(bind.status == 0, "\(when): \(bind.output)\(bind.errors)")
            let check = try await run(["named-checkzone", "smurf.example.test", zone])
            #expect(check.status == 0, "\(when): \(check.output)")
            let knot = try await run(["kzonecheck", "-d", "on", "-o", "smurf.example.test", zone])
            #expect(knot.status == 0, "\(when): \(knot.output)\(knot.errors)")
        }

        @Test(
            .timeLimit(.minutes(4)),
            arguments: [["csk", "ecdsap256sha256"], ["split", "ed25519"]])
        func everyAnswerIsSecureWhileRolesChange(_ keys: [String]) async throws {
            let farm = try SignedFarm(["--dnssec": keys[0], "--dnssec-algorithm": keys[1]])
            let node = try await farm.start()
            let unbound = try await farm.startResolver()
            try await expectVerified(farm, "at the start")
            try await expectSecure(unbound, "at the start")
            for round in 0..<6 {
                let role = round % 2 == 0 ? "web" : "smtp-out"
                _ = try await farm.smurf("move", "s03", role, "--for", "1h", "--reason", "test")
                try await expectSecure(unbound, "round \(round)")
            }
            try await expectVerified(farm, "after changes")
            await node.stop()
            // The image on disk is signed; the keys are those of before.
            let again = try await farm.start()
            try await expectVerified(farm, "after a restart")
            try await expectSecure(unbound, "after a restart")
            await again.stop()
            await unbound.daemon.stop()
        }

        /// Times of a key's life in seconds, so that whole rolls pass while a resolver watches.
        @Test(.timeLimit(.minutes(5)), arguments: ["csk", "split"])
        func keysAreReplacedUnderAResolversEyes(_ kind: String) async throws {
            let farm = try SignedFarm([
                "--dnssec": kind, "--key-ttl": "2s", "--propagation": "1s", "--parent-ttl": "2s",
                "--zsk-lifetime": "12s", "--signature-validity": "60s",
            ])
            let node = try await farm.start()
            var unbound = try await farm.startResolver()
            let first = try await farm.smurf("zone", "ds").output
            let asked = try await farm.smurf("zone", "roll")
            #expect(asked.status == 0, "\(asked.errors)")
            // The parent is this test: it has the old DS until CDS asks for another.
            var wanted = ""
            try await eventually("CDS asks for the new key") {
                try await expectSecure(unbound, "before the parent knows")
                let cds = try await Dig.short(
                    "smurf.example.test", "CDS", at: "127.0.0.1", port: farm.child)
                wanted = cds.first ?? ""
                let tag = first.split(separator: " ")[3]
                return !wanted.isEmpty && !wanted.hasPrefix(tag)
            }
            // A resolver that only knows the new DS now validates; the old one was good up to here.
            await unbound.daemon.stop()
            unbound = try await farm.startResolver()
            try await expectSecure(unbound, "as the parent changes")
            #expect(try await farm.smurf("zone", "roll", "--delegated").status == 0)
            try await eventually("the old key is removed") {
                try await expectSecure(unbound, "as the keys change")
                let keys = try await farm.smurf("zone", "keys").output
                let entries = keys.split(separator: "\n").filter {
                    $0.contains("CSK") || $0.contains("KSK")
                }
                return entries.contains { $0.contains("removed") }
                    && entries.contains { $0.contains("active") }
            }
            try await expectVerified(farm, "after the roll")
            if kind == "split" {
                try await eventually("a ZSK is replaced by itself") {
                    try await expectSecure(unbound, "as the ZSK changes")
                    let keys = try await farm.smurf("zone", "keys").output
                    return keys.split(separator: "\n").contains {
                        $0.contains("ZSK") && $0.contains("removed")
                    }
                }
            }
            await node.stop()
            await unbound.daemon.stop()
        }

        private func eventually(
            _ what: String, _ isSo: () async throws -> Bool
        ) async throws {
            let end = ContinuousClock.now + .seconds(90)
            while try await !isSo() {
                try #require(ContinuousClock.now < end, "never: \(what)")
                try await Task.sleep(for: .milliseconds(300))
            }
        }
    }
}
