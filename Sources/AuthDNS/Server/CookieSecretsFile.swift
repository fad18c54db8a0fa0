import AuthDNSCore
import Glibc

/// The file that the servers of a zone share cookie secrets by, in the form that NSD and BIND have too.
enum CookieSecretsFile {
    /// - Returns: one secret or two, that which makes cookies first.
    /// - Throws: when it cannot be read, anybody may read it, or a line is no secret.
    static func read(_ path: String) throws(NameServerError) -> [CookieSecret] {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw NameServerError("cannot read \(path): \(unsafe String(cString: strerror(errno)))")
        }
        defer { close(file) }
        var facts = stat()
        guard unsafe fstat(file, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
            throw NameServerError("\(path) is not a file")
        }
        guard facts.st_mode & 0o007 == 0 else {
            throw NameServerError(
                "anybody may read the cookie secrets in \(path): say 'chmod 600 \(path)'")
        }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe Glibc.read(file, &bytes, bytes.count)
        return try secrets(
            in: String(decoding: bytes[..<max(count, 0)], as: UTF8.self), path: path)
    }

    private static func secrets(
        in text: String, path: String
    ) throws(NameServerError) -> [CookieSecret] {
        var secrets: [CookieSecret] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            let word = line.prefix { $0 != "#" && $0 != " " && $0 != "\t" && $0 != "\r" }
            if word.isEmpty { continue }
            guard let secret = CookieSecret(hex: String(word)) else {
                throw NameServerError(
                    "\(path):\(index + 1): error: a cookie secret has 32 hexadecimal digits")
            }
            guard secrets.count < 2 else {
                throw NameServerError(
                    "\(path):\(index + 1): error: a third secret; give the active one and one more")
            }
            secrets.append(secret)
        }
        guard !secrets.isEmpty else {
            throw NameServerError(
                "\(path) has no cookie secret; make one by 'openssl rand -hex 16'")
        }
        return secrets
    }
}
