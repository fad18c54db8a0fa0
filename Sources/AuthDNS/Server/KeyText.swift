import AuthDNSCore
import Foundation

/// A zone key and the moments of its life as text, in the two parts that BIND and ldns write them in: the DNSKEY record,
/// and beside it the secret, in the clear or as encrypted PKCS#8, with the moments. Where the text is kept is not known here.
struct KeyText: Hashable, Sendable {
    /// The DNSKEY record.
    let open: String
    /// The secret and the moments.
    let closed: String
    /// Values of lines in `closed`, by name.
    private let fields: [String: String]

    init(open: String, closed: String) {
        self.open = open
        self.closed = closed
        var fields: [String: String] = [:]
        for line in closed.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            fields[String(parts[0])] = parts[1].trimmingCharacters(in: .whitespaces)
        }
        self.fields = fields
    }

    /// - Parameter encrypted: the secret in PEM; nil: it is written in the clear.
    init(_ key: TimedKey, encrypted: String?) {
        var text = """
            Private-key-format: v1.3
            Algorithm: \(key.key.algorithm.rawValue) (\(key.key.algorithm.mnemonic))

            """
        if encrypted == nil {
            text += "PrivateKey: \(Data(key.key.secret).base64EncodedString())\n"
        }
        text += "Created: \(KeyText.stamp(key.created))\n"
        for (name, moment) in KeyText.moments {
            if let time = key[keyPath: moment] { text += "\(name): \(KeyText.stamp(time))\n" }
        }
        text += encrypted ?? ""
        self.init(open: KeyText.record(of: key.key), closed: text)
    }

    private static func record(of key: ZoneKey) -> String {
        let data = Data(key.publicData.dropFirst(4)).base64EncodedString()
        let flags = key.isEntryPoint ? 257 : 256
        return "\(key.zone). IN DNSKEY \(flags) 3 \(key.algorithm.rawValue) \(data)\n"
    }

    /// Whether the open part is the one that is written for this key; zone files may spell its zone in other letters.
    func isOf(_ key: ZoneKey) -> Bool {
        let (own, other) = (
            open.split(separator: " "), KeyText.record(of: key).split(separator: " ")
        )
        return own.first?.lowercased() == other.first?.lowercased()
            && own.dropFirst().elementsEqual(other.dropFirst())
    }

    /// The secret in PEM; nil when it is in the clear.
    var encrypted: String? {
        closed.range(of: "-----BEGIN ").map { String(closed[$0.lowerBound...]) }
    }

    /// The secret that is in the clear; empty when there is none.
    var clearSecret: [UInt8] {
        fields["PrivateKey"].flatMap { Data(base64Encoded: $0) }.map { Array($0) } ?? []
    }

    /// - Parameter origin: where the text is from, for messages; here as below.
    func algorithm(_ origin: String) throws(NameServerError) -> ZoneKey.Algorithm {
        let number = fields["Algorithm"]?.prefix { $0.isNumber } ?? ""
        guard let algorithm = UInt8(number).flatMap(ZoneKey.Algorithm.init(rawValue:)) else {
            throw NameServerError(
                "\(origin): algorithm '\(number)' is not supported: 13 (P-256) and 15 (Ed25519) are"
            )
        }
        return algorithm
    }

    /// The flags are in the open part alone.
    func isEntryPoint(_ origin: String) throws(NameServerError) -> Bool {
        let line = open.split(whereSeparator: \.isNewline).first { !$0.hasPrefix(";") } ?? ""
        let words = line.split(whereSeparator: \.isWhitespace)
        guard let at = words.firstIndex(of: "DNSKEY"), at + 1 < words.count,
            let flags = UInt16(words[at + 1])
        else { throw NameServerError("the public half of \(origin) has no DNSKEY record") }
        return flags & 1 == 1
    }

    /// A key with the moments that are told here.
    func timedKey(_ key: ZoneKey, _ origin: String) throws(NameServerError) -> TimedKey {
        var timed = TimedKey(key, created: try moment(fields["Created"], origin) ?? 0)
        for (name, path) in KeyText.moments {
            timed[keyPath: path] = try moment(fields[name], origin)
        }
        return timed
    }

    /// Names of moments; BIND's, as far as it has them.
    private static var moments: [(String, WritableKeyPath<TimedKey, UInt64?>)] {
        [
            ("Publish", \.published), ("SyncPublish", \.announced), ("DSPublish", \.delegated),
            ("Activate", \.activated), ("Inactive", \.retired), ("DSWithdraw", \.withdrawn),
            ("DSRemoved", \.undelegated),
            ("Delete", \.removed),
        ]
    }

    /// `YYYYMMDDHHMMSS` in UTC.
    private static func stamp(_ time: UInt64) -> String {
        let date = Calendar.utc.dateComponents(
            [.year, .month, .day, .hour, .minute, .second],
            from: Date(timeIntervalSince1970: Double(time)))
        return [date.year, date.month, date.day, date.hour, date.minute, date.second]
            .map { $0 ?? 0 }.map { $0 < 10 ? "0\($0)" : "\($0)" }.joined()
    }

    private func moment(_ text: String?, _ origin: String) throws(NameServerError) -> UInt64? {
        guard let text else { return nil }
        let digits = text.compactMap(\.wholeNumberValue)
        func number(_ range: Range<Int>) -> Int { digits[range].reduce(0) { $0 * 10 + $1 } }
        guard digits.count == 14, text.count == 14,
            let date = Calendar.utc.date(
                from: DateComponents(
                    year: number(0..<4), month: number(4..<6), day: number(6..<8),
                    hour: number(8..<10), minute: number(10..<12), second: number(12..<14)))
        else { throw NameServerError("\(origin): '\(text)' is no time: write YYYYMMDDHHMMSS") }
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
