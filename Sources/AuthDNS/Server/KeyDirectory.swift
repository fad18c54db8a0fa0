public import AuthDNSCore
import Foundation

/// The zone's DNSSEC keys on disk, one pair of files for each as BIND and ldns name and write them
/// (`Kzone.+013+12345.key`, `.private`), so that they can be brought along and taken away. The private file, which
/// nobody but its owner may read, also has the moments of the key's life. Under a passphrase the secret is encrypted
/// PKCS#8 behind the moments, in place of the line that BIND and ldns look for: `openssl pkey` reads that file.
public struct KeyDirectory: Sendable {
    public let path: String
    private let zone: DomainName
    private let passphrase: KeyPassphrase?
    /// The encrypted text of keys that have one, so that it is not made anew for each moment.
    private var sealed: [ZoneKey: String] = [:]
    /// The same of keys that are shared with other name servers.
    private var shared: [ZoneKey: String] = [:]
    /// Encrypted texts that the passphrase does not open: finding that out takes long.
    private var unopened: [String: NameServerError] = [:]
    /// Keys whose secret is in the clear.
    private var plain: Set<ZoneKey> = []

    /// - Parameter passphrase: of keys that are encrypted, and for new ones; nil: new ones are in the clear.
    public init(path: String, zone: DomainName, passphrase: KeyPassphrase? = nil) {
        self.path = path
        self.zone = zone
        self.passphrase = passphrase
    }

    /// Whether its secret is encrypted on disk.
    func isEncrypted(_ key: ZoneKey) -> Bool { sealed[key] != nil && !plain.contains(key) }

