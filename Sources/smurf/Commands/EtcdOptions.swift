import ArgumentParser
import Farm
import Foundation
import RoleScheduler

/// Where a farm with several control nodes is kept, and what this one is called among them.
struct EtcdOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            URLs of the members of the farm's etcd, with commas between them; without it this node is alone and keeps the \
            farm in its data directory.
            """, valueName: "url,…"))
    var etcd: String?
    @Option(help: "This node's certificate for etcd (PEM).") var etcdCert: String?
    @Option(help: "Its private key (PEM).") var etcdKey: String?
    @Option(help: "The CA that has certified etcd's members (PEM).") var etcdCa: String?
    @Option(
        help: """
            The user of etcd to come as, when etcd's authentication goes by passwords; when it goes by certificates, it is \
            whom --etcd-cert names (CN).
            """)
    var etcdUser: String?
    @Option(
        help: ArgumentHelp(
            "A file whose first line is that user's password; read anew at each login.",
            valueName: "path"))
    var etcdPasswordFile: String?
    @Option(help: "This node's name among the farm's control nodes: one label.")
    var node: String?
    @Option(help: "Time without a word from the leader after which another control node leads.")
    var leaderTtl: HumanDuration = HumanDuration(seconds: 5)
    @Flag(
        help: """
            Take http:// beyond loopback: whoever is on the way or reaches etcd can change the farm.
            """)
    var etcdPlain = false

    /// For https: all three, or with a user the CA alone; nil when that is not given.
    private var credentials: EtcdSettings.Credentials? {
        guard let etcdCa, etcdCert != nil || account != nil else { return nil }
        return .init(certificate: etcdCert, key: etcdKey, authority: etcdCa)
    }

    private var account: EtcdSettings.Account? {
        guard let etcdUser, let etcdPasswordFile else { return nil }
        return .init(name: etcdUser, passwordFile: etcdPasswordFile)
    }

    /// All that is read again later.
    var files: [String] { [etcdCert, etcdKey, etcdCa, etcdPasswordFile].compactMap { $0 } }

    private var members: [(text: String, address: EtcdAddress?)] {
        (etcd ?? "").split(separator: ",", omittingEmptySubsequences: false).map {
            (String($0), EtcdAddress(String($0)))
        }
    }

    /// nil: this node is alone.
    /// - Parameter agents: where this node listens for agents.
    func settings(zone: String, agents: Endpoint) -> EtcdSettings? {
        guard etcd != nil, let node else { return nil }
        return EtcdSettings(
            members: members.compactMap(\.address), credentials: credentials, account: account,
            prefix: "/smurf/" + zone, node: node, agents: agents.description,
            leaderTTL: Int(leaderTtl.seconds))
    }

    func validate() throws {
        guard etcd != nil else {
            guard node == nil, files.isEmpty, etcdUser == nil, !etcdPlain else {
                throw ValidationError("--node and --etcd-… go with --etcd")
            }
            return
        }
        guard let node else {
            throw ValidationError(
                "--etcd needs --node NAME: what this node is called among the control nodes")
        }
        guard SmurfID(node) != nil else {
            throw ValidationError(
                "--node '\(node)': use one label of letters, digits, hyphens")
        }
        guard (2...60).contains(leaderTtl.seconds),
            leaderTtl.seconds == leaderTtl.seconds.rounded()
        else { throw ValidationError("--leader-ttl: give 2s to 60s, whole seconds") }
        guard (etcdUser == nil) == (etcdPasswordFile == nil) else {
            throw ValidationError("--etcd-user and --etcd-password-file go together")
        }
        let given = [etcdCert, etcdKey, etcdCa].compactMap { $0 }.count
        guard [0, 3].contains(given) || (given == 1 && etcdCa != nil && account != nil) else {
            throw ValidationError(
                "--etcd-cert, --etcd-key and --etcd-ca go together; with --etcd-user, --etcd-ca is enough"
            )
        }
        for (text, address) in members { try check(text, address) }
    }

    private func check(_ text: String, _ address: EtcdAddress?) throws {
        guard let address else {
            throw ValidationError(
                "--etcd '\(text)' is no URL: write https://etcd1.example.net:2379, with commas between several"
            )
        }
        if address.isEncrypted, credentials == nil {
            throw ValidationError(
                "--etcd \(text): give --etcd-cert, --etcd-key and --etcd-ca")
        }
        if !address.isEncrypted, !address.isLoopback, !etcdPlain {
            throw ValidationError(
                "--etcd \(text) is beyond loopback and not encrypted: use https://, or --etcd-plain if nobody else is on that network"
            )
        }
    }
}
