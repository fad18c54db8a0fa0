public import Farm

/// What one machine of the farm is told on its command line.
public struct AgentConfiguration: Sendable {
    public var id: SmurfID
    /// Where it serves; its listeners bind these and no others.
    public var addresses: [IPAddress]
    /// What the policy may match it by.
    public var labels: [Label] = []
    /// The control nodes' places for agents, at least one: they are tried in turn until one takes the reports.
    public var controls: [(address: IPAddress, port: UInt16)]
    /// nil: plain text, for loopback only.
    public var certificate: MachineCertificate?
    /// Must exist; the feedback spool is kept there.
    public var dataDirectory: String
    /// Where messages go.
    public var relay: (address: IPAddress, port: UInt16)
    /// Connections to the relay at most.
    public var relayConnections = 6
    /// Rows held at most. A machine that is lost may have sent as many without saying so.
    public var window = 512
    public var feedPort: UInt16 = 7001
    public var submissionPort: UInt16 = 587
    public var smtpPort: UInt16 = 25
    public var webPort: UInt16 = 80
    /// Who may submit mail in the smtp-out role.
    public var submitters: [Network] = []

    public init(
        id: SmurfID, addresses: [IPAddress], controls: [(address: IPAddress, port: UInt16)],
        dataDirectory: String, relay: (address: IPAddress, port: UInt16)
    ) {
        self.id = id
        self.addresses = addresses
        self.controls = controls
        self.dataDirectory = dataDirectory
        self.relay = relay
    }

    /// Each address with the given port.
    func listen(_ port: UInt16) -> [(address: IPAddress, port: UInt16)] {
        addresses.map { ($0, port) }
    }
}
