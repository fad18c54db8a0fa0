import ArgumentParser
import Delivery
import Farm

/// An address and a port as an argument: "127.0.0.1:5300", "[::1]:5300". Names are not taken: what to
/// listen on or to connect to is said exactly.
struct Endpoint: ExpressibleByArgument, CustomStringConvertible, Hashable, Sendable {
    let address: IPAddress
    let port: UInt16

    init?(argument: String) {
        guard let colon = argument.lastIndex(of: ":"),
            let port = UInt16(argument[argument.index(after: colon)...])
        else { return nil }
        var host = argument[..<colon]
        if host.first == "[" && host.last == "]" {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard let address = IPAddress(String(host)) else { return nil }
        self.address = address
        self.port = port
    }

    /// The same, or an address alone.
    /// - Parameter usualPort: of an address alone.
    init?(argument: String, usualPort: UInt16) {
        guard let address = IPAddress(argument) else {
            self.init(argument: argument)
            return
        }
        self.init(address: address, port: usualPort)
    }

    init(address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    /// 127.0.0.1: what everything listens on unless told otherwise.
    static func loopback(port: UInt16) -> Endpoint {
        Endpoint(address: .v4(0x7F00_0001), port: port)
    }

    var defaultValueDescription: String { description }

    var description: String {
        switch address {
        case .v4: "\(address):\(port)"
        case .v6: "[\(address)]:\(port)"
        }
    }
}

/// The certificate, key and trust anchor of one machine, all or none of them.
struct MachineIdentity: ParsableArguments {
    @Option(help: "This machine's certificate chain (PEM), for anything beyond loopback.")
    var tlsCert: String?
    @Option(help: "Its private key (PEM).") var tlsKey: String?
    @Option(help: "The farm's own CA (PEM): only machines it certified are listened to.")
    var tlsCa: String?

    /// nil when none of the three is given.
    var certificate: MachineCertificate? {
        guard let tlsCert, let tlsKey, let tlsCa else { return nil }
        return MachineCertificate(certificate: tlsCert, key: tlsKey, authority: tlsCa)
    }

    func validate() throws {
        let given = [tlsCert, tlsKey, tlsCa].compactMap { $0 }.count
        guard given == 0 || given == 3 else {
            throw ValidationError("--tls-cert, --tls-key and --tls-ca go together")
        }
    }
}
