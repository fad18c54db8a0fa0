import Foundation
import TestSupport
import Testing

extension InteropTests {
    /// NSD, Knot and BIND as oracles: they serve what a transfer from us brought, are asked what we are asked, and
    /// must answer the same but for the differences that oracle-differences.md explains. `oracle.py` asks and
    /// compares.
    @Suite(.serialized)
    struct OracleTests {
        static let origin = "smurf.example.test"

        @Test(.timeLimit(.minutes(4)), arguments: [false, true])
        func answersAreThoseOfOthers(isSigned: Bool) async throws {
            let here = Product.root + "/Tests/Interop/"
            let zone = try String(contentsOfFile: here + "oracle.zone", encoding: .utf8)
            let fixture = try ControlNodeFixture(zone: zone)
            var options = ["--secondary": "127.0.0.1"]
            if isSigned { options["--dnssec"] = "csk" }
            let node = try await fixture.start(options)
            let transferred = try await Dig.full(
                OracleTests.origin, "AXFR", at: "127.0.0.1", port: fixture.dnsPort,
                options: ["+noall", "+answer", "+onesoa"])
            let file = try fixture.directory.write("oracle.zone", transferred)
            let others = try OracleServers(
                zone: transferred, origin: OracleTests.origin, directory: fixture.directory)
            try await others.ready(OracleTests.origin)

            let seed = SeededGenerator.announcedSeed("OracleTests")
            let isSoak = ProcessInfo.processInfo.environment["SMURF_SOAK"] != nil
            // By its path: Debian's dnspython belongs to Debian's Python.
            let compared = try await run(
                [
                    "/usr/bin/python3", here + "oracle.py", file, OracleTests.origin, "\(seed)",
                    isSoak ? "250000" : "25000", "ours=\(fixture.dnsPort)",
                ] + others.arguments, environment: ["PYTHONDONTWRITEBYTECODE": "1"])
            #expect(compared.status == 0, "\(compared.output)\(compared.errors)")
            print(compared.output.suffix(100))
            await others.stop()
            #expect(await node.stop() == 0)
        }
    }
}
