/// The EDNS options of a query that this server knows (RFC 6891 §6.1.2), as flags and positions. Others
/// are passed over; what is asked of them is decided elsewhere.
struct QueryOptions {
    /// RFC 5001.
    var asksForIdentity = false
    /// RFC 9660.
    var asksForZoneVersion = false
    /// RFC 7828; means nothing on UDP.
    var asksForKeepalive = false
    /// RFC 7830; means nothing in the clear.
    var asksForPadding = false
    /// Where the data of the first COOKIE option begins (RFC 7873 §5.2), and how much it is; -1 without.
    var cookieStart = 0
    var cookieLength = -1

    /// - Parameter range: of the OPT record's data, within the message.
    /// - Returns: false when an option reaches beyond the data.
    mutating func parse(_ message: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var offset = range.lowerBound
        while offset < range.upperBound {
            guard offset + 4 <= range.upperBound else { return false }
            let code = Int(message[offset]) << 8 | Int(message[offset + 1])
            let length = Int(message[offset + 2]) << 8 | Int(message[offset + 3])
            offset += 4
            guard offset + length <= range.upperBound else { return false }
            // Data that a query must not have is ignored: RFC 5001 §2.1, RFC 9660 §3.1.
            switch code {
            case OptionCode.identity: asksForIdentity = true
            case OptionCode.zoneVersion: asksForZoneVersion = true
            case OptionCode.keepalive: asksForKeepalive = true
            case OptionCode.padding: asksForPadding = true
            case OptionCode.cookie where cookieLength < 0:
                cookieStart = offset
                cookieLength = length
            default: break
            }
            offset += length
        }
        return true
    }

    /// Whether a COOKIE option has a length that none may have (RFC 7873 §5.2.2).
    var hasMalformedCookie: Bool {
        cookieLength >= 0 && cookieLength != 8 && !(16...40).contains(cookieLength)
    }
}

/// Numbers of EDNS options.
enum OptionCode {
    static let identity = 3
    static let cookie = 10
    static let keepalive = 11
    static let padding = 12
    static let extendedError = 15
    static let zoneVersion = 19
}
