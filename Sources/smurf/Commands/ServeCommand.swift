import ArgumentParser
import AuthDNS
import AuthDNSCore
import DNSTransport
import DeliveryCore
import Dnstap
import Farm
import Foundation
import Logging
import RoleScheduler
import RoleSchedulerCore
import ZoneFile

/// `smurf serve`: a control node.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Runs a control node: the scheduler and the zone's authoritative name server.",
        discussion: """
            POLICY says who may do what and how much of it is wanted; ZONE is the part of the zone \
            that people write (SOA, NS, …). Everything that must survive is kept in the data \
            directory; the operator's socket control.sock is there too. SIGHUP reads policy and zone \
            anew, all or nothing. SIGTERM ends it.

              smurf serve --policy farm.yml --zone smurf.example.test.zone --dns 192.0.2.53:53

            Several control nodes share a farm through etcd: one of them plans, all answer.

              smurf serve … --etcd https://etcd1:2379,https://etcd2:2379,https://etcd3:2379 --node n1 \\
                --etcd-cert n1.pem --etcd-key n1.key --etcd-ca etcd-ca.pem
            """)

    @Option(help: "The policy file.") var policy: String
    @Option(help: "The zone file.") var zone: String
    @Option(help: "Directory for what must survive a restart.") var data: String = "smurf-data"
    @Option(help: "Address and port to answer DNS on; repeat for more.")
    var dns: [Endpoint] = [Endpoint.loopback(port: 5300)]
    @Option(help: "Address and port for agents; loopback unless --tls-… is given.")
    var agents: Endpoint = Endpoint.loopback(port: 5380)
    @Option(help: "UDP threads per address; by default one per core.") var workers: Int?
    @Option(
        help: """
            The account to run as once the DNS ports are bound; the data directory becomes its own. It must be \
            able to read policy, zone and TLS files.
            """)
    var user: String?
    @Option(help: "The port on which agents in the smtp-out role take rows.")
    var feedPort: UInt16 = 7001
    @Option(
        help: "The unsubscribe link without its token; by default https:// and the web role's name."
    )
    var unsubscribeBase: String?
    @Option(help: "Time after which a smurf that is gone loses its rows to others.")
    var lease: HumanDuration = HumanDuration(seconds: 30)
    @Option(help: "Days for which bounce addresses and unsubscribe links are good.")
    var tokenDays: Int = 60
    @Option(
        help: "The resolver to ask for the farm's names; by default this node's own name server.")
    var resolver: Endpoint?
    @Flag(
        help: """
            Take over from the control node that works in the same data directory: its DNS sockets are passed on, \
            so that no query is lost. When none runs, this one just starts.
            """)
    var replace = false
    @Option(
        help:
            "Address and port where Prometheus reads counters (plain HTTP, /metrics); none by default."
    )
    var metrics: Endpoint?
    @Option(
        help: """
            A network whose reverse zone is served too, with a PTR record for each machine in it, such as \
            192.0.2.0/24, 198.51.100.64/26 (RFC 2317) or 2001:db8:1::/64; repeat for more.
            """, transform: ZoneReverseCommand.network)
    var reverse: [Network] = []
    @OptionGroup var nameServer: NameServerOptions
    @OptionGroup(title: "LOG OF QUERIES") var queryLog: QueryLogOptions
    @OptionGroup(title: "DNS OVER TLS") var tls: TLSOptions
    @OptionGroup(title: "DNSSEC") var signing: SigningOptions
    @OptionGroup(title: "RECORDS FOR MAIL") var mail: MailRecordOptions
    @OptionGroup(title: "SEVERAL CONTROL NODES") var cluster: EtcdOptions
    @OptionGroup var identity: MachineIdentity
    @OptionGroup var logging: LogOptions

    func validate() throws {
        guard (1...64).contains(workers ?? 1) else {
            throw ValidationError("--workers \(workers ?? 0): write a number from 1 to 64")
        }
        guard (1...3650).contains(tokenDays) else {
            throw ValidationError("--token-days \(tokenDays): give 1 to 3650")
        }
        if let fault = unsubscribeBase.flatMap({ MailingIdentity.fault(inUnsubscribeBase: $0) }) {
            throw ValidationError("--unsubscribe-base \(fault)")
        }
        guard mail.tlsa.isEmpty || signing.dnssec != nil else {
            throw ValidationError("--tlsa says nothing in a zone without signatures: give --dnssec")
        }
        guard cluster.etcd == nil || signing.dnssec == nil || signing.keysPassphrase != nil else {
            throw ValidationError(
                "--dnssec with --etcd: the nodes share their keys through etcd, encrypted; give all of them the same --keys-passphrase"
            )
        }
        guard lease.seconds >= 1 else { throw ValidationError("--lease: give 1s or more") }
        guard agents.address.isLoopback || identity.certificate != nil else {
            throw ValidationError(
                "--agents \(agents) is beyond loopback: give --tls-cert, --tls-key and --tls-ca")
        }
    }

    func run() async throws { try await run(on: try prepare()) }

    /// What a control node is made of: input that was checked, and sockets that are bound.
    struct Ground: Sendable {
        var sources: FarmSources
        var names: NameServerConfiguration
        var sockets: BoundSockets
        var secure: SecureSockets
        /// To the running control node that waits to be replaced.
        var predecessor: HandoverChannel?
    }

    /// Checks all input, binds the DNS sockets, and then becomes the account of `--user`. To be called while the
    /// process has one thread, the main one, which would else stay root's.
    func prepare() throws -> Ground {
        let sources = try FarmSources(policy: policy, zone: zone, mail: mail)
        var names = NameServerConfiguration(
            listen: dns.map { ($0.address, $0.port) }, stateDirectory: data,
            workers: workers ?? ProcessInfo.processInfo.activeProcessorCount,
            settings: nameServer.settings)
        try nameServer.addSecondaries(to: &names)
        names.signing = try signing.signing(in: data, isShared: cluster.etcd != nil)
        names.reverse = reverse
        names.tapInterval = queryLog.interval
        names.peers.areSecret = tls.transfersByTLS
        try DataDirectory.prepare(data)
        do {
            let account = try user.map { try Privileges(of: $0) }
            let predecessor =
                replace
                ? try HandoverChannel(connectingTo: ControlNode.handover(in: data)) : nil
            let sockets =
                if let predecessor {
                    try BoundSockets(names, passedOver: predecessor)
                } else {
                    try BoundSockets(names)
                }
            let secure = try tls.sockets()
            try account?.own(data)
            try account?.take(toRead: [policy, zone] + tls.files + cluster.files)
            return Ground(
                sources: sources, names: names, sockets: sockets, secure: secure,
                predecessor: predecessor)
        } catch {
            throw Report.failure("\(error)")
        }
    }

    /// Serves until a signal or a successor ends it.
    func run(on ground: Ground) async throws {
        let logger = logging.logger("smurf")
        let nameServer: NameServer
        let secure: TLSListener?
        var node: ControlNode
        do {
            try ground.predecessor.map(Succession.ask)
            let lock = try DataDirectoryLock(data, waiting: ground.predecessor == nil ? 0 : 10)
            nameServer = try NameServer(
                configuration: ground.names, zone: ground.sources.zone, logger: logger,
                on: ground.sockets)
            // By the zone file alone the names of roles would not exist. A resolver asks another node instead.
            if cluster.etcd != nil, !nameServer.hasMembers { nameServer.setServing(false) }
            secure = try await tls.listener(for: nameServer, on: ground.secure, logger)
            node = try controlNode(ground.sources, lock, nameServer, logger)
        } catch {
            throw Report.failure("\(error)")
        }
        let tap = queryLog.sender(
            of: nameServer, identity: self.nameServer.nsid, version: "smurf", logger)
        defer {
            nameServer.stop()
            tap?.stop()
        }
        try await serve(&node, nameServer, ground, logger)
        await secure?.stop()
    }

    private func serve(
        _ node: inout ControlNode, _ nameServer: NameServer, _ ground: Ground, _ logger: Logger
    ) async throws {
        let signals = await ProcessSignals()
        while case .successor(let successor) = try await node.run(
            signals, isServing: { ground.predecessor.map(Succession.tell) })
        {
            let sources = node.sources
            node.giveUp()
            if await Succession.isDone(successor, of: nameServer) { return }
            guard !signals.hasEnd else {
                return logger.error(
                    "the process that was to replace this one failed; ending, as told")
            }
            logger.error("the process that was to replace this one failed; going on")
            node = try controlNode(
                sources, DataDirectoryLock(data, waiting: 10), nameServer, logger)
        }
    }

    private func controlNode(
        _ sources: FarmSources, _ lock: DataDirectoryLock, _ nameServer: NameServer,
        _ logger: Logger
    ) throws -> ControlNode {
        try ControlNode(
            sources: sources, dataDirectory: data, lock: lock, nameServer: nameServer,
            etcd: cluster.settings(zone: sources.policy.zone, agents: agents),
            parents: signing.parent, agents: agents, metrics: metrics,
            deliveries: Deliveries.Options(
                feedPort: feedPort, unsubscribeBase: unsubscribeBase,
                leaseTime: .seconds(lease.seconds), resolver: resolver, tokenDays: tokenDays),
            identity: identity, logger: logger)
    }
}

/// The two files that people edit, read and checked together.
struct FarmSources {
    let policyPath: String
    let zonePath: String
    /// What is published beside the zone file; nil for nothing.
    let mail: MailRecordOptions?
    private(set) var policy: Policy
    private(set) var zone: StaticZone

    /// Reports every fault on standard error; nothing is changed by a faulty file.
    init(
        policy policyPath: String, zone zonePath: String,
        mail: MailRecordOptions?
    ) throws {
        self.mail = mail
        self.policyPath = policyPath
        self.zonePath = zonePath
        policy = try FarmSources.policy(at: policyPath)
        let checked = try CheckedZone(at: zonePath, for: policy, mail: mail)
        zone = checked.zone
        policy.staticLabels = checked.staticLabels
    }

    /// Reads a policy; faults and warnings go to standard error.
    static func policy(at path: String) throws -> Policy {
        do throws(PolicyErrors) {
            let loaded = try loadPolicy(path: path)
            for warning in loaded.warnings { Report.note(warning.description) }
            return loaded.policy
        } catch {
            Report.note(error.description)
            throw Report.badInput
        }
    }

    /// Reads both files again.
    func reread() throws -> FarmSources {
        try FarmSources(policy: policyPath, zone: zonePath, mail: mail)
    }
}
