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
    /// Keys whose secret is in the clear.
    private var plain: Set<ZoneKey> = []

    /// - Parameter passphrase: of keys that are encrypted, and for new ones; nil: new ones are in the clear.
    public init(path: String, zone: DomainName, passphrase: KeyPassphrase? = nil) {
        self.path = path
        self.zone = zone
        self.passphrase = passphrase
    }

    /// Whether its secret is encrypted on disk.
    func isEncrypted(_ key: ZoneKey) -> Bool { sealed[key] != nil }

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
        var text = """
            Private-key-format: v1.3
            Algorithm: \(key.key.algorithm.rawValue) (\(key.key.algorithm.mnemonic))

            """
        if encrypted == nil {
            text += "PrivateKey: \(Data(key.key.secret).base64EncodedString())\n"
        }
        text += "Created: \(KeyDirectory.stamp(key.created))\n"
        for (name, moment) in KeyDirectory.moments {
            if let time = key[keyPath: moment] { text += "\(name): \(KeyDirectory.stamp(time))\n" }
        }
        text += encrypted ?? ""
        let data = Data(key.key.publicData.dropFirst(4)).base64EncodedString()
        let flags = key.key.isEntryPoint ? 257 : 256
        let open = "\(zone). IN DNSKEY \(flags) 3 \(key.key.algorithm.rawValue) \(data)\n"
        // A public file alone is not looked at; a private one alone would be a fault.
        try DurableFile.write(Array(open.utf8), to: stem + ".key", mode: 0o644)
        try DurableFile.write(Array(text.utf8), to: stem + ".private")
    }

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

    /// Names of moments in private files; BIND's, as far as it has them.
    private static var moments: [(String, WritableKeyPath<TimedKey, UInt64?>)] {
        [
            ("Publish", \.published), ("SyncPublish", \.announced), ("DSPublish", \.delegated),
            ("Activate", \.activated), ("Inactive", \.retired), ("DSWithdraw", \.withdrawn),
            ("DSRemoved", \.undelegated),
            ("Delete", \.removed),
        ]
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
        var fields: [String: String] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            fields[String(parts[0])] = parts[1].trimmingCharacters(in: .whitespaces)
        }
        let number = fields["Algorithm"]?.prefix { $0.isNumber } ?? ""
        guard let algorithm = UInt8(number).flatMap(ZoneKey.Algorithm.init(rawValue:)) else {
            throw NameServerError(
                "\(file): algorithm '\(number)' is not supported: 13 (P-256) and 15 (Ed25519) are")
        }
        let pem = text.range(of: "-----BEGIN ").map { String(text[$0.lowerBound...]) }
        let secret =
            if let pem { try opened(pem, algorithm, file) } else {
                fields["PrivateKey"].flatMap { Data(base64Encoded: $0) }.map { Array($0) } ?? []
            }
        guard
            let key = ZoneKey(
                zone: zone, algorithm: algorithm, isEntryPoint: try isEntryPoint(file),
                secret: secret)
        else { throw NameServerError("\(file): the PrivateKey line has no key") }
        if let pem { sealed[key] = pem } else { plain.insert(key) }
        var timed = TimedKey(key, created: try moment(fields["Created"], file) ?? 0)
        for (name, path) in KeyDirectory.moments {
            timed[keyPath: path] = try moment(fields[name], file)
        }
        return timed
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

    /// The flags are in the public file alone.
    private func isEntryPoint(_ file: String) throws(NameServerError) -> Bool {
        let open = file.dropLast("private".count) + "key"
        guard let text = try? String(contentsOfFile: String(open), encoding: .utf8) else {
            throw NameServerError("cannot read \(open), which belongs to \(file)")
        }
        let line = text.split(whereSeparator: \.isNewline).first { !$0.hasPrefix(";") } ?? ""
        let words = line.split(whereSeparator: \.isWhitespace)
        guard let at = words.firstIndex(of: "DNSKEY"), at + 1 < words.count,
            let flags = UInt16(words[at + 1])
        else { throw NameServerError("\(open) has no DNSKEY record") }
        return flags & 1 == 1
    }

    /// `YYYYMMDDHHMMSS` in UTC.
    static func stamp(_ time: UInt64) -> String {
        let date = Calendar.utc.dateComponents(
            [.year, .month, .day, .hour, .minute, .second],
            from: Date(timeIntervalSince1970: Double(time)))
        return [date.year, date.month, date.day, date.hour, date.minute, date.second]
            .map { $0 ?? 0 }.map { $0 < 10 ? "0\($0)" : "\($0)" }.joined()
    }

    private func moment(_ text: String?, _ file: String) throws(NameServerError) -> UInt64? {
        guard let text else { return nil }
        let digits = text.compactMap(\.wholeNumberValue)
        func number(_ range: Range<Int>) -> Int { digits[range].reduce(0) { $0 * 10 + $1 } }
        guard digits.count == 14, text.count == 14,
            let date = Calendar.utc.date(
                from: DateComponents(
                    year: number(0..<4), month: number(4..<6), day: number(6..<8),
                    hour: number(8..<10), minute: number(10..<12), second: number(12..<14)))
        else { throw NameServerError("\(file): '\(text)' is no time: write YYYYMMDDHHMMSS") }
        return UInt64(max(date.timeIntervalSince1970, 0))
    }
}

extension Calendar {
    fileprivate static var utc: Calendar {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(secondsFromGMT: 0) ?? calendar.timeZone
        return calendar
    }
}
