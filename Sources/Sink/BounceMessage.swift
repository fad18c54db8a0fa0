/// A delivery status notification as mail systems return it: multipart/report with text for people, the
/// status for machines and the header of the message it is about (RFC 3462, RFC 3464).
struct BounceMessage {
    /// The whole message, CRLF line ends, not dot-stuffed.
    let content: [UInt8]
    /// There are octets above 127, in the returned header.
    var isEightBit: Bool { content.contains { $0 > 0x7F } }

    /// - Parameters:
    ///   - number: makes the Message-ID and the boundary unique.
    ///   - date: as in RFC 5322 §3.3.
    init(_ reaction: Reaction, status: String, number: Int, date: String) {
        let encoding = reaction.header.allSatisfy { $0 < 0x80 } ? "7bit" : "8bit"
        let boundary = "=_report_\(number)_sink.example"
        let diagnostic = BounceMessage.diagnostic(of: status)
        let text = """
            From: Mail Delivery System <MAILER-DAEMON@sink.example>
            To: <\(reaction.sender)>
            Subject: Undelivered Mail Returned to Sender
            Date: \(date)
            Message-ID: <\(number).report@sink.example>
            Auto-Submitted: auto-replied
            MIME-Version: 1.0
            Content-Transfer-Encoding: \(encoding)
            Content-Type: multipart/report; report-type=delivery-status;
            \tboundary="\(boundary)"

            This is a MIME-encapsulated message.

            --\(boundary)
            Content-Type: text/plain; charset=us-ascii

            Your message could not be delivered to this recipient:

            <\(BounceMessage.encoded(reaction.recipient))>: \(diagnostic)

            --\(boundary)
            Content-Type: message/delivery-status

            \(BounceMessage.report(reaction.recipient, status, diagnostic, date))

            --\(boundary)
            Content-Type: text/rfc822-headers
            Content-Transfer-Encoding: \(encoding)


            """
        content =
            BounceMessage.octets(text) + reaction.header
            + BounceMessage.octets("\n--\(boundary)--\n")
    }

    /// What machines read: one group of fields about the message, one about the recipient.
    private static func report(
        _ recipient: String, _ status: String, _ diagnostic: String, _ date: String
    ) -> String {
        let type = recipient.utf8.allSatisfy { $0 < 0x80 } ? "rfc822" : "utf-8"
        return """
            Reporting-MTA: dns; sink.example
            Arrival-Date: \(date)

            Final-Recipient: \(type); \(encoded(recipient))
            Action: failed
            Status: \(status)
            Remote-MTA: dns; mail.sink.example
            Diagnostic-Code: smtp; \(diagnostic)
            """
    }

    /// With CRLF line ends.
    private static func octets(_ text: String) -> [UInt8] {
        text.utf8.flatMap { $0 == 0x0A ? [0x0D, 0x0A] : [$0] }
    }

    /// The content as it goes over the wire (RFC 5321 §4.5.2).
    var dotStuffed: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(content.count + 16)
        var atLineStart = true
        for byte in content {
            if atLineStart, byte == 0x2E { out.append(0x2E) }
            out.append(byte)
            atLineStart = byte == 0x0A
        }
        return out
    }

    private static func diagnostic(of status: String) -> String {
        switch status {
        case "5.2.1": "550 5.2.1 mailbox disabled, not accepting messages"
        case "5.2.2": "552 5.2.2 mailbox full"
        default: "550 5.1.1 user unknown"
        }
    }

    /// In seven bits, `\x{…}` for everything beyond (RFC 6533 §3).
    private static func encoded(_ address: String) -> String {
        address.unicodeScalars.map {
            $0.value < 0x7F && $0.value > 0x20
                ? String($0) : "\\x{\(String($0.value, radix: 16, uppercase: true))}"
        }.joined()
    }
}
