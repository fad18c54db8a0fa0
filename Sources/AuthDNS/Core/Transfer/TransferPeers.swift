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

    public init(peers: [Peer] = [], keys: [TSIGKey] = []) {
        self.peers = peers
        self.keys = keys
    }

    /// - Parameter key: that the query was signed with; nil for none.
    func mayTransfer(_ client: IPAddress, signedWith key: DomainName?) -> Bool {
        peers.contains { peer in
            peer.network.contains(client) && (peer.key == nil || peer.key == key)
        }
    }
}
