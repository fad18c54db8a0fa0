public import Farm

/// What surrounds a query besides its bytes. All time and chance come in here.
public struct QueryContext: Sendable {
    public enum Transport: Sendable { case udp, tcp }

    public var transport: Transport
    /// A fresh random number; it decides the order of records.
    public var random: UInt64
    /// Who asks, without the port; nil switches cookies off.
    public var client: IPAddress?
    /// Seconds since 1970 modulo 2^32, for cookies.
    public var unixTime: UInt32
    /// The asker has had more answers than it may: it is told to come back by TCP or with a cookie.
    public var isLimited: Bool
    /// Transfers and signed queries are not answered but left to `PeerResponder` (`Outcome.isForPeer`).
    public var leavesPeers: Bool
    /// Whether it came over TLS (RFC 7858); `transport` is TCP then.
    public var isEncrypted: Bool

    public init(
        transport: Transport, random: UInt64, client: IPAddress? = nil, unixTime: UInt32 = 0,
        isLimited: Bool = false, leavesPeers: Bool = false, isEncrypted: Bool = false
    ) {
        self.isEncrypted = isEncrypted
        self.transport = transport
        self.random = random
        self.client = client
        self.unixTime = unixTime
        self.isLimited = isLimited
        self.leavesPeers = leavesPeers
    }
}

/// What came of a query: what counting and rate limiting must know besides the bytes of the reply.
public struct Outcome: Sendable {
    /// What a reply says, as far as rate limiting tells replies apart.
    public enum Kind: UInt8, Sendable { case answer, referral, noData, nameError, error }

    /// Octets written; 0 for "send nothing".
    public var length = 0
    /// The response code with its upper bits (RFC 6891 §6.1.3).
    public var code: UInt16 = 0
    /// The type that was asked for; 0 without a question.
    public var type = RecordType(rawValue: 0)
    public var kind = Kind.error
    /// The name whose records were used, as a number within the image; 0 for errors.
    public var subject: UInt32 = 0
    public var isTruncated = false
    public var cookie = CookieState.none
    public var hasOPT = false
    public var wantsDNSSEC = false
    /// Nothing was answered: the query is for `PeerResponder`.
    public var isForPeer = false

    public init() {}
}
