/// What the operator decides about replies, beside the zone: how the server names itself, and cookies.
/// Nothing of it depends on a single query.
public struct AnswerSettings: Sendable {
    /// The answer to NSID (RFC 5001) and to id.server and hostname.bind (RFC 4892); empty hides it.
    public let identity: [UInt8]
    /// The answer to version.bind and version.server; empty hides it.
    public let version: [UInt8]
    /// nil switches DNS cookies off.
    public var cookies: ServerCookies?
    /// What a TCP client is told about idle connections, in units of 100 ms (RFC 7828).
    public var keepalive: UInt16
    /// False: there is no zone that may be answered with, none yet or none any more: SERVFAIL (RFC 1035 §4.3.5).
    public var isServing = true
    /// Whether somebody may tell of new versions (RFC 1996), as a secondary is told.
    public var takesNotify = false

    /// Longest name or version, in octets: replies must have room for records beside it.
    public static let longestText = 64

    /// - Parameters:
    ///   - identity: cut at `longestText` octets.
    ///   - version: cut likewise.
    public init(
        identity: [UInt8] = [], version: [UInt8] = [], cookies: ServerCookies? = nil,
        keepalive: UInt16 = 0
    ) {
        self.identity = Array(identity.prefix(AnswerSettings.longestText))
        self.version = Array(version.prefix(AnswerSettings.longestText))
        self.cookies = cookies
        self.keepalive = keepalive
    }
}
