import Foundation
import TestSupport

/// A farm of real processes on loopback addresses of its own: the control node, agents and the
/// receiver. Every test starts its own, with its own directory and free ports.
final class FarmFixture {
    struct Settings {
        var agents = 2
        /// Networks whose clients the submission listeners take; the agents' default when empty.
        var allow: [String] = []
        /// Share of the recipients whose mail the receiver returns.
        var bounces = "0%"
        /// Milliseconds before each reply of the receiver.
        var delay = 0
        /// Where agents hand mail on; the receiver when nil.
        var relay: (address: String, port: UInt16)?
        /// The same for single agents, by their number.
        var relays: [Int: (address: String, port: UInt16)] = [:]
        /// Labels of single agents, by their number.
        var labels: [Int: String] = [:]
        /// The end of the policy.
        var members = ""
        /// Further keys of the guards.
        var guards = ""
        /// Address of the name server on port 53; loopback with a free port when nil.
        var nameServer: String?
        /// The receiver keeps every message as a file in `mailDirectory`.
        var keepsMail = false
        /// Third octet of the agents' addresses, 127.0.x.1 onwards.
        var network = 11
        var lease = "5s"
        /// Further keys of the smtp-out role.
        var outbound = ""
        /// Machines know each other by certificates of `trust`, also on loopback.
        var trust: MachineTrust?
    }

    static let zone = "smurf.example.test"

    let settings: Settings
    let directory: TemporaryDirectory
    let dns: (address: String, port: UInt16)
    let agentsPort: UInt16
    let feedPort: UInt16
    let smtpPort: UInt16
    let submissionPort: UInt16
    let webPort: UInt16
    let sinkPort: UInt16
    private(set) var control: Daemon?
    private(set) var agents: [Daemon] = []
    private(set) var sink: Daemon?

    var socket: String { directory.file("data/control.sock") }
    var reportPath: String { directory.file("sink.json") }
    var mailDirectory: String { directory.file("mail") }

    init(_ settings: Settings = Settings()) throws {
        self.settings = settings
        directory = try TemporaryDirectory()
        let address = settings.nameServer ?? "127.0.0.1"
        dns = (address, settings.nameServer == nil ? try Product.freePort() : 53)
        var ports: Set<UInt16> = []
        func port(on address: String) throws -> UInt16 {
            while true {
                let port = try Product.freePort(on: address)
                if ports.insert(port).inserted { return port }
            }
        }
        agentsPort = try port(on: "127.0.0.1")
        sinkPort = try port(on: "127.0.0.1")
        feedPort = try port(on: FarmFixture.address(1, settings))
        smtpPort = try port(on: FarmFixture.address(1, settings))
        submissionPort = try port(on: FarmFixture.address(1, settings))
        webPort = try port(on: FarmFixture.address(1, settings))
        try directory.write("policy.yml", FarmFixture.policy(settings))
        try directory.write("static.zone", FarmFixture.zoneFile(nameServer: address))
    }

    static func address(_ number: Int, _ settings: Settings) -> String {
        "127.0.\(settings.network).\(number)"
    }
    func address(_ number: Int) -> String { FarmFixture.address(number, settings) }
    static func id(_ number: Int) -> String { number < 10 ? "s0\(number)" : "s\(number)" }

    /// Starts receiver, control node and agents, and waits until DNS hands out every agent.
    func start() async throws {
        try await startSink()
        try await startControl()
        for number in 1...settings.agents { try startAgent(number) }
        try await eventually("all \(settings.agents) agents in smtp-out", within: .seconds(90)) {
            for agent in agents where !agent.isRunning {
                throw Failure("\(agent.name) ended early:\n\(agent.log.suffix(4000))")
            }
            return try await members("smtp-out").count == settings.agents
        }
    }

