public import Farm
public import GRPCNIOTransportHTTP2
import NIOCore

/// The files by which machines of a farm know each other: certificate, private key, and the farm's own CA.
/// Names in certificates are not compared: machines meet by addresses, and the CA certifies nobody else.
public struct MachineCertificate: Hashable, Sendable {
    /// Paths of PEM files.
    public var certificate: String
    public var key: String
    public var authority: String

    public init(certificate: String, key: String, authority: String) {
        self.certificate = certificate
        self.key = key
        self.authority = authority
    }
}

/// Transport security between machines: mTLS, or none on loopback.
public enum MachineSecurity {
    /// - Parameter certificate: nil = plain text; callers allow that on loopback only.
    public static func server(
        _ certificate: MachineCertificate?
    ) -> HTTP2ServerTransport.Posix.TransportSecurity {
        guard let certificate else { return .plaintext }
        return .mTLS(
            certificateChain: [.file(path: certificate.certificate, format: .pem)],
            privateKey: .file(path: certificate.key, format: .pem)
        ) {
            $0.trustRoots = .certificates([.file(path: certificate.authority, format: .pem)])
        }
    }

    /// - Parameter certificate: nil = plain text; callers allow that on loopback only.
    public static func client(
        _ certificate: MachineCertificate?
    ) -> HTTP2ClientTransport.Posix.TransportSecurity {
        guard let certificate else { return .plaintext }
        return .mTLS(
            certificateChain: [.file(path: certificate.certificate, format: .pem)],
            privateKey: .file(path: certificate.key, format: .pem)
        ) {
            $0.trustRoots = .certificates([.file(path: certificate.authority, format: .pem)])
            $0.serverCertificateVerification = .noHostnameVerification
        }
    }
}

extension MachineSecurity {
    /// A machine that says nothing for so long is asked whether it is there, and given up when it does not
    /// answer for half of it: a lost machine sends no reset.
    private static let silence = Duration.seconds(10)

    /// Time between a server's goodbye (GOAWAY) and its end. A stream that begins in the moment in which the
    /// server is cancelled would find nobody to take it, which traps in the transport.
    public static let goodbye = Duration.milliseconds(300)

    /// Configuration of a server that machines talk to over long streams.
    public static var serverConfiguration: HTTP2ServerTransport.Posix.Config {
        .defaults {
            $0.connection.keepalive.time = silence
            $0.connection.keepalive.timeout = silence / 2
            $0.connection.keepalive.clientBehavior.minPingIntervalWithoutCalls = .seconds(1)
        }
    }

    /// The same for the server that agents report to. An order is written as soon as it is made: there is seldom another
    /// to wait for, and waiting takes a timer of its own. Agents are not asked whether they are there, because they say so
    /// every second.
    public static var registryConfiguration: HTTP2ServerTransport.Posix.Config {
        registryConfiguration(silence: silence + silence / 2)
    }

    /// - Parameter silence: after which a connection is given up.
    static func registryConfiguration(silence: Duration) -> HTTP2ServerTransport.Posix.Config {
        var configuration = serverConfiguration
        configuration.connection.flushCoalescing = nil
        // The transport can only be told to ask seldom.
        configuration.connection.keepalive.time = .seconds(86_400)
        configuration.channelDebuggingCallbacks.onAcceptTCPConnection = { channel in
            UnsharedReads.add(to: channel).flatMap {
                SilenceWatch.add(to: channel, patience: silence)
            }
        }
        return configuration
    }

    /// The same for a client that has others to turn to: a machine that hangs is left after three seconds.
    public static var impatientConfiguration: HTTP2ClientTransport.Posix.Config {
        var configuration = clientConfiguration
        configuration.connection.keepalive = .init(
            time: .seconds(2), timeout: .seconds(1), allowWithoutCalls: false)
        return configuration
    }

    /// Configuration of a client that talks to a machine over long streams.
    public static var clientConfiguration: HTTP2ClientTransport.Posix.Config {
        .defaults {
            $0.connection.keepalive = .init(
                time: silence, timeout: silence / 2, allowWithoutCalls: false)
            $0.backoff.max = .seconds(2)
        }
    }
}

extension GRPCNIOTransportHTTP2.SocketAddress {
    /// - Parameter address: without a port.
    public init(_ address: IPAddress, port: UInt16) {
        switch address {
        case .v4: self = .ipv4(host: address.description, port: Int(port))
        case .v6: self = .ipv6(host: address.description, port: Int(port))
        }
    }
}
