import ArgumentParser
import Delivery
import Farm

/// `smurf agent`: one machine of the farm. It asks a control node what to be and is just that.
struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Runs one machine of the farm: it carries out the role that it is ordered.",
        discussion: """
            A listener exists only while its role is held or drained. Without its control node an \
            agent keeps its last role and what it was given to do.

              smurf agent --id s01 --address 192.0.2.1 --control 192.0.2.250:5380 \\
                --relay 127.0.0.1:25 --data /var/lib/smurf \\
                --tls-cert s01.pem --tls-key s01.key --tls-ca farm-ca.pem
            """)

    @Option(help: "This machine's id: one label, as in the policy file.") var id: SmurfID
    @Option(help: "An address it serves on; repeat for more.") var address: [IPAddress]
    @Option(help: "The control node's address for agents.") var control: Endpoint
    @Option(help: "Where rendered messages go: this machine's own MTA.") var relay: Endpoint
    @Option(help: "Directory for what must survive a restart.") var data: String = "smurf-data"
    @Option(help: "Port of the feed (role smtp-out).") var feedPort: UInt16 = 7001
    @Option(help: "Port of the submission listener (role smtp-out).") var submissionPort: UInt16 = 587
    @Option(help: "Port of the bounce domain's SMTP server (role smtp-in).") var smtpPort: UInt16 = 25
    @Option(help: "Port of the unsubscribe pages (role web).") var webPort: UInt16 = 80
    @Option(help: "Network that may submit mail, e.g. 192.0.2.0/24; repeat for more.")
    var allow: [String] = ["127.0.0.1/32", "::1/128"]
    @Option(help: "Connections to the relay.") var connections: Int = 8
    @Option(help: "Send at most this many messages a second.") var rate: Double?
    @OptionGroup var identity: MachineIdentity
    @OptionGroup var logging: LogOptions
}

extension SmurfID: @retroactive ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension IPAddress: @retroactive ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}
