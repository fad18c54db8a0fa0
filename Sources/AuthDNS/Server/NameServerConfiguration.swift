public import AuthDNSCore
public import Farm

/// How a name server is set up: one frozen value, read once.
public struct NameServerConfiguration: Sendable {
    /// Addresses of this machine, or the wildcard of a family: answers leave from the address that was asked.
    /// Port 0 takes a free one.
    public var listen: [(address: IPAddress, port: UInt16)]
    /// UDP threads per address, 1…64.
    public var workers: Int
    /// Where the image and its serial are kept. It must exist.
    public var stateDirectory: String
    /// Changes that follow another within this time are published together.
    public var coalescing: Duration
    /// A TCP connection without a query for so long is closed (RFC 7766 §6.2.3).
    public var idleTimeout: Duration
    /// TCP connections in all, and from one address.
    public var connections: Int
    public var connectionsPerClient: Int
    /// Who may have the zone whole, and with which keys.
    public var peers = TransferPeers()
    /// Who is told of changes.
    public var notified: [Notified] = []
    /// What replies say about the server, and whom it answers how.
    public var settings: ServerSettings

    /// One in so many queries of each thread is kept to be told of (`queryTaps`); nil for none.
    public var tapInterval: Int?

    /// Whether the zone comes from another server and is served as it is.
    public var isSecondary = false

    /// Networks whose reverse zones are served beside the farm's zone, made of its machines.
    public var reverse: [Network] = []

    /// How the zone is signed; nil for an unsigned one.
    public var signing: Signing?

    /// Keys and signatures (RFC 4033).
    public struct Signing: Hashable, Sendable {
        /// Where the keys are kept; made when it is not there.
        public var directory: String
        public var keys: KeyPolicy
        public var signatures: SignatureLifetime
        /// Of keys on disk; nil: new ones are in the clear there.
        public var passphrase: KeyPassphrase?
        /// Whether other name servers sign the zone with the same keys: then they are not moved on here, but taken as
        /// `NameServer.publish` is given them, and `directory` has a copy.
        public var isShared: Bool

        public init(
            directory: String, keys: KeyPolicy = KeyPolicy(),
            signatures: SignatureLifetime = SignatureLifetime(), passphrase: KeyPassphrase? = nil,
            isShared: Bool = false
        ) {
            self.isShared = isShared
            self.passphrase = passphrase
            self.directory = directory
            self.keys = keys
            self.signatures = signatures
        }
    }

    /// A secondary that is told of changes (RFC 1996).
    public struct Notified: Hashable, Sendable {
        public var address: IPAddress
        public var port: UInt16
        /// Name of the key among `peers.keys` that signs what it is told; nil for none.
        public var key: DomainName?

        public init(address: IPAddress, port: UInt16 = 53, key: DomainName? = nil) {
            self.address = address
            self.port = port
            self.key = key
        }
    }

    public init(
        listen: [(address: IPAddress, port: UInt16)], stateDirectory: String, workers: Int = 1,
        coalescing: Duration = .milliseconds(200), idleTimeout: Duration = .seconds(20),
        connections: Int = 512, connectionsPerClient: Int = 64,
        settings: ServerSettings = ServerSettings()
    ) {
        self.listen = listen
        self.workers = min(max(workers, 1), 64)
        self.stateDirectory = stateDirectory
        self.coalescing = coalescing
        self.idleTimeout = idleTimeout
        self.connections = connections
        self.connectionsPerClient = connectionsPerClient
        self.settings = settings
    }
}

/// Why a name server does not start or does not take a change.
public struct NameServerError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
