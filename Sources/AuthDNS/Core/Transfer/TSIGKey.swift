import Crypto

/// A secret that two name servers share under a name, to know each other's messages by (RFC 8945 §5).
public struct TSIGKey: Hashable, Sendable {
    public enum Algorithm: String, CaseIterable, Sendable {
        case sha256 = "hmac-sha256"
        case sha384 = "hmac-sha384"
        case sha512 = "hmac-sha512"

        /// Octets of a MAC.
        var length: Int {
            switch self {
            case .sha256: 32
            case .sha384: 48
            case .sha512: 64
            }
        }

        /// Its name in messages; both servers write it alike.
        var name: DomainName { DomainName(rawValue) ?? .root }
    }

    public let name: DomainName
    public let algorithm: Algorithm
    let secret: [UInt8]

    /// - Parameter secret: 16 octets and more; as many as the MAC has is best.
    /// - Returns: nil for a shorter secret.
    public init?(name: DomainName, algorithm: Algorithm, secret: [UInt8]) {
        guard secret.count >= 16 else { return nil }
        self.name = name
        self.algorithm = algorithm
        self.secret = secret
    }

    func code(of bytes: [UInt8]) -> [UInt8] {
        let key = SymmetricKey(data: secret)
        return switch algorithm {
        case .sha256: Array(HMAC<SHA256>.authenticationCode(for: bytes, using: key))
        case .sha384: Array(HMAC<SHA384>.authenticationCode(for: bytes, using: key))
        case .sha512: Array(HMAC<SHA512>.authenticationCode(for: bytes, using: key))
        }
    }

    /// In a time that does not depend on where they differ.
    func isCode(_ code: [UInt8], of bytes: [UInt8]) -> Bool {
        let key = SymmetricKey(data: secret)
        return switch algorithm {
        case .sha256:
            HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: bytes, using: key)
        case .sha384:
            HMAC<SHA384>.isValidAuthenticationCode(code, authenticating: bytes, using: key)
        case .sha512:
            HMAC<SHA512>.isValidAuthenticationCode(code, authenticating: bytes, using: key)
        }
    }
}
