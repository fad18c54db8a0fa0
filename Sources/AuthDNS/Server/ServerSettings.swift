public import AuthDNSCore

/// What an operator may decide about a name server beside its zone and its addresses. As it comes it is
/// safe: the server tells nothing about itself, cookies are on with a secret of its own, and no forged
/// sender gets more than its share.
public struct ServerSettings: Sendable {
    /// What NSID, id.server and hostname.bind say; at most 64 octets, empty hides it.
    public var identity = ""
    /// What version.bind and version.server say; at most 64 octets, empty hides it.
    public var version = ""
    public var cookies = Cookies()
    /// Of replies by UDP; nil for none.
    public var rateLimit: RateLimit? = RateLimit()

    /// DNS cookies (RFC 7873, RFC 9018).
    public struct Cookies: Sendable {
        public var isOn = true
        /// File with the secrets that the zone's servers share: a line of 32 hexadecimal digits, the one
        /// that makes cookies, and perhaps a second, which is accepted too. nil draws one at random.
        public var secretsFile: String?
        /// Whether clients that know cookies are answered by UDP only when they show one of ours.
        public var isRequired = false

        public init() {}
    }

    public init() {}
}