    /// Every key of the zone, in the order of creation.
    /// - Throws: for a file that is damaged, that others may read, or that the passphrase does not open.
    public mutating func load() throws(NameServerError) -> [TimedKey] {
        let names: [String]
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
            names = try FileManager.default.contentsOfDirectory(atPath: path)
        } catch {
            throw NameServerError("cannot read the keys in \(path): \(error.localizedDescription)")
        }
        var keys: [TimedKey] = []
        for name in names.sorted()
        where name.hasPrefix("K\(KeyDirectory.safe(zone)).+") && name.hasSuffix(".private") {
            keys.append(try read(path + "/" + name))
        }
        return keys.sorted { ($0.created, $0.key.tag) < ($1.created, $1.key.tag) }
    }

    /// Writes a key and its moments durably: in the clear if it is so already or there is no passphrase, else
    /// encrypted.
    /// - Throws: when the disk does not take it; the files before stay.
    public mutating func save(_ key: TimedKey) throws(NameServerError) {
        if passphrase == nil && sealed[key.key] == nil { plain.insert(key.key) }
        let encrypted = plain.contains(key.key) ? nil : try encrypted(key.key)
        try write(key, encrypted)
        sealed[key.key] = encrypted
    }

    /// Writes a key that is in the clear anew, encrypted.
    /// - Returns: whether it was in the clear.
    /// - Throws: when there is no passphrase, or the disk does not take it; it stays in the clear then.
    mutating func encrypt(_ key: TimedKey) throws(NameServerError) -> Bool {
        guard plain.contains(key.key) else { return false }
        let encrypted = try encrypted(key.key)
        try write(key, encrypted)
        plain.remove(key.key)
        sealed[key.key] = encrypted
        return true
    }

    /// The text of a key that other name servers are given.
    mutating func sharedText(_ key: TimedKey) throws(NameServerError) -> KeyText {
        let pem: String
        if let known = shared[key.key] { pem = known } else { pem = try encrypted(key.key) }
        shared[key.key] = pem
        return KeyText(key, encrypted: pem)
    }

    private func encrypted(_ key: ZoneKey) throws(NameServerError) -> String {
        if let known = sealed[key] { return known }
        guard let passphrase else {
            throw NameServerError(
                "there is no passphrase to encrypt keys under: start serve with --keys-passphrase")
        }
        do {
            return try EncryptedKey.seal(key, with: passphrase)
        } catch {
            throw NameServerError("key \(key.tag) cannot be encrypted: \(error)")
        }
    }

    private func write(_ key: TimedKey, _ encrypted: String?) throws(NameServerError) {
        let stem = path + "/" + KeyDirectory.stem(key.key)
        let text = KeyText(key, encrypted: encrypted)
        // A public file alone is not looked at; a private one alone would be a fault.
        try DurableFile.write(Array(text.open.utf8), to: stem + ".key", mode: 0o644)
        try DurableFile.write(Array(text.closed.utf8), to: stem + ".private")
    }

    /// Puts a key's files beside the others, under names that are not looked at.
    func setAside(_ key: ZoneKey) {
        let stem = path + "/" + KeyDirectory.stem(key)
        for end in [".private", ".key"] {
            try? FileManager.default.removeItem(atPath: stem + end + ".aside")
            try? FileManager.default.moveItem(atPath: stem + end, toPath: stem + end + ".aside")
        }
    }

    /// Of the farm's keys as they were taken last; 0 for never.
    func farmVersion() throws(NameServerError) -> UInt64 {
        guard let bytes = try DurableFile.read(versionFile) else { return 0 }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let number = UInt64(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw NameServerError("\(versionFile) is damaged: it should be a number")
        }
        return number
    }

    func save(farmVersion: UInt64) throws(NameServerError) {
        try DurableFile.write(Array("\(farmVersion)\n".utf8), to: versionFile)
    }

    private var versionFile: String { "\(path)/K\(KeyDirectory.safe(zone)).farm" }

    /// Removes a key for good.
    func remove(_ key: ZoneKey) {
        for end in [".private", ".key"] {
            try? FileManager.default.removeItem(atPath: path + "/" + KeyDirectory.stem(key) + end)
        }
    }

    private static func stem(_ key: ZoneKey) -> String {
        func padded(_ number: Int, _ width: Int) -> String {
            String(repeating: "0", count: max(0, width - String(number).count)) + String(number)
        }
        return
            "K\(safe(key.zone)).+\(padded(Int(key.algorithm.rawValue), 3))+\(padded(Int(key.tag), 5))"
    }

    /// A name as part of a file's name; that of a reverse zone may have a slash (RFC 2317).
    private static func safe(_ zone: DomainName) -> String {
        zone.description.replacing("/", with: "%2F")
    }

    private mutating func read(_ file: String) throws(NameServerError) -> TimedKey {
        let facts = try? FileManager.default.attributesOfItem(atPath: file)
        let mode = (facts?[.posixPermissions] as? NSNumber)?.intValue ?? 0
        guard mode & 0o077 == 0 else {
            throw NameServerError("others may read the key in \(file): say 'chmod 600 \(file)'")
        }
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw NameServerError("cannot read \(file)")
        }
        let open = String(file.dropLast("private".count)) + "key"
        guard let publicText = try? String(contentsOfFile: open, encoding: .utf8) else {
            throw NameServerError("cannot read \(open), which belongs to \(file)")
        }
        return try timedKey(KeyText(open: publicText, closed: text), from: file)
    }

    /// A key and the moments of its life, from their text.
    /// - Parameter origin: the file of the text, or whatever else it is from; for messages.
    /// - Throws: for a text that is damaged or that the passphrase does not open.
    mutating func timedKey(
        _ text: KeyText, from origin: String
    ) throws(NameServerError) -> TimedKey {
        let algorithm = try text.algorithm(origin)
        let pem = text.encrypted
        let known = pem.flatMap { pem in
            (sealed.first { $0.value == pem } ?? shared.first { $0.value == pem })?.key
        }
        if let known { return try text.timedKey(known, origin) }
        if let pem, let fault = unopened[pem] { throw fault }
        let secret: [UInt8]
        do throws(NameServerError) {
            secret = if let pem { try opened(pem, algorithm, origin) } else { text.clearSecret }
        } catch {
            if let pem { unopened[pem] = error }
            throw error
        }
        guard
            let key = ZoneKey(
                zone: zone, algorithm: algorithm, isEntryPoint: try text.isEntryPoint(origin),
                secret: secret)
        else { throw NameServerError("\(origin): the PrivateKey line has no key") }
        if let pem { sealed[key] = pem } else { plain.insert(key) }
        return try text.timedKey(key, origin)
    }

    /// A key that name servers share. Whoever can write where they share it must not bring in a secret that others know,
    /// nor a key that is published as another one than it signs as.
    /// - Throws: as `timedKey`, and for one whose secret is in the clear, that is another zone's, or whose two parts do not
    ///   belong together.
    mutating func sharedKey(_ text: KeyText) throws(NameServerError) -> TimedKey {
        let origin = "the farm's key"
        guard text.encrypted != nil else {
            throw NameServerError("\(origin) has its secret in the clear: nothing signs with it")
        }
        let key = try timedKey(text, from: origin)
        guard text.isOf(key.key), try text.algorithm(origin) == key.key.algorithm else {
            throw NameServerError(
                "\(origin) \(key.key.tag) is not what its DNSKEY record for \(zone) says")
        }
        return key
    }

    private func opened(
        _ pem: String, _ algorithm: ZoneKey.Algorithm, _ file: String
    ) throws(NameServerError) -> [UInt8] {
        guard let passphrase else {
            throw NameServerError(
                "the key in \(file) is encrypted: give its passphrase by --keys-passphrase")
        }
        do {
            return try EncryptedKey.open(pem, of: algorithm, with: passphrase)
        } catch {
            switch error {
            case .sealed:
                throw NameServerError("the passphrase of --keys-passphrase does not open \(file)")
            case .malformed:
                throw NameServerError(
                    "\(file): its encrypted key is damaged or not PBES2 with AES-256-CBC and scrypt or "
                        + "PBKDF2-HMAC-SHA256")
            }
        }
    }
}
