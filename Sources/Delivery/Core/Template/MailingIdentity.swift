/// What every message of a mailing has in common besides its template: in whose name it goes out, where
/// its bounces and unsubscribes come back, and its fixed date. Fixed values make a second rendering
/// byte-identical, so that a duplicate can be recognised.
public struct MailingIdentity: Hashable, Sendable {
    /// The mailing's name, for people; `{{mailing}}` and part of Feedback-ID.
    public var name: String
    /// List-Id label (RFC 2919); a label without a dot is put under `bounceDomain`. Empty = no List-Id.
    public var listID: String
    /// RFC 5322 mailbox that replaces the template's From; empty = the template's own.
    public var from: String
    /// Domain of the envelope senders and of Message-ID.
    public var bounceDomain: String
    /// `https://…/u/`; the token is appended. `http://` is for trials: it is warned of. Empty = no List-Unsubscribe, and `{{unsubscribe}}` is an error.
    public var unsubscribeBase: String
    /// Last part of Feedback-ID; empty = no Feedback-ID.
    public var feedbackSender: String
    /// Date of every message, seconds since 1970-01-01 UTC.
    public var date: Int64
    /// Last day on which the mailing's tokens are believed, days since 1970-01-01.
    public var tokenExpiryDay: UInt16

    public init(
        name: String, listID: String = "", from: String = "", bounceDomain: String,
        unsubscribeBase: String = "", feedbackSender: String = "", date: Int64,
        tokenExpiryDay: UInt16
    ) {
        self.name = name
        self.listID = listID
        self.from = from
        self.bounceDomain = bounceDomain
        self.unsubscribeBase = unsubscribeBase
        self.feedbackSender = feedbackSender
        self.date = date
        self.tokenExpiryDay = tokenExpiryDay
    }

    /// Why `base` cannot begin a link that mail programs follow; nil when it can.
    public static func fault(inUnsubscribeBase base: String) -> String? {
        let bytes = Array(base.utf8)
        for scheme in ["https://", "http://"] {
            guard ASCII.hasPrefixIgnoringCase(bytes[...], scheme) else { continue }
            let host = bytes.dropFirst(scheme.utf8.count).prefix {
                ![0x2F, 0x3F, 0x23].contains($0)
            }
            return host.isEmpty ? "'\(base)' has no host: write https://host/path/" : nil
        }
        return "'\(base)' is no web address: write https://host/path/"
    }

    /// `date` as RFC 5322 §3.3 writes it, in UTC.
    var dateText: String {
        let clamped = min(max(date, 0), 253_402_300_799)
        let days = Int(clamped / 86400)
        let second = Int(clamped % 86400)
        // Civil date from a day count in the proleptic Gregorian calendar, with years from March.
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days % 7]
        let names = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        func two(_ number: Int) -> String { (number < 10 ? "0" : "") + String(number) }
        let time = [second / 3600, second / 60 % 60, second % 60].map(two).joined(separator: ":")
        return "\(weekday), \(two(day)) \(names[month - 1]) \(year) \(time) +0000"
    }
}

/// A fault of a template, at a place of its file.
public struct TemplateError: Error, Hashable, Sendable, CustomStringConvertible {
    /// From 1.
    public var line: Int
    /// In characters (Unicode scalars), from 1.
    public var column: Int
    /// What is wrong and what to write instead.
    public var text: String

    /// `line:column: text`; the caller puts the file's name in front.
    public var description: String { "\(line):\(column): \(text)" }
}

/// All faults of a template that cannot be compiled; at least one.
public struct TemplateRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    public var errors: [TemplateError]

    public var description: String { errors.map(\.description).joined(separator: "\n") }
}

/// Why one row does not fit its template. Nothing of the message has been appended.
public struct RenderError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The field whose value is at fault.
    public var field: String
    public var reason: String

    public var description: String { "{{\(field)}}: \(reason)" }
}
