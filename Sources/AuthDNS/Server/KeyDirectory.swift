public import AuthDNSCore
import Foundation

/// The zone's DNSSEC keys on disk, one pair of files for each as BIND and ldns name and write them
/// (`Kzone.+013+12345.key`, `.private`), so that they can be brought along and taken away. The private file, which
/// nobody but its owner may read, also has the moments of the key's life.
public struct KeyDirectory: Sendable {
    public let path: String
    private let zone: DomainName

    public init(path: String, zone: DomainName) {
        self.path = path
        self.zone = zone
    }

    /// Every key of the zone, in the order of creation.
    /// - Throws: for a file that is damaged or that others may read.
    public func load() throws(NameServerError) -> [TimedKey] {
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
        for name in names.sorted() where name.hasPrefix("K\(zone).+") && name.hasSuffix(".private")
        {
            keys.append(try read(path + "/" + name))
        }
        return keys.sorted { ($0.created, $0.key.tag) < ($1.created, $1.key.tag) }
    }

    /// Writes a key and its moments durably.
    /// - Throws: when the disk does not take it; the files before stay.
    public func save(_ key: TimedKey) throws(NameServerError) {
        let stem = path + "/" + KeyDirectory.stem(key.key)
        let secret = Data(key.key.secret).base64EncodedString()
        var text = """
            Private-key-format: v1.3
            Algorithm: \(key.key.algorithm.rawValue) (\(key.key.algorithm.mnemonic))
            PrivateKey: \(secret)
            Created: \(KeyDirectory.stamp(key.created))

            """
        for (name, moment) in KeyDirectory.moments {
            if let time = key[keyPath: moment] { text += "\(name): \(KeyDirectory.stamp(time))\n" }
        }
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
        return "K\(key.zone).+\(padded(Int(key.algorithm.rawValue), 3))+\(padded(Int(key.tag), 5))"
    }

    /// Names of moments in private files; BIND's, as far as it has them.
    private static var moments: [(String, WritableKeyPath<TimedKey, UInt64?>)] {
        [
            ("Publish", \.published), ("SyncPublish", \.announced), ("DSPublish", \.delegated),
            ("Activate", \.activated), ("Inactive", \.retired), ("Delete", \.removed),
        ]
    }

    private func read(_ file: String) throws(NameServerError) -> TimedKey {
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
        guard let secret = fields["PrivateKey"].flatMap({ Data(base64Encoded: $0) }),
            let key = ZoneKey(
                zone: zone, algorithm: algorithm, isEntryPoint: try isEntryPoint(file),
                secret: Array(secret))
        else { throw NameServerError("\(file): the PrivateKey line has no key") }
        var timed = TimedKey(key, created: try moment(fields["Created"], file) ?? 0)
        for (name, path) in KeyDirectory.moments {
            timed[keyPath: path] = try moment(fields[name], file)
        }
        return timed
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
