import ArgumentParser
import AuthDNS
import AuthDNSCore
import DNSTransport
import Farm
import Foundation
import Logging
import UnixSignals

/// `smurf secondary`: a name server of a zone that is made elsewhere.
struct SecondaryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "secondary",
        abstract: "Serves a zone that another server makes, as a secondary name server.",
        discussion: """
            The zone is fetched (IXFR, else AXFR) from the first primary that answers: when one of them tells of a \
            new version, and at the times in the zone's SOA record. It is kept in the data directory, and answered \
            from there at the next start, for as long as the zone's expire time. Sets are answered in an order drawn \
            anew each time; what the control node beside does not transfer is that an answer holds only some members \
            of a role (`answer:` in the policy), and that an empty role answers SERVFAIL.

              smurf secondary --zone smurf.example.test --primary 192.0.2.53=farm --tsig-keys farm.key \\
                --dns 198.51.100.53:53 --data secondary-data
            """)

    @Option(help: "The zone's name.") var zone: String
    @Option(
        help:
            "A server that has the zone: ADDRESS[:PORT][=KEY]; repeat for more, in order of trust.")
    var primary: [Secondary]
    @Option(help: "Directory for what must survive a restart.") var data: String
    @Option(help: "Address and port to answer DNS on; repeat for more.")
    var dns: [Endpoint] = [Endpoint.loopback(port: 5300)]
    @Option(help: "UDP threads per address; by default one per core.") var workers: Int?
    @Option(
        help: """
            The account to run as once the DNS ports are bound; the data directory becomes its own. It must be \
            able to read the TLS files.
            """)
    var user: String?
    @Flag(help: "Fetch over TLS (RFC 9103); the usual port is 853 then.") var primaryTLS = false
    @Option(
        name: .customLong("primary-tls-ca"),
        help:
            "PEM file of who signed the primaries' certificates; by default whom this machine trusts."
    )
    var authority: String?
    @Option(
        name: .customLong("primary-tls-name"),
        help: "Name in the primaries' certificates; by default their address.")
    var certifiedName: String?
    @Option(name: .customLong("primary-tls-cert"), help: "PEM file of this server's certificate.")
    var certificate: String?
    @Option(name: .customLong("primary-tls-key"), help: "PEM file of its key.") var key: String?
    @OptionGroup var nameServer: NameServerOptions
    @OptionGroup(title: "DNS OVER TLS") var tls: TLSOptions
    @OptionGroup var logging: LogOptions

    func validate() throws {
        guard DomainName(zone) != nil else { throw ValidationError("--zone '\(zone)' is no name") }
        guard (1...64).contains(workers ?? 1) else {
            throw ValidationError("--workers \(workers ?? 0): write a number from 1 to 64")
        }
        guard !primary.isEmpty else { throw ValidationError("--primary: give one at least") }
        guard primary.allSatisfy({ $0.notified != nil }) else {
            throw ValidationError("--primary: give an address, not a network")
        }
        guard (certificate == nil) == (key == nil) else {
            throw ValidationError("--primary-tls-cert and --primary-tls-key belong together")
        }
        guard primaryTLS || [authority, certifiedName, certificate].allSatisfy({ $0 == nil }) else {
            throw ValidationError("--primary-tls-…: give --primary-tls too")
        }
    }

    func run() async throws { try await run(on: try prepare()) }

    /// What a secondary is made of: input that was checked, and sockets that are bound.
    struct Ground: Sendable {
        var apex: DomainName
        var names: NameServerConfiguration
        var sockets: BoundSockets
        var secure: SecureSockets
        var primaries: [ZoneFetcher.Primary]
    }

    /// Checks all input, binds the sockets, and then becomes the account of `--user`. To be called while the process
    /// has one thread, the main one, which would else stay root's.
    func prepare() throws -> Ground {
        let names = try configuration()
        try DataDirectory.prepare(data)
        do {
            let account = try user.map { try Privileges(of: $0) }
            let ground = Ground(
                apex: try apexName(), names: names, sockets: try BoundSockets(names),
                secure: try tls.sockets(), primaries: try primaries())
            try account?.own(data)
            let files = [authority, certificate, key].compactMap { $0 } + tls.files
            try account?.take(toRead: files)
            return ground
        } catch {
            throw Report.failure("\(error)")
        }
    }

    /// Serves until a signal ends it.
    func run(on ground: Ground) async throws {
        let logger = logging.logger("smurf")
        do {
            let lock = try DataDirectoryLock(data, waiting: 0)
            defer { lock.release() }
            let end = await UnixSignalsSequence(trapping: .sigterm, .sigint)
            let server = try NameServer(
                configuration: ground.names, zone: try StaticZone.placeholder(for: ground.apex),
                logger: logger, on: ground.sockets)
            let secure = try await tls.listener(for: server, on: ground.secure, logger)
            server.start()
            for endpoint in server.endpoints {
                logger.notice("answering DNS on \(endpoint.address) port \(endpoint.port)")
            }
            let fetcher = ZoneFetcher(
                server, of: ground.apex, from: ground.primaries, logger: logger)
            let work = Task { await fetcher.run() }
            for await _ in end { break }
            work.cancel()
            await secure?.stop()
            try await ControlNode.offPool { server.stop() }
        } catch {
            throw Report.failure("\(error)")
        }
    }

    private func apexName() throws(NameServerError) -> DomainName {
        guard let apex = DomainName(zone) else { throw NameServerError("'\(zone)' is no name") }
        return apex
    }

    private func configuration() throws -> NameServerConfiguration {
        var names = NameServerConfiguration(
            listen: dns.map { ($0.address, $0.port) }, stateDirectory: data,
            workers: workers ?? ProcessInfo.processInfo.activeProcessorCount,
            settings: nameServer.settings)
        names.isSecondary = true
        try nameServer.addSecondaries(to: &names)
        names.peers.primaries = primary.map { .init(network: $0.network, key: $0.key) }
        names.peers.areSecret = tls.transfersByTLS
        return names
    }

    private func primaries() throws -> [ZoneFetcher.Primary] {
        let keys = try nameServer.keys()
        let security =
            primaryTLS
            ? PrimaryTLS(
                authority: authority, name: certifiedName, certificate: certificate, key: key) : nil
        return try primary.compactMap { primary in
            guard let place = primary.notified else { return nil }
            let key = keys.first { $0.name == primary.key }
            if let name = primary.key, key == nil {
                throw NameServerError(
                    "--primary names the key '\(name)', which no file of --tsig-keys has")
            }
            return ZoneFetcher.Primary(
                address: place.address, port: primary.isPortGiven || !primaryTLS ? place.port : 853,
                source: source(for: place.address), key: key, tls: security)
        }
    }

    /// Primaries know this server by an address that it answers on, when that can reach them.
    private func source(for primary: IPAddress) -> IPAddress? {
        dns.map(\.address).first {
            !$0.isUnspecified && $0.octets.count == primary.octets.count
                && $0.isLoopback == primary.isLoopback
        }
    }
}
