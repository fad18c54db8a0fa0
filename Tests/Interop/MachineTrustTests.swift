import Foundation
import TestSupport
import Testing

/// A farm's own CA with certificates, made by openssl.
struct MachineTrust {
    let directory: TemporaryDirectory

    /// - Parameter machines: names to make a key and a certificate for.
    init(_ machines: String...) async throws {
        directory = try TemporaryDirectory()
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        var script = "cd \(directory.path)\n"
        script += "openssl req -x509 \(key) -keyout ca.key -out ca.pem -subj /CN=farm -days 2\n"
        for name in machines {
            script += """
                openssl req \(key) -keyout \(name).key -out \(name).csr -subj /CN=\(name)
                openssl x509 -req -in \(name).csr -CA ca.pem -CAkey ca.key -CAcreateserial \
                -out \(name).pem -days 2 -extfile <(echo subjectAltName=IP:127.0.0.1)

                """
        }
        let result = try await run(["bash", "-ec", script])
        guard result.status == 0 else { throw Failure(result.errors) }
    }

    func arguments(_ name: String) -> [String] {
        [
            "--tls-cert", directory.file(name + ".pem"), "--tls-key", directory.file(name + ".key"),
            "--tls-ca", directory.file("ca.pem"),
        ]
    }
}

extension ControlInteropTests {
    /// Machines believe machines that the farm's CA has certified, and nobody else, in both directions.
    @Suite(.serialized)
    struct MachineTrustTests {
        @Test(.timeLimit(.minutes(3)))
        func aFarmWithCertificatesSendsAndStrangersAreLeftOut() async throws {
            var settings = FarmFixture.Settings()
            settings.network = 15
            settings.trust = try await MachineTrust("control", "agent")
            let farm = try FarmFixture(settings)
            try await farm.start()
            let template = Product.root + "/Tests/Interop/letter.eml"
            let table = try farm.directory.write("readers.csv", RecipientRows.csv(200))
            let sent = try await farm.smurf("send", template, table, "--name", "sealed")
            #expect(sent.status == 0, "\(sent.errors)")
            let state = try #require(try await farm.mailing("sealed"))
            #expect(state.settled == 200, "\(state.counts)")

            let foreign = try await MachineTrust("agent")
            try farm.startAgent(3, trust: foreign)
            let stranger = try #require(farm.agents.last)
            try await eventually("the stranger has been refused") {
                stranger.log.contains("no control node")
            }
            let board = try await farm.smurf("roles")
            #expect(board.output.contains("s01") && !board.output.contains("s03"))
            // Whoever comes without a certificate gets nothing from a feed listener either.
            let plain = try await run([
                "openssl", "s_client", "-connect", "\(farm.address(1)):\(farm.feedPort)",
                "-tls1_3", "-brief",
            ])
            #expect(!plain.errors.contains("Verification: OK"))
            let report = try await farm.stop()
            #expect(report.accepted == 200)
        }

        @Test func beyondLoopbackNothingStartsWithoutCertificates() async throws {
            let directory = try TemporaryDirectory()
            let agent = try await run([
                Product.smurf, "agent", "--id", "s01", "--address", "192.0.2.1", "--data",
                directory.file("a"),
            ])
            #expect(agent.status == 64 && agent.errors.contains("beyond loopback"))
            let serve = try await run([
                Product.smurf, "serve", "--policy", Product.root + "/Examples/policies/demo.yml",
                "--zone", Product.root + "/Zones/smurf.example.test.zone", "--agents",
                "0.0.0.0:5380", "--data", directory.file("c"),
            ])
            #expect(serve.status == 64 && serve.errors.contains("beyond loopback"))
        }
    }
}
