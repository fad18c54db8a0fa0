import AuthDNSCore
import Crypto
import CryptoExtras
import Foundation
import SwiftASN1

/// A zone key as others' tools keep it under a passphrase: PKCS#8 (RFC 5958) encrypted by PBES2 (RFC 8018 §6.2) with
/// AES-256-CBC, in PEM (RFC 7468 §11), which `openssl pkey` reads. The key of the cipher is made by scrypt (RFC 7914);
/// what `openssl pkcs8 -topk8` has encrypted with PBKDF2 is read as well. Nothing here knows files.
enum EncryptedKey {
    /// Why an encrypted key does not open.
    enum Fault: Error {
        /// It is none, or by a method that is not known here.
        case malformed
        /// The passphrase is another, or the text was damaged: the cipher does not tell them apart.
        case sealed
    }

    static let pemType = "ENCRYPTED PRIVATE KEY"

    /// Cost of scrypt: 16 MiB and some hundredths of a second for each guess. OpenSSL reads none that takes more than
    /// 32 MiB.
    private static let cost = (rounds: 1 << 14, blockSize: 8, parallelism: 5)
    /// What a key that is read may cost: more is no honest file.
    private static let mostRounds = 10_000_000
    private static let mostMemory = 1 << 28

    private static let pbes2: ASN1ObjectIdentifier = [1, 2, 840, 113549, 1, 5, 13]
    private static let pbkdf2: ASN1ObjectIdentifier = [1, 2, 840, 113549, 1, 5, 12]
    private static let scrypt: ASN1ObjectIdentifier = [1, 3, 6, 1, 4, 1, 11591, 4, 11]
    private static let hmacSHA256: ASN1ObjectIdentifier = [1, 2, 840, 113549, 2, 9]
    private static let aes256CBC: ASN1ObjectIdentifier = [2, 16, 840, 1, 101, 3, 4, 1, 42]

    /// Encrypts a key under a salt of its own. It takes some tenths of a second: that is what it is for.
    /// - Returns: PEM, with a line end behind it.
    static func seal(_ key: ZoneKey, with passphrase: KeyPassphrase) throws -> String {
        let salt = (0..<16).map { _ in UInt8.random(in: 0...255) }
        let vector = AES._CBC.IV()
        let secret = try KDF.Scrypt.deriveKey(
            from: passphrase.octets, salt: salt, outputByteCount: 32, rounds: cost.rounds,
            blockSize: cost.blockSize, parallelism: cost.parallelism)
        let sealed = try AES._CBC.encrypt(PrivateKeyInfo.octets(of: key), using: secret, iv: vector)
        var coder = DER.Serializer()
        try coder.appendConstructedNode(identifier: .sequence) { coder in
            try coder.appendConstructedNode(identifier: .sequence) { coder in
                try coder.serialize(pbes2)
                try coder.appendConstructedNode(identifier: .sequence) { coder in
                    try appendScrypt(salt, to: &coder)
                    try coder.appendConstructedNode(identifier: .sequence) { coder in
                        try coder.serialize(aes256CBC)
                        try coder.serialize(ASN1OctetString(contentBytes: ArraySlice(vector)))
                    }
                }
            }
            try coder.serialize(ASN1OctetString(contentBytes: ArraySlice(sealed)))
        }
        return PEMDocument(type: pemType, derBytes: coder.serializedBytes).pemString + "\n"
    }

    /// RFC 7914 §7.
    private static func appendScrypt(_ salt: [UInt8], to coder: inout DER.Serializer) throws {
        try coder.appendConstructedNode(identifier: .sequence) { coder in
            try coder.serialize(scrypt)
            try coder.appendConstructedNode(identifier: .sequence) { coder in
                try coder.serialize(ASN1OctetString(contentBytes: ArraySlice(salt)))
                try coder.serialize(cost.rounds)
                try coder.serialize(cost.blockSize)
                try coder.serialize(cost.parallelism)
            }
        }
    }

    /// The 32 octets of a key's secret.
    /// - Parameter pem: of one document.
    static func open(
        _ pem: String, of algorithm: ZoneKey.Algorithm, with passphrase: KeyPassphrase
    ) throws(Fault) -> [UInt8] {
        let locked: Locked
        do {
            let document = try PEMDocument(pemString: pem)
            guard document.discriminator == pemType else { throw Fault.malformed }
            locked = try Locked(document.derBytes, passphrase)
        } catch {
            throw .malformed
        }
        // A wrong key of the cipher fails at its padding, or one time in 256 at what it covers.
        guard let octets = try? AES._CBC.decrypt(locked.text, using: locked.key, iv: locked.vector),
            let secret = PrivateKeyInfo.secret(in: Array(octets), of: algorithm)
        else { throw .sealed }
        return secret
    }

