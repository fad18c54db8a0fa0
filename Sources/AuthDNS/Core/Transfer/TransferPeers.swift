public import Farm

/// Who may have the whole zone, and the secrets that are shared with them. Nobody, unless somebody is named.
public struct TransferPeers: Sendable {
    /// One machine, or a network of them.
    public struct Peer: Hashable, Sendable {
        public var network: Network
        /// Name of the key its queries must be signed with; nil: its address is enough.
        public var key: DomainName?

        public init(network: Network, key: DomainName? = nil) {
            self.network = network
            self.key = key
        }
    }

    public var peers: [Peer]
    public var keys: [TSIGKey]
    /// Who may tell of new versions of the zone; for a secondary.
    public var primaries: [Peer] = []
    /// Whether the zone leaves this server over TLS alone (RFC 9103).
    public var areSecret = false

    public init(peers: [Peer] = [], keys: [TSIGKey] = []) {
        self.peers = peers
        self.keys = keys
    }

    /// - Parameters:
    ///   - key: that the query was signed with; nil for none.
    ///   - isEncrypted: whether it came over TLS.
    func mayTransfer(
        _ client: IPAddress, signedWith key: DomainName?, isEncrypted: Bool
    ) -> Bool {
        (isEncrypted || !areSecret) && TransferPeers.isAmong(peers, client, key)
    }

    /// - Parameter key: that the message was signed with; nil for none.
    func mayNotify(_ client: IPAddress, signedWith key: DomainName?) -> Bool {
        TransferPeers.isAmong(primaries, client, key)
    }

    private static func isAmong(
        _ peers: [Peer], _ client: IPAddress, _ key: DomainName?
    ) -> Bool {
        peers.contains { peer in
            peer.network.contains(client) && (peer.key == nil || peer.key == key)
        }
    }
}
