import Foundation

/// What the zone's keys on disk are encrypted under. It is never printed.
public struct KeyPassphrase: Hashable, Sendable, CustomStringConvertible {
    let octets: [UInt8]

    public var description: String { "a passphrase" }

    /// The first line of a file that nobody but its owner may read; the same that `openssl -passin file:` takes.
    /// - Throws: when it cannot be read, others may read it, or the line is empty.
    public init(file path: String) throws(NameServerError) {
        guard let bytes = try DurableFile.read(path),
            let facts = try? FileManager.default.attributesOfItem(atPath: path)
        else { throw NameServerError("there is no file of a passphrase at \(path)") }
        let mode = (facts[.posixPermissions] as? NSNumber)?.intValue ?? 0
        guard mode & 0o077 == 0 else {
            throw NameServerError(
                "others may read the passphrase in \(path): say 'chmod 600 \(path)'")
        }
        let line = bytes.prefix { $0 != 0x0A && $0 != 0x0D }
        guard !line.isEmpty else {
            throw NameServerError(
                "the first line of \(path) is empty: make a passphrase by 'openssl rand -base64 32'"
            )
        }
        octets = Array(line)
    }
}
