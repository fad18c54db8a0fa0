import AuthDNSCore
import Foundation
import TestSupport
import Testing

@testable import AuthDNS

/// Keys on disk, in the clear and under a passphrase. What is encrypted is judged by OpenSSL, both ways.
@Suite struct KeyDirectoryTests {
    private let directory: TemporaryDirectory
    private let zone: DomainName
    private let passphrase: KeyPassphrase

    init() throws {
        directory = try TemporaryDirectory()
        zone = try #require(DomainName("f.test"))
        passphrase = try KeyDirectoryTests.passphrase("correct horse", in: directory, "pass")
    }

    private static func passphrase(
        _ text: String, in directory: TemporaryDirectory, _ name: String
    ) throws -> KeyPassphrase {
        try directory.write(name, text + "\nnot this line\n")
        chmod(directory.file(name), 0o600)
        return try KeyPassphrase(file: directory.file(name))
    }

    private func keys(_ passphrase: KeyPassphrase?) -> KeyDirectory {
        KeyDirectory(path: directory.file("keys"), zone: zone, passphrase: passphrase)
    }

    private func drawn(_ algorithm: ZoneKey.Algorithm) -> TimedKey {
        var key = TimedKey(
            ZoneKey(drawnFor: zone, algorithm: algorithm, isEntryPoint: true),
            created: 1_800_000_000)
        key.published = 1_800_000_001
        return key
    }

