import Farm

/// Where one member of an etcd cluster is asked: "https://etcd1.example.net:2379", "http://127.0.0.1:2379".
public struct EtcdAddress: Hashable, Sendable, CustomStringConvertible {
    public let isEncrypted: Bool
    /// A name or an address, without brackets.
    public let host: String
    public let port: UInt16

    /// - Parameter text: a URL without a path; the port is 2379 when none is given.
    public init?(_ text: String) {
        let parts = text.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "http" || parts[0] == "https" else { return nil }
        isEncrypted = parts[0] == "https"
        var rest = parts[1]
        if rest.last == "/" { rest = rest.dropLast() }
        if rest.first == "[" {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            guard case .v6 = IPAddress(host) else { return nil }
            rest = rest[rest.index(after: end)...]
        } else {
            let name = rest.prefix { $0 != ":" }
            guard EtcdAddress.isHost(name) else { return nil }
            host = String(name)
            rest = rest.dropFirst(name.count)
        }
        if rest.isEmpty {
            port = 2379
        } else {
            guard rest.first == ":", let number = UInt16(rest.dropFirst()), number > 0 else {
                return nil
            }
            port = number
        }
    }

    private static func isHost(_ text: Substring) -> Bool {
        if IPAddress(String(text)) != nil { return true }
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        return text.utf8.count <= 253 && labels.allSatisfy { SmurfID(String($0)) != nil }
    }

    /// Whether what is said stays on this machine.
    public var isLoopback: Bool { IPAddress(host)?.isLoopback ?? (host == "localhost") }

    public var description: String {
        let shown = host.contains(":") ? "[\(host)]" : host
        return "\(isEncrypted ? "https" : "http")://\(shown):\(port)"
    }
}

/// How a farm's etcd is reached, and what this node is called there.
public struct EtcdSettings: Sendable {
    /// Members of one cluster; at least one. They are tried in turn.
    public var members: [EtcdAddress]
    /// For members that are reached by https.
    public var credentials: Credentials?
    /// As which of etcd's users this node comes; nil: as whom its certificate names, or as nobody.
    public var account: Account?
    /// Keys begin with it; a farm of its own for every prefix.
    public var prefix: String
    /// Among the farm's control nodes.
    public var node: String
    /// Where this node listens for agents, as the others shall show it.
    public var agents: String
    /// After so long without a word from the leader another node leads: whole seconds, 2 and more.
    public var leaderTTL: Int

    /// Paths of PEM files.
    public struct Credentials: Hashable, Sendable {
        /// This node's, with its key; both or neither.
        public var certificate: String?
        public var key: String?
        public var authority: String

        public init(certificate: String?, key: String?, authority: String) {
            self.certificate = certificate
            self.key = key
            self.authority = authority
        }
    }

    /// A user of etcd.
    public struct Account: Hashable, Sendable {
        public var name: String
        /// The path of a file whose first line is the password.
        public var passwordFile: String

        public init(name: String, passwordFile: String) {
            self.name = name
            self.passwordFile = passwordFile
        }
    }

    public init(
        members: [EtcdAddress], credentials: Credentials? = nil, account: Account? = nil,
        prefix: String, node: String, agents: String, leaderTTL: Int = 5
    ) {
        self.members = members
        self.credentials = credentials
        self.account = account
        self.prefix = prefix
        self.node = node
        self.agents = agents
        self.leaderTTL = leaderTTL
    }
}
