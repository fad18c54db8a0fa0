import Foundation

/// The keys that bounce addresses and unsubscribe links are signed with: one file of the control node, a line
/// of 64 hexadecimal digits per key. The first signs, all verify, so a new key is put on top and an old one
/// taken away when its last token has expired. Whoever has the file can forge unsubscribes.
public enum TokenKeyFile {
    /// Reads `token.key`, or makes it with one random key, for the owner's eyes only.
    /// - Throws: `TokenKeyError` when it cannot be read or made, says something else, or others may read it.
    public static func keys(inDirectory directory: String) throws -> [[UInt8]] {
        let path = directory + "/token.key"
        if !FileManager.default.fileExists(atPath: path) {
            // Another key would make void every link and bounce address that went out.
            guard !FileManager.default.fileExists(atPath: directory + "/ledger.sqlite") else {
                throw TokenKeyError(
                    "'\(path)' is missing, and the ledger beside it is not new: put it back, or give up all links "
                        + "and bounce addresses sent so far by '(umask 077; openssl rand -hex 32 > \(path))'"
                )
            }
            try make(path)
        }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw TokenKeyError("cannot read '\(path)'")
        }
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        if let mode = attributes[.posixPermissions] as? Int, mode & 0o077 != 0 {
            throw TokenKeyError("others may read '\(path)': chmod 600 it, or make a new key")
        }
        var keys: [[UInt8]] = []
        let lines = String(decoding: data, as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let text = line.trimmingCharacters(in: .whitespaces)
            if text.isEmpty || text.hasPrefix("#") { continue }
            guard let key = key(text) else {
                throw TokenKeyError(
                    "\(path):\(index + 1):1: error: a key is 64 hexadecimal digits")
            }
            keys.append(key)
        }
        guard !keys.isEmpty else { throw TokenKeyError("'\(path)' has no key") }
        return keys
    }

    private static func key(_ text: String) -> [UInt8]? {
        let digits = text.utf8.compactMap { UInt8(String(UnicodeScalar($0)), radix: 16) }
        guard text.utf8.count == 64, digits.count == 64 else { return nil }
        return stride(from: 0, to: 64, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private static func make(_ path: String) throws {
        var random = SystemRandomNumberGenerator()
        let digits = (0..<64).map { _ in String(UInt8.random(in: 0...15, using: &random), radix: 16)
        }
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        guard file >= 0 else {
            throw TokenKeyError("cannot make '\(path)': \(unsafe String(cString: strerror(errno)))")
        }
        let handle = FileHandle(fileDescriptor: file, closeOnDealloc: true)
        do {
            try handle.write(contentsOf: Data((digits.joined() + "\n").utf8))
            try handle.synchronize()
        } catch {
            try? FileManager.default.removeItem(atPath: path)
            throw TokenKeyError("cannot write '\(path)': \(error.localizedDescription)")
        }
    }
}

/// Why there are no token keys.
public struct TokenKeyError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
