/// What every name server of a farm signs with, as control nodes hand it to each other: for each zone the keys' secrets,
/// encrypted under a passphrase that the nodes know and the store does not, with the moments of their lives. Nothing here
/// knows what the texts say.
public struct SealedKeys: Hashable, Sendable, Codable {
    /// By the zone's name in small letters, without a dot at the end.
    public var zones: [String: Zone]

    public init(zones: [String: Zone] = [:]) { self.zones = zones }

    /// The keys of one zone.
    public struct Zone: Hashable, Sendable, Codable {
        /// Greater with every change, so that older ones, as of a backup, are known.
        public var version: UInt64
        /// In the order of creation.
        public var keys: [Key]
        /// Whether the zone was led out of DNSSEC: the keys are remembered and sign nothing.
        public var isUnsigned: Bool

        public init(version: UInt64, keys: [Key], isUnsigned: Bool) {
            self.version = version
            self.keys = keys
            self.isUnsigned = isUnsigned
        }
    }

    /// One key.
    public struct Key: Hashable, Sendable, Codable {
        /// Its DNSKEY record.
        public var open: String
        /// Its secret, encrypted, and the moments of its life.
        public var closed: String

        public init(open: String, closed: String) {
            self.open = open
            self.closed = closed
        }
    }
}
