/// One mail address as RFC 5321 §4.1.2 spells it (`Mailbox`), checked and re-serialised: what stands in a
/// recipients table and between the angle brackets of MAIL and RCPT. It is not a display name, not a
/// list of addresses and not a promise that the mailbox exists.
///
/// Refused on purpose: address literals (`user@[192.0.2.1]`), source routes, SMTPUTF8 local parts and
/// domains in UTF-8 (write the `xn--` form). The domain is held in lower case; the local part as given,
/// because only the receiving host may decide whether its case matters (§2.4). Two mailboxes are equal
/// when their local parts are equal byte for byte and their domains without regard to case.
public struct Mailbox: Hashable, Sendable, CustomStringConvertible {
    /// `local@domain`, local part quoted only where the grammar asks for it; ASCII, at most 254 octets.
    public let address: String
    /// Offset of the `@` that ends the local part in `address`.
    private let atSign: Int

    /// The part before the `@`, in its quoted form if it needs one.
    public var localPart: String { String(decoding: Array(address.utf8)[..<atSign], as: UTF8.self) }
    /// The part after the `@`, lower case, without trailing dot.
    public var domain: String {
        String(decoding: Array(address.utf8)[(atSign + 1)...], as: UTF8.self)
    }
    public var description: String { address }

    /// - Parameter text: a bare address without angle brackets or white space around it.
    public init(_ text: String) throws(MailboxError) {
        try self.init(Array(text.utf8)[...])
    }

    /// - Parameter bytes: a bare address without angle brackets; hostile bytes are fine.
    public init(_ bytes: ArraySlice<UInt8>) throws(MailboxError) {
        let at = try Mailbox.scan(bytes)
        var out = Mailbox.serialisedLocalPart(bytes[..<at])
        atSign = out.count
        out.append(0x40)
        for byte in bytes[(at + 1)...] { out.append(ASCII.lowered(byte)) }
        guard out.count <= 254 else { throw MailboxError(.pathTooLong) }
        address = String(decoding: out, as: UTF8.self)
    }

    /// Checks without making a value; allocates nothing. Same rules as `init`.
    /// - Returns: the index of the `@` between local part and domain.
    @discardableResult
    static func scan(_ bytes: ArraySlice<UInt8>) throws(MailboxError) -> Int {
        guard let first = bytes.first else { throw MailboxError(.empty) }
        // RFC 5321 §4.5.3.1.3: a path has 256 octets with its angle brackets.
        guard bytes.count <= 1024 else { throw MailboxError(.pathTooLong) }
        for byte in bytes where byte < 0x20 || byte == 0x7F {
            throw MailboxError(.controlCharacter)
        }
        if first == 0x40 {
            throw MailboxError(bytes.contains(0x3A) ? .sourceRoute : .emptyLocalPart)
        }
        let at = first == 0x22 ? try quotedEnd(bytes) : try dotStringEnd(bytes)
        guard at - bytes.startIndex <= 64 else { throw MailboxError(.localPartTooLong) }
        try checkDomain(bytes[(at + 1)...])
        guard bytes.count <= 254 else { throw MailboxError(.pathTooLong) }
        return at
    }

    /// The index of the `@` after an unquoted local part.
    private static func dotStringEnd(_ bytes: ArraySlice<UInt8>) throws(MailboxError) -> Int {
        var previousDot = true
        for index in bytes.indices {
            let byte = bytes[index]
            switch byte {
            case 0x40:
                guard !previousDot else { throw MailboxError(.badDot) }
                return index
            case 0x2E:
                guard !previousDot else { throw MailboxError(.badDot) }
                previousDot = true
            case 0x80...:
                throw MailboxError(bytes[index...].contains(0x40) ? .localPartNotASCII : .noAtSign)
            default:
                guard ASCII.isAtom(byte) else { throw MailboxError(.badLocalPart) }
                previousDot = false
            }
        }
        throw MailboxError(.noAtSign)
    }

    /// The index of the `@` after a quoted local part.
    private static func quotedEnd(_ bytes: ArraySlice<UInt8>) throws(MailboxError) -> Int {
        var index = bytes.startIndex + 1
        while index < bytes.endIndex {
            switch bytes[index] {
            case 0x80...: throw MailboxError(.localPartNotASCII)
            case 0x5C: index += 2
            case 0x22:
                guard index + 1 < bytes.endIndex, bytes[index + 1] == 0x40 else {
                    throw MailboxError(.badQuote)
                }
                return index + 1
            default: index += 1
            }
        }
        throw MailboxError(.badQuote)
    }

    private static func checkDomain(_ domain: ArraySlice<UInt8>) throws(MailboxError) {
        guard let first = domain.first else { throw MailboxError(.emptyDomain) }
        if first == 0x5B { throw MailboxError(.addressLiteral) }
        guard domain.count <= 255 else { throw MailboxError(.domainTooLong) }
        var labelLength = 0
        var onlyDigits = true
        var previous: UInt8 = 0x2E
        for byte in domain {
            switch byte {
            case 0x40: throw MailboxError(.secondAtSign)
            case 0x80...: throw MailboxError(.domainNotASCII)
            case 0x2E:
                guard labelLength > 0, previous != 0x2D else { throw MailboxError(.badDomain) }
                labelLength = 0
                onlyDigits = true
            case 0x2D:
                guard labelLength > 0 else { throw MailboxError(.badDomain) }
                labelLength += 1
                onlyDigits = false
            default:
                guard ASCII.isAlphanumeric(byte) else { throw MailboxError(.badDomain) }
                labelLength += 1
                if !ASCII.isDigit(byte) { onlyDigits = false }
            }
            guard labelLength <= 63 else { throw MailboxError(.badDomain) }
            previous = byte
        }
        guard labelLength > 0, previous != 0x2D else { throw MailboxError(.badDomain) }
        if onlyDigits { throw MailboxError(.addressLiteral) }
    }

