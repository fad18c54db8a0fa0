import ArgumentParser
import AuthDNS
import AuthDNSCore
import Farm

/// Another name server of the zone on the command line: ADDRESS[:PORT][=KEY], an IPv6 address with a port in brackets, or
/// a network in place of the address.
struct Secondary: ExpressibleByArgument, Sendable {
    let network: Network
    let key: DomainName?
    /// nil for a network: there is nobody to tell of changes.
    let notified: NameServerConfiguration.Notified?
    let isPortGiven: Bool

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let place = String(parts[0])
        var key: DomainName?
        if parts.count == 2 {
            guard let name = DomainName(String(parts[1])) else { return nil }
            key = name
        }
        self.key = key
        if place.contains("/") {
            guard let network = Network(place) else { return nil }
            self.network = network
            notified = nil
            isPortGiven = false
            return
        }
        guard let endpoint = Endpoint(argument: place, usualPort: 53),
            let network = Network(endpoint.address.description)
        else { return nil }
        self.network = network
        isPortGiven = Endpoint(argument: place) != nil
        notified = .init(address: endpoint.address, port: endpoint.port, key: key)
    }
}