    /// What RFC 8018 §6.2 and appendix A.4 lay down, read, and the cipher's key made of it.
    private struct Locked {
        let key: SymmetricKey
        let vector: AES._CBC.IV
        let text: [UInt8]

        init(_ der: [UInt8], _ passphrase: KeyPassphrase) throws {
            (key, vector, text) = try DER.sequence(DER.parse(der), identifier: .sequence) { whole in
                let (key, vector) = try sequence(&whole) { scheme in
                    try expect(pbes2, &scheme)
                    return try sequence(&scheme) { parameters in
                        let key = try sequence(&parameters) {
                            try derived(passphrase, &$0)
                        }
                        let vector = try sequence(&parameters) {
                            try expect(aes256CBC, &$0)
                            return try AES._CBC.IV(ivBytes: ASN1OctetString(derEncoded: &$0).bytes)
                        }
                        return (key, vector)
                    }
                }
                return (key, vector, Array(try ASN1OctetString(derEncoded: &whole).bytes))
            }
        }
    }

    private static func derived(
        _ passphrase: KeyPassphrase, _ nodes: inout ASN1NodeCollection.Iterator
    ) throws -> SymmetricKey {
        let method = try ASN1ObjectIdentifier(derEncoded: &nodes)
        return try sequence(&nodes) { nodes in
            let salt = Array(try ASN1OctetString(derEncoded: &nodes).bytes)
            let rounds = try Int(derEncoded: &nodes)
            guard (1...mostRounds).contains(rounds) else { throw Fault.malformed }
            switch method {
            case scrypt:
                let (size, lanes) = (try Int(derEncoded: &nodes), try Int(derEncoded: &nodes))
                // A length of the key may follow.
                if let length = nodes.next() {
                    guard try Int(derEncoded: length) == 32 else { throw Fault.malformed }
                }
                guard (1...64).contains(size), (1...64).contains(lanes),
                    128 * rounds * size <= mostMemory
                else { throw Fault.malformed }
                return try KDF.Scrypt.deriveKey(
                    from: passphrase.octets, salt: salt, outputByteCount: 32, rounds: rounds,
                    blockSize: size, parallelism: lanes)
            case pbkdf2:
                // SHA-1, which stands there when nothing does, is nothing that OpenSSL still chooses.
                try sequence(&nodes) {
                    try expect(hmacSHA256, &$0)
                    _ = $0.next()
                }
                return try KDF.Insecure.PBKDF2.deriveKey(
                    from: passphrase.octets, salt: salt, using: .sha256, outputByteCount: 32,
                    unsafeUncheckedRounds: rounds)
            default: throw Fault.malformed
            }
        }
    }

    private static func sequence<Result>(
        _ nodes: inout ASN1NodeCollection.Iterator,
        _ body: (inout ASN1NodeCollection.Iterator) throws -> Result
    ) throws -> Result {
        guard let node = nodes.next() else { throw Fault.malformed }
        return try DER.sequence(node, identifier: .sequence, body)
    }

    private static func expect(
        _ identifier: ASN1ObjectIdentifier, _ nodes: inout ASN1NodeCollection.Iterator
    ) throws {
        guard try ASN1ObjectIdentifier(derEncoded: &nodes) == identifier else {
            throw Fault.malformed
        }
    }
}

/// A key's secret as PKCS#8 has it, in the clear: RFC 5915 for P-256, RFC 8410 §7 for Ed25519.
private enum PrivateKeyInfo {
    /// Everything before the 32 octets: version 0, the algorithm, an octet string in an octet string.
    private static let ed25519Head: [UInt8] = [
        0x30, 0x2E, 2, 1, 0, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ]

    static func octets(of key: ZoneKey) throws -> [UInt8] {
        switch key.algorithm {
        case .ecdsaP256SHA256:
            Array(try P256.Signing.PrivateKey(rawRepresentation: key.secret).derRepresentation)
        case .ed25519: ed25519Head + key.secret
        }
    }

    /// - Returns: nil when it is no key of this algorithm.
    static func secret(in octets: [UInt8], of algorithm: ZoneKey.Algorithm) -> [UInt8]? {
        switch algorithm {
        case .ecdsaP256SHA256:
            return (try? P256.Signing.PrivateKey(derRepresentation: octets)).map {
                Array($0.rawRepresentation)
            }
        case .ed25519:
            guard octets.count == ed25519Head.count + 32, octets.starts(with: ed25519Head) else {
                return nil
            }
            return Array(octets.suffix(32))
        }
    }
}
