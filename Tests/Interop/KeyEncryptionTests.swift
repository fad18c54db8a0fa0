import Foundation
import TestSupport
import Testing

extension ControlInteropTests {
    /// A control node whose keys are under a passphrase on disk.
    @Suite struct KeyEncryptionTests {
        private func states(_ farm: ControlNodeFixture) async throws -> [String] {
            try await farm.smurf("zone", "keys").output.split(separator: "\n").dropFirst()
                .map { $0.contains(" encrypted ") ? "encrypted" : "plain" }
        }

        private func secretFiles(_ farm: ControlNodeFixture) throws -> [String] {
            let keys = farm.data + "/keys"
            return try FileManager.default.contentsOfDirectory(atPath: keys)
                .filter { $0.hasSuffix(".private") }.map { keys + "/" + $0 }
        }

        @Test(.timeLimit(.minutes(4))) func keysAreEncryptedAndServedFrom() async throws {
            let farm = try ControlNodeFixture()
            let file = try farm.directory.write("keys.pass", "a long passphrase\n")
            chmod(file, 0o600)
            // A zone that was signed by keys in the clear.
            var node = try await farm.start(["--dnssec": "csk"])
            #expect(try await states(farm) == ["plain"])
            let refused = try await farm.smurf("zone", "keys", "encrypt")
            #expect(refused.status != 0 && refused.errors.contains("--keys-passphrase"))
            #expect(await node.stop() == 0)

            let options = ["--dnssec": "csk", "--keys-passphrase": file]
            node = try await farm.start(options)
            #expect(try await states(farm) == ["plain"])
            let said = try await farm.smurf("zone", "keys", "encrypt")
            #expect(said.status == 0 && said.output.contains(": 1"), "\(said)")
            #expect(try await states(farm) == ["encrypted"])
            // A new key is encrypted from the start.
            #expect(try await farm.smurf("zone", "roll").status == 0)
            #expect(try await states(farm) == ["encrypted", "encrypted"])
            let json = try await farm.smurf("zone", "keys", "--json")
            #expect(json.output.contains("\"encrypted\":true"))
            #expect(await node.stop() == 0)
            for path in try secretFiles(farm) {
                let text = try String(contentsOfFile: path, encoding: .utf8)
                #expect(!text.contains("PrivateKey:"))
                let seen = try await run([
                    "openssl", "pkey", "-in", path, "-passin", "file:" + file, "-noout",
                ])
                #expect(seen.status == 0, "\(seen.errors)")
            }

            node = try await farm.start(options)
            let signed = try await Dig.full(
                "web.smurf.example.test", "A", at: "127.0.0.1", port: farm.dnsPort,
                options: ["+dnssec"])
            #expect(signed.contains("RRSIG"))
            #expect(await node.stop() == 0)
        }

        @Test(.timeLimit(.minutes(2)))
        func nothingIsServedWithAWrongPassphrase() async throws {
            let farm = try ControlNodeFixture()
            let (right, wrong) = (
                try farm.directory.write("right.pass", "right\n"),
                try farm.directory.write("wrong.pass", "wrong\n")
            )
            for file in [right, wrong] { chmod(file, 0o600) }
            let node = try await farm.start(["--dnssec": "csk", "--keys-passphrase": right])
            #expect(await node.stop() == 0)
            let cases = [
                (["--dnssec": "csk", "--keys-passphrase": wrong], "does not open"),
                (["--dnssec": "csk"], "is encrypted"),
                (["--dnssec": "csk", "--keys-passphrase": "/nowhere"], "no file of a passphrase"),
                (["--keys-passphrase": right], "without --dnssec"),
            ]
            for (options, words) in cases {
                let ended = try await run(farm.arguments(options))
                #expect(ended.status != 0 && ended.errors.contains(words), "\(ended)")
                #expect(!ended.errors.contains("answering DNS"))
            }
        }
    }
}