    /// The one file of a secret that is there.
    private func secretFile() throws -> String {
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.file("keys"))
        let name = try #require(names.first { $0.hasSuffix(".private") })
        return directory.file("keys/" + name)
    }

    @Test(arguments: ZoneKey.Algorithm.allCases)
    func anEncryptedKeyIsReadAgainAndByOpenSSL(_ algorithm: ZoneKey.Algorithm) async throws {
        var key = drawn(algorithm)
        var keys = keys(passphrase)
        _ = try keys.load()
        try keys.save(key)
        let first = try String(contentsOfFile: secretFile(), encoding: .utf8)
        // A moment more leaves the secret as it was encrypted.
        key.activated = 1_800_000_002
        try keys.save(key)
        let second = try String(contentsOfFile: secretFile(), encoding: .utf8)
        let sealed = try [first, second].map {
            try #require($0.split(separator: "-----BEGIN").last)
        }
        #expect(sealed[0] == sealed[1] && first != second)
        #expect(!second.contains("PrivateKey:"))
        #expect(!second.contains(Data(key.key.secret).base64EncodedString()))
        let facts = try FileManager.default.attributesOfItem(atPath: secretFile())
        #expect((facts[.posixPermissions] as? NSNumber)?.intValue == 0o600)

        var again = self.keys(passphrase)
        #expect(try again.load() == [key])
        #expect(again.isEncrypted(key.key))

        let seen = try await run([
            "openssl", "pkey", "-in", secretFile(), "-passin", "file:" + directory.file("pass"),
            "-pubout", "-outform", "DER", "-out", directory.file("public"),
        ])
        #expect(seen.status == 0, "\(seen.errors)")
        let open = try Data(contentsOf: URL(fileURLWithPath: directory.file("public")))
        #expect(Array(open).suffix(key.key.publicData.count - 4) == key.key.publicData[4...])
        let parsed = try await run(["openssl", "asn1parse", "-in", secretFile()])
        for word in ["PBES2", "scrypt", "aes-256-cbc"] { #expect(parsed.output.contains(word)) }
    }

    @Test(arguments: ["-scrypt", "-v2prf hmacWithSHA256"])
    func whatOpenSSLEncryptsIsRead(_ method: String) async throws {
        let key = drawn(.ed25519)
        var encrypted = keys(passphrase)
        _ = try encrypted.load()
        try encrypted.save(key)
        // Another passphrase, as an operator changes it.
        _ = try KeyDirectoryTests.passphrase("battery staple", in: directory, "other")
        let made = try await run(
            [
                "sh", "-c",
                "openssl pkey -in \"$1\" -passin file:\"$2\" | openssl pkcs8 -topk8 -v2 aes-256-cbc "
                    + method + " -passout file:\"$3\"",
                "sh", secretFile(), directory.file("pass"), directory.file("other"),
            ])
        #expect(made.status == 0, "\(made.errors)")
        let text = try String(contentsOfFile: secretFile(), encoding: .utf8)
        let head = text.prefix(upTo: try #require(text.range(of: "-----BEGIN")).lowerBound)
        try Data((head + made.output).utf8).write(to: URL(fileURLWithPath: secretFile()))
        chmod(try secretFile(), 0o600)
        var other = keys(try KeyPassphrase(file: directory.file("other")))
        #expect(try other.load() == [key])
        var old = keys(passphrase)
        #expect(throws: NameServerError.self) { try old.load() }
    }

    @Test func plainKeysStaySoUntilTheyAreEncrypted() throws {
        var (first, second) = (drawn(.ecdsaP256SHA256), drawn(.ecdsaP256SHA256))
        var plain = keys(nil)
        _ = try plain.load()
        try plain.save(first)
        var keys = keys(passphrase)
        #expect(try keys.load() == [first])
        first.activated = 1_800_000_003
        try keys.save(first)
        try keys.save(second)
        second.activated = 1_800_000_003
        try keys.save(second)
        #expect(!keys.isEncrypted(first.key) && keys.isEncrypted(second.key))
        #expect(try keys.encrypt(first) && !keys.encrypt(second) && !keys.encrypt(first))
        #expect(keys.isEncrypted(first.key))
        var again = self.keys(passphrase)
        #expect(Set(try again.load()) == [first, second])
        #expect(again.isEncrypted(first.key) && again.isEncrypted(second.key))
        // Without a passphrase there is nothing to encrypt under.
        #expect(throws: NameServerError.self) { try plain.encrypt(first) }
        #expect(!plain.isEncrypted(first.key))
    }

    @Test func whatDoesNotOpenIsSaid() throws {
        var keys = keys(passphrase)
        _ = try keys.load()
        try keys.save(drawn(.ecdsaP256SHA256))
        let wrong = try KeyDirectoryTests.passphrase("correct hors", in: directory, "wrong")
        for (passphrase, words) in [(nil, "--keys-passphrase"), (wrong, "does not open")] {
            var keys = self.keys(passphrase)
            let error = #expect(throws: NameServerError.self) { try keys.load() }
            #expect(error?.description.contains(words) == true)
            #expect(error?.description.contains(".private") == true)
        }
        chmod(directory.file("pass"), 0o640)
        let open = #expect(throws: NameServerError.self) {
            try KeyPassphrase(file: directory.file("pass"))
        }
        #expect(open?.description.contains("chmod 600") == true)
        try directory.write("empty", "\nsecond line\n")
        chmod(directory.file("empty"), 0o600)
        let empty = #expect(throws: NameServerError.self) {
            try KeyPassphrase(file: directory.file("empty"))
        }
        #expect(empty?.description.contains("empty") == true)
        #expect(!"\(passphrase)".contains("correct"))
    }

    /// Whatever stands in the file is a key or a fault; what it costs is bounded.
    @Test func noEncryptedTextDoesHarm() async throws {
        let seed = SeededGenerator.announcedSeed("noEncryptedTextDoesHarm")
        var random = SeededGenerator(seed: seed)
        let made = try await run([
            "sh", "-c",
            "openssl genpkey -algorithm ed25519 | openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 1 "
                + "-outform DER -passout file:\"$1\" -out \"$2\"",
            "sh", directory.file("pass"), directory.file("der"),
        ])
        #expect(made.status == 0, "\(made.errors)")
        let whole = Array(try Data(contentsOf: URL(fileURLWithPath: directory.file("der"))))
        func opened(_ der: [UInt8]) -> Bool {
            let body = Data(der).base64EncodedString(options: .lineLength64Characters)
            let name = EncryptedKey.pemType
            let pem = "-----BEGIN \(name)-----\n\(body)\n-----END \(name)-----\n"
            return (try? EncryptedKey.open(pem, of: .ed25519, with: passphrase)) != nil
        }
        #expect(opened(whole))
        for _ in 0..<500 {
            var der = whole
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let at = Int.random(in: 0..<der.count, using: &random)
                der[at] = UInt8.random(in: 0...255, using: &random)
            }
            if Int.random(in: 0..<4, using: &random) == 0 {
                der.removeLast(Int.random(in: 1...der.count, using: &random))
            }
            _ = opened(der)
        }
        // As many rounds as there is room for are refused, not tried.
        var costly = whole
        let at = try #require(
            costly.indices.first { costly[$0...].starts(with: [2, 1, 1, 0x30, 0x0C]) })
        costly.replaceSubrange(at..<(at + 3), with: [2, 1, 0x7F])
        #expect(!opened(costly))
    }
}
