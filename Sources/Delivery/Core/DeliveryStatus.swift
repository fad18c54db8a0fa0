/// What a message to a bounce address says: a delivery status notification (RFC 3464), a complaint
/// (RFC 5965), or neither. Reads raw octets from anywhere, tolerantly; which recipient is meant follows
/// from the token of the envelope, not from here.
public enum DeliveryStatus: Hashable, Sendable {
    case bounce(Bounce)
    /// `Feedback-Type` of an abuse report.
    case complaint(String)
    /// Delivered, relayed or delayed: the address is not at fault.
    case progress(action: String)
    /// Vacation and other automatic answers.
    case automaticReply
    /// Mail that is none of these.
    case other

    public struct Bounce: Hashable, Sendable {
        public enum Kind: Hashable, Sendable {
            /// The address does not exist: do not write to it again.
            case addressGone
            /// Passing: mailbox full, too many recipients, unreachable.
            case transient
            /// Refused for what was sent or by whom: ours to mend, no fault of the address.
            case refusedByPolicy
            case unknown
        }

        public var kind: Kind
        /// RFC 3463; "5.0.0" when the notification tells none.
        public var status: String
        /// One line, at most 512 octets.
        public var diagnostic: String
        /// As the notification names it; may be another address than the one written to.
        public var finalRecipient: String
    }

    /// - Parameter message: header and body with CRLF or LF line ends; only the first 256 KiB are looked at.
    public static func read(_ message: [UInt8]) -> DeliveryStatus {
        let text = Array(message.prefix(262_144))
        let (fields, body) = self.fields(text, 0..<text.count)
        let type = MIMEContentType((fields["content-type"] ?? [])[...])
        if type.type == "multipart", let boundary = type.parameter("boundary"),
            let found = MIMEStructure.parts(of: text, in: body..<text.count, boundary: boundary)
        {
            for part in found.parts.prefix(32) {
                if let status = report(text, part) { return status }
            }
        }
        let automatic = ASCII.text(fields["auto-submitted"] ?? []).lowercased()
        if automatic.hasPrefix("auto-replied") || fields["x-autoreply"] != nil
            || fields["x-autorespond"] != nil
        {
            return .automaticReply
        }
        return .other
    }

    private static func report(_ text: [UInt8], _ part: Range<Int>) -> DeliveryStatus? {
        let (fields, body) = self.fields(text, part)
        let type = MIMEContentType((fields["content-type"] ?? [])[...])
        guard type.type == "message" else { return nil }
        if type.subtype == "feedback-report" {
            let (report, _) = self.fields(text, body..<part.upperBound)
            return .complaint(line(report["feedback-type"] ?? Array("abuse".utf8)).lowercased())
        }
        guard type.subtype == "delivery-status" || type.subtype == "global-delivery-status" else {
            return nil
        }
        var start = body
        var progress: String?
        // The first group is about the message, the others about one recipient each.
        for _ in 0..<100 where start < part.upperBound {
            let (group, next) = self.fields(text, start..<part.upperBound)
            let action = line(group["action"] ?? []).lowercased()
            let isFailure = action.isEmpty && ASCII.text(group["status"] ?? []).hasPrefix("5")
            if action == "failed" || isFailure { return .bounce(bounce(group)) }
            if !action.isEmpty { progress = progress ?? action }
            start = max(next, start + 1)
        }
        return progress.map { .progress(action: $0) }
    }

    private static func bounce(_ group: [String: [UInt8]]) -> Bounce {
        let diagnostic = line(value(group["diagnostic-code"] ?? []))
        let told = (group["status"] ?? [])[...].prefix { ASCII.isDigit($0) || $0 == ASCII.dot }
        let status = StatusCode.isWellFormed(told) ? ASCII.text(told) : "5.0.0"
        return Bounce(
            kind: kind(status: status, diagnostic: diagnostic), status: status,
            diagnostic: diagnostic, finalRecipient: line(value(group["final-recipient"] ?? [])))
    }

    /// Enhanced code before reply code; 5yz alone does not say that an address is gone.
    static func kind(status: String, diagnostic: String) -> Bounce.Kind {
        var code = status
        if code.hasSuffix(".0.0") {
            let word = diagnostic.split(separator: " ").first {
                StatusCode.isWellFormed(Array($0.utf8)[...])
            }
            code = word.map(String.init) ?? code
        }
        let detail = code.dropFirst(2)
        switch detail {
        case "1.1", "1.2", "1.3", "1.6", "1.10", "2.1": return .addressGone
        case "2.2", "3.1", "4.1", "4.2", "4.3", "4.4", "4.5", "4.7", "5.3": return .transient
        default: break
        }
        if detail.hasPrefix("7.") || detail.hasPrefix("6.") || detail == "3.4" {
            return .refusedByPolicy
        }
        return code.hasPrefix("4") ? .transient : .unknown
    }

    /// `type; value` without the type.
    private static func value(_ bytes: [UInt8]) -> [UInt8] {
        guard let semicolon = bytes.firstIndex(of: 0x3B) else { return bytes }
        return Array(bytes[(semicolon + 1)...])
    }

    private static func line(_ bytes: [UInt8]) -> String {
        let clean = bytes.map { $0 < 0x20 || $0 >= 0x7F ? ASCII.space : $0 }
        return ASCII.text(ASCII.trimmed(clean[...]).prefix(512))
    }

    /// Unfolded fields by lower-case name, the first of each; ends at an empty line.
    private static func fields(
        _ text: [UInt8], _ range: Range<Int>
    ) -> (fields: [String: [UInt8]], next: Int) {
        var fields: [String: [UInt8]] = [:]
        var current: String?
        var index = range.lowerBound
        while index < range.upperBound {
            let end = MIMEStructure.lineEnd(text, from: index, limit: range.upperBound)
            let line = text[index..<end.content]
            index = end.next
            if line.isEmpty { break }
            if ASCII.isBlank(line[line.startIndex]) {
                if let current { fields[current, default: []] += line }
            } else if let colon = line.firstIndex(of: 0x3A) {
                let name = ASCII.text(ASCII.trimmed(line[..<colon])).lowercased()
                current = fields[name] == nil ? name : nil
                if let current { fields[current] = Array(ASCII.trimmed(line[(colon + 1)...])) }
            } else {
                current = nil
            }
        }
        return (fields, index)
    }
}
