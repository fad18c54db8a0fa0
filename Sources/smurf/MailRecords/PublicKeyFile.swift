import Foundation
import SwiftASN1
import X509

/// PEM files of certificates, public keys and private keys, of which only the public key is of interest. Encrypted
/// keys are not read: give the public key instead.
enum PublicKeyFile {
    enum Kind {
        case rsa
        case ed25519
        case other
    }

    /// The key as certificates carry it (RFC 5280 §4.1.2.7), DER.
    /// - Throws: with the path, when there is none in the file.
    static func subjectPublicKeyInfo(at path: String) throws(MailRecordError) -> [UInt8] {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw MailRecordError("\(path): cannot be read")
        }
        do {
            return try subjectPublicKeyInfo(in: text)
        } catch {
            throw MailRecordError(
                "\(path): no certificate and no key in PEM that is understood (RSA keys need 2048 bits; of an "
                    + "encrypted key, 'openssl pkey -in FILE -pubout' prints the public part)")
        }
    }

    private static func subjectPublicKeyInfo(in text: String) throws -> [UInt8] {
        let document = try PEMDocument.parseMultiple(pemString: text).first {
            $0.discriminator != "EC PARAMETERS"
        }
        guard let document else { throw ASN1Error.invalidPEMDocument(reason: "it is empty") }
        switch document.discriminator {
        case "CERTIFICATE":
            return try Certificate(pemDocument: document).publicKey.serializeAsPEM().derBytes
        case "PUBLIC KEY":
            _ = try Certificate.PublicKey(pemDocument: document)
            return document.derBytes
        default:
            let key = try Certificate.PrivateKey(pemDocument: document)
            return try key.publicKey.serializeAsPEM().derBytes
        }
    }

    static func kind(of info: [UInt8]) -> Kind {
        // Object identifiers 1.2.840.113549.1.1.1 and 1.3.101.112.
        let rsa: [UInt8] = [0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01]
        let edwards: [UInt8] = [0x06, 0x03, 0x2B, 0x65, 0x70]
        let head = info.prefix(24)
        if head.indices.contains(where: { info[$0...].starts(with: rsa) }) { return .rsa }
        if info.count == 44, head.indices.contains(where: { info[$0...].starts(with: edwards) }) {
            return .ed25519
        }
        return .other
    }
}
