import Crypto
import Farm
import Foundation

/// An MTA-STS policy file (RFC 8461 §3.2): read to be sure that what the zone points at is one, and to name its
/// version. Serving it, at https://mta-sts.<zone>/.well-known/mta-sts.txt, is the web role's work.
struct TransportPolicy {
    /// Changes whenever the file does.
    let id: String

    init(at path: String) throws(MailRecordError) {
        guard let data = FileManager.default.contents(atPath: path),
            let text = String(data: data, encoding: .utf8)
        else { throw MailRecordError("\(path): cannot be read") }
        var fields: [String: [String]] = [:]
        for (index, line) in text.split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline
        )
        .enumerated() where !line.allSatisfy(\.isWhitespace) {
            let sides = line.split(separator: ":", maxSplits: 1)
                .map { $0.trimmingCharacters(in: .whitespaces) }
            guard sides.count == 2, !sides[1].isEmpty else {
                throw MailRecordError("\(path):\(index + 1):1: '\(line)' is not NAME: VALUE")
            }
            fields[sides[0], default: []].append(sides[1])
        }
        try TransportPolicy.check(fields, path)
        id = SHA256.hash(data: data).prefix(16).hexadecimal
    }

    private static func check(
        _ fields: [String: [String]], _ path: String
    ) throws(MailRecordError) {
        guard fields["version"] == ["STSv1"] else {
            throw MailRecordError("\(path): it has no line 'version: STSv1'")
        }
        guard let mode = fields["mode"], mode.count == 1,
            ["enforce", "testing", "none"].contains(mode[0])
        else { throw MailRecordError("\(path): 'mode' is one of enforce, testing, none") }
        guard let age = fields["max_age"], age.count == 1, let seconds = Int(age[0]),
            (0...31_557_600).contains(seconds)
        else {
            throw MailRecordError("\(path): 'max_age' is a number of seconds, at most 31557600")
        }
        guard mode == ["none"] || fields["mx"]?.isEmpty == false else {
            throw MailRecordError("\(path): there is no 'mx' line, so that nobody could take mail")
        }
    }
}
