import ArgumentParser
import Delivery
import Farm
import Foundation
import UnixSignals

/// `smurf agent`: one machine of the farm. It asks a control node what to be and is just that.
struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Runs one machine of the farm: it carries out the role that it is ordered.",
        discussion: """
            A listener exists only while its role is held or drained: the feed and submission \
            (smtp-out), the bounce domain's SMTP server (smtp-in), the unsubscribe pages (web). \
            Without its control node an agent goes on with what it was ordered last. SIGTERM ends it: \
            what is under way is finished, what is not begun goes back. A farm with several control nodes \
            names each (--control A --control B): the one that leads takes the reports.

              smurf agent --id s01 --address 192.0.2.1 --control 192.0.2.250:5380 \\
                --relay 127.0.0.1:25 --data /var/lib/smurf \\
                --tls-cert s01.pem --tls-key s01.key --tls-ca farm-ca.pem
            """)

    @Option(
        help: "This machine's id: one label, as in the policy file.", transform: Read.smurf)
    var id: SmurfID
    @Option(help: "An address it serves on; repeat for more.", transform: Read.address)
    var address: [IPAddress]
    @Option(
        help: "A label for the policy to match, KEY=VALUE, e.g. rack=b; repeat for up to 16.",
        transform: Read.label)
    var label: [Label] = []
    @Option(
        help:
            "The control node's address and port for agents; repeat for every control node of the farm."
    )
    var control: [Endpoint] = [Endpoint.loopback(port: 5380)]
    @Option(help: "Where rendered messages go: this machine's own MTA.")
    var relay: Endpoint = Endpoint.loopback(port: 25)
    @Option(help: "Directory for what must survive a restart.") var data: String = "smurf-agent"
    @Option(help: "Port of the feed (smtp-out).") var feedPort: UInt16 = 7001
    @Option(help: "Port of the submission listener (smtp-out).") var submissionPort: UInt16 = 587
    @Option(help: "Port of the bounce domain's SMTP server (smtp-in).") var smtpPort: UInt16 = 25
    @Option(help: "Port of the unsubscribe pages (web).") var webPort: UInt16 = 80
    @Option(
        help:
            "Network that may submit mail, e.g. 192.0.2.0/24; repeat for more; default: loopback.",
        transform: Read.network)
    var allow: [Network] = []
    @Option(help: "Connections to the relay.") var connections: Int = 6
    @Option(help: "Rows it holds at most; as many may be doubtful when it is lost.")
    var window: Int = 512
    @OptionGroup var identity: MachineIdentity
    @OptionGroup var logging: LogOptions

    func validate() throws {
        guard !address.isEmpty else { throw ValidationError("give at least one --address") }
        guard label.count <= 16 else {
            throw ValidationError("\(label.count) labels: give at most 16")
        }
        guard (1...256).contains(connections) else {
            throw ValidationError("--connections \(connections): give 1 to 256")
        }
        guard (8...65_536).contains(window) else {
            throw ValidationError("--window \(window): give 8 to 65536")
        }
        let beyond = (address + control.map(\.address)).first { !$0.isLoopback }
        if let beyond, identity.certificate == nil {
            throw ValidationError(
                "\(beyond) is beyond loopback: give --tls-cert, --tls-key and --tls-ca")
        }
    }

    func run() async throws {
        let ends = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try DataDirectory.prepare(data)
        let lock: DataDirectoryLock
        let agent: SmurfAgent
        do {
            lock = try DataDirectoryLock(data)
            agent = try SmurfAgent(agentConfiguration, logger: logging.logger(id.name))
        } catch {
            throw Report.failure("\(error)")
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await agent.run() }
            for await _ in ends { break }
            group.cancelAll()
        }
        withExtendedLifetime(lock) {}
    }

    private var agentConfiguration: AgentConfiguration {
        var configuration = AgentConfiguration(
            id: id, addresses: address, controls: control.map { ($0.address, $0.port) },
            dataDirectory: data, relay: (relay.address, relay.port))
        configuration.labels = label
        configuration.certificate = identity.certificate
        configuration.relayConnections = connections
        configuration.window = window
        configuration.feedPort = feedPort
        configuration.submissionPort = submissionPort
        configuration.smtpPort = smtpPort
        configuration.webPort = webPort
        configuration.submitters =
            allow.isEmpty ? ["127.0.0.0/8", "::1"].compactMap { Network($0) } : allow
        return configuration
    }
}

/// Arguments of the farm's own types.
private enum Read {
    static func smurf(_ text: String) throws -> SmurfID {
        guard let id = SmurfID(text) else {
            throw ValidationError(
                "'\(text)' is no smurf id: use one label of letters, digits, hyphens")
        }
        return id
    }

    static func label(_ text: String) throws -> Label {
        guard let label = Label(text) else {
            throw ValidationError(
                "'\(text)' is no label: write KEY=VALUE with letters, digits, '-', '_' and '.'")
        }
        return label
    }

    static func address(_ text: String) throws -> IPAddress {
        guard let address = IPAddress(text) else {
            throw ValidationError("'\(text)' is no IPv4 or IPv6 address")
        }
        return address
    }

    static func network(_ text: String) throws -> Network {
        guard let network = Network(text) else {
            throw ValidationError(
                "'\(text)' is no network: write 192.0.2.0/24 or 2001:db8::/32, with no bits beyond the prefix"
            )
        }
        return network
    }
}
