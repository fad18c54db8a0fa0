/// Who stands behind which name: the one value that passes from the scheduler to the name server. It
/// is complete (not a difference), versioned and immutable; the name server knows roles only as the
/// records listed here, and makes a new zone image from it together with the static zone file.
public struct Membership: Hashable, Sendable, Codable {
    /// One machine with its stable host name `<id>.<zone>`, which no role change removes.
    public struct Host: Hashable, Sendable, Codable {
        public var id: SmurfID
        /// At least one; A and AAAA records are made of them.
        public var addresses: [IPAddress]
        /// How much of the work it should get beside others, 1…100.
        public var weight: Int

        public init(id: SmurfID, addresses: [IPAddress], weight: Int = 1) {
            self.id = id
            self.addresses = addresses
            self.weight = weight
        }
    }

    /// What to answer for a role name that has no member.
    public enum EmptyAnswer: String, Hashable, Sendable, Codable {
        /// SERVFAIL: mailers defer (Postfix 4.4.3).
        case servfail
        /// NODATA: mailers bounce; only for those who ask for it.
        case nodata
    }

    /// The records of one name that follow a role.
    public struct RoleRecords: Hashable, Sendable, Codable {
        public enum Kind: Hashable, Sendable, Codable {
            /// A and AAAA of every member, shuffled for each query.
            case address
            /// One MX of this preference per member, naming its stable host name.
            case mailExchange(preference: UInt16)
            /// One SRV per member (RFC 2782), naming its stable host name, with its weight.
            case service(priority: UInt16, port: UInt16)
            /// One HTTPS record of this priority per member (RFC 9460), naming its stable host name.
            case https(priority: UInt16)
        }

        /// Relative to the zone, no trailing dot: "smtp-out", "eu.web"; "@" is the apex.
        public var owner: String
        public var kind: Kind
        /// Sorted by id. The scheduler keeps the last non-empty set when policy says so, hence an
        /// empty list here means that `whenEmpty` applies.
        public var members: [SmurfID]
        /// Seconds, 1…604,800.
        public var ttl: UInt32
        public var whenEmpty: EmptyAnswer
        /// At most so many members in one answer, others in the next; 0 for all.
        public var limit: Int
        /// Members that are not yet in every answer: in how many of four, 1…3. nil when all are.
        public var ramping: [SmurfID: Int]?

        public init(
            owner: String, kind: Kind, members: [SmurfID], ttl: UInt32,
            whenEmpty: EmptyAnswer = .servfail, limit: Int = 0
        ) {
            self.owner = owner
            self.kind = kind
            self.members = members
            self.ttl = ttl
            self.whenEmpty = whenEmpty
            self.limit = limit
        }
    }

    /// One TXT record beside those of roles.
    public struct Text: Hashable, Comparable, Sendable, Codable {
        /// As `RoleRecords.owner`.
        public var owner: String
        /// 1…255 octets.
        public var value: String

        public init(owner: String, value: String) {
            self.owner = owner
            self.value = value
        }

        public static func < (left: Text, right: Text) -> Bool {
            (left.owner, left.value) < (right.owner, right.value)
        }
    }

    /// Grows by at least one with every change; the zone's serial is a different number.
    public var version: UInt64
    /// All machines that have a host name, sorted by id.
    public var hosts: [Host]
    /// TTL of host names, in seconds.
    public var hostTTL: UInt32
    /// Sorted by owner, then kind.
    public var records: [RoleRecords]
    /// Addresses that may send mail for the farm: serving, draining and departed with queued mail.
    /// Published as SPF (RFC 7208) at each of `senderOwners`.
    public var senders: [IPAddress]
    /// Owners (as in `RoleRecords.owner`) that get the SPF TXT record.
    public var senderOwners: [String]
    /// Texts that are wanted for a while, sorted, in place of static ones at their owners; nil when there are none.
    public var texts: [Text]?

    public init(
        version: UInt64, hosts: [Host] = [], hostTTL: UInt32 = 3600, records: [RoleRecords] = [],
        senders: [IPAddress] = [], senderOwners: [String] = []
    ) {
        self.version = version
        self.hosts = hosts
        self.hostTTL = hostTTL
        self.records = records
        self.senders = senders
        self.senderOwners = senderOwners
    }
}