    func startSink() async throws {
        let sink = try Daemon(
            "sink",
            [
                Product.smurf, "sink", "--listen", "127.0.0.1:\(sinkPort)",
                "--dns", "\(dns.address):\(dns.port)", "--bounce", settings.bounces,
                "--unsubscribe", "0%",
                "--mx-port", "\(smtpPort)", "--report", reportPath, "--delay", "\(settings.delay)",
            ] + (settings.keepsMail ? ["--keep", mailDirectory] : []), directory: directory)
        self.sink = sink
        let port = sinkPort
        try await sink.ready { Reachable.tcp("127.0.0.1", port) }
    }

    func startControl() async throws {
        let control = try Daemon(
            "serve",
            [
                Product.smurf, "serve", "--policy", directory.file("policy.yml"),
                "--zone", directory.file("static.zone"), "--data", directory.file("data"),
                "--dns", "\(dns.address):\(dns.port)", "--agents", "127.0.0.1:\(agentsPort)",
                "--feed-port", "\(feedPort)", "--lease", settings.lease,
                "--unsubscribe-base", "http://web.\(FarmFixture.zone):\(webPort)/u/",
            ] + (settings.trust?.arguments("control") ?? []), directory: directory)
        self.control = control
        try await control.ready {
            try await serial() != nil && FileManager.default.fileExists(atPath: socket)
        }
    }

    /// Starts agent `number`, from 1; also one that was killed.
    /// - Parameter trust: nil = the farm's own.
    func startAgent(_ number: Int, trust: MachineTrust? = nil) throws {
        let relay = settings.relays[number] ?? settings.relay ?? ("127.0.0.1", sinkPort)
        var arguments = [
            Product.smurf, "agent", "--id", FarmFixture.id(number), "--address", address(number),
            "--control", "127.0.0.1:\(agentsPort)", "--relay", "\(relay.address):\(relay.port)",
            "--data", directory.file(FarmFixture.id(number)), "--feed-port", "\(feedPort)",
            "--smtp-port", "\(smtpPort)", "--submission-port", "\(submissionPort)",
            "--web-port", "\(webPort)",
        ]
        arguments += (trust ?? settings.trust)?.arguments("agent") ?? []
        if let label = settings.labels[number] { arguments += ["--label", label] }
        for network in settings.allow { arguments += ["--allow", network] }
        let agent = try Daemon(FarmFixture.id(number), arguments, directory: directory)
        if number <= agents.count { agents[number - 1] = agent } else { agents.append(agent) }
    }

    /// Ends agents, control node and receiver, in this order, and reads the receiver's report.
    @discardableResult
    func stop() async throws -> SinkReport {
        for agent in agents { await agent.stop() }
        await control?.stop()
        await sink?.stop()
        return try SinkReport(path: reportPath)
    }

    /// Addresses behind a role's name.
    func members(_ name: String) async throws -> [String] {
        try await Dig.short("\(name).\(FarmFixture.zone)", "A", at: dns.address, port: dns.port)
    }

    /// The zone's serial as a resolver sees it; nil when nobody answers.
    func serial() async throws -> UInt32? {
        let soa = try await Dig.short(FarmFixture.zone, "SOA", at: dns.address, port: dns.port)
        return soa.first?.split(separator: " ").dropFirst(2).first.flatMap { UInt32($0) }
    }

    /// Runs one of the operator's commands against this farm.
    func smurf(_ arguments: String...) async throws -> Finished {
        try await run([Product.smurf] + arguments + ["--control", socket])
    }

    static func policy(_ settings: Settings) -> String {
        """
        version: 1
        zone: \(zone)
        defaults: {ttl: 1s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 5s}}
        movement: {max_inflight: 4, gap: 0s, min_dwell: 0s}
        guards: {dead_after: 3s\(settings.guards)}
        roles:
          smtp-out:
            names: {smtp-out: A}
            priority: 1
            min: \(settings.agents)
            \(settings.outbound)
          smtp-in:
            names: {smtp-in: A, bounce: MX 10}
            priority: 2
            min: 0
        \(settings.members)

        """
    }

    static func zoneFile(nameServer: String) -> String {
        """
        $ORIGIN \(zone).
        $TTL 3600
        @ IN SOA ns1 hostmaster 1 60 15 604800 5
        @ IN NS ns1
        ns1 IN A \(nameServer)

        """
    }
}