    /// Quoted pairs are undone, and the quotes dropped when the content is a dot-string: two spellings of
    /// one local part must not pass for two recipients.
    private static func serialisedLocalPart(_ raw: ArraySlice<UInt8>) -> [UInt8] {
        guard raw.first == 0x22 else { return Array(raw) }
        var content: [UInt8] = []
        var index = raw.startIndex + 1
        while index < raw.endIndex - 1 {
            if raw[index] == 0x5C { index += 1 }
            content.append(raw[index])
            index += 1
        }
        let parts = content.split(separator: 0x2E, omittingEmptySubsequences: false)
        if parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(ASCII.isAtom) }) { return content }
        var out: [UInt8] = [0x22]
        for byte in content {
            if byte == 0x22 || byte == 0x5C { out.append(0x5C) }
            out.append(byte)
        }
        out.append(0x22)
        return out
    }
}

/// Why some bytes are not a mailbox, and what to write instead.
public struct MailboxError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: Hashable, Sendable {
        case empty, noAtSign, secondAtSign, emptyLocalPart, emptyDomain, localPartTooLong
        case domainTooLong, pathTooLong, controlCharacter, localPartNotASCII, domainNotASCII
        case addressLiteral, sourceRoute, badLocalPart, badDot, badQuote, badDomain, badBrackets
    }

    public let code: Code

    public init(_ code: Code) { self.code = code }

    /// One sentence without the offending text, which may hold anything.
    public var description: String {
        switch code {
        case .empty: "the address is empty: write local@domain"
        case .noAtSign: "there is no @: write local@domain"
        case .secondAtSign: "there are two @: quote the local part, as in \"a@b\"@example.com"
        case .emptyLocalPart: "nothing stands before the @: write local@domain"
        case .emptyDomain: "nothing stands after the @: write local@domain"
        case .localPartTooLong: "the local part has more than 64 octets (RFC 5321 4.5.3.1.1)"
        case .domainTooLong: "the domain has more than 255 octets (RFC 5321 4.5.3.1.2)"
        case .pathTooLong: "the address has more than 254 octets (RFC 5321 4.5.3.1.3)"
        case .controlCharacter: "there is a control character in it: remove it"
        case .localPartNotASCII:
            "the local part is not ASCII, which takes SMTPUTF8: use the mailbox's ASCII alias"
        case .domainNotASCII: "the domain is not ASCII: write its xn-- form"
        case .addressLiteral: "an IP address is no mail domain here: write a domain name"
        case .sourceRoute: "source routes are refused: write local@domain"
        case .badLocalPart:
            "the local part has a character that needs quotes: write \"local part\"@domain"
        case .badDot: "the local part begins or ends with a dot, or has two in a row: quote it"
        case .badQuote: "the quoted local part is not closed by a quote before the @"
        case .badDomain: "the domain is not made of labels of letters, digits and inner hyphens"
        case .badBrackets: "the address is not between < and >"
        }
    }
}

/// What stands between the angle brackets of MAIL FROM and RCPT TO (RFC 5321 §4.1.2 Path).
public enum SMTPPath: Hashable, Sendable {
    /// `<>`: the null sender of notifications.
    case null
    /// `<postmaster>` without a domain (§4.1.1.3), in any case.
    case postmaster
    case mailbox(Mailbox)

    /// Reads one path.
    /// - Parameter bytes: what follows `FROM:` or `TO:`, leading spaces allowed; hostile.
    /// - Returns: the path, and what follows its `>` (the parameters, with their leading space).
    public static func parse(
        _ bytes: ArraySlice<UInt8>
    ) throws(MailboxError) -> (path: SMTPPath, rest: ArraySlice<UInt8>) {
        let text = bytes.drop { $0 == 0x20 }
        guard text.first == 0x3C else { throw MailboxError(.badBrackets) }
        var index = text.startIndex + 1
        var quoted = false
        while index < text.endIndex {
            let byte = text[index]
            if byte == 0x22 { quoted.toggle() }
            if byte == 0x5C && quoted { index += 1 }
            if byte == 0x3E && !quoted { break }
            index += 1
        }
        guard index < text.endIndex else { throw MailboxError(.badBrackets) }
        let rest = text[(index + 1)...]
        guard rest.isEmpty || rest.first == 0x20 else { throw MailboxError(.badBrackets) }
        let inner = text[(text.startIndex + 1)..<index]
        if inner.isEmpty { return (.null, rest) }
        if ASCII.equalsIgnoringCase(inner, "postmaster") { return (.postmaster, rest) }
        return (.mailbox(try Mailbox(inner)), rest)
    }
}
