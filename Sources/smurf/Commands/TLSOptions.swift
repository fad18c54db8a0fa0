import ArgumentParser
import AuthDNS
import DNSTransport
import Farm
import Logging

/// What an operator can say about DNS over TLS.
struct TLSOptions: ParsableArguments {
    @Option(
        help: """
            Address and port to answer DNS over TLS on (RFC 7858), usually port 853; repeat for more. Transfers go \
            over it too (RFC 9103).
            """)
    var dnsTLS: [Endpoint] = []
    @Option(name: .customLong("dns-tls-cert"), help: "PEM file of its certificate and chain.")
    var certificate: String?
    @Option(name: .customLong("dns-tls-key"), help: "PEM file of the certificate's key.")
    var key: String?
    @Option(
        name: .customLong("dns-tls-clients"),
        help: "PEM file of who signs clients' certificates: then only such clients are answered.")
    var clients: String?
    @Flag(help: "Let secondaries have the zone over TLS only.") var transfersByTLS = false

    func validate() throws {
        guard dnsTLS.isEmpty || (certificate != nil && key != nil) else {
            throw ValidationError("--dns-tls needs --dns-tls-cert and --dns-tls-key")
        }
        guard !transfersByTLS || !dnsTLS.isEmpty else {
            throw ValidationError("--transfers-by-tls: there is no --dns-tls to have them over")
        }
    }

    /// Binds the sockets.
    func sockets() throws -> SecureSockets {
        try SecureSockets(dnsTLS.map { ($0.address, $0.port) })
    }

    /// Files that must be readable.
    var files: [String] { [certificate, key, clients].compactMap { $0 } }

    /// Begins to answer; nil when nothing is to be answered over TLS.
    func listener(
        for server: NameServer, on sockets: SecureSockets, _ logger: Logger
    ) async throws -> TLSListener? {
        guard !sockets.isEmpty, let certificate, let key else { return nil }
        let listener = try await TLSListener(
            server, on: sockets,
            TLSListener.Settings(certificate: certificate, key: key, clientAuthority: clients))
        for endpoint in sockets.endpoints {
            logger.notice("answering DNS over TLS on \(endpoint.address) port \(endpoint.port)")
        }
        return listener
    }
}
