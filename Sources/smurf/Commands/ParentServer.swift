import ArgumentParser
import AuthDNSCore
import Farm
import FarmProtocol
import ZoneFile

/// A name server of the parent zone, as an operator names it.
struct ParentServer: ExpressibleByArgument, Hashable, Sendable, CustomStringConvertible {
    private let endpoint: Endpoint

    init?(argument: String) {
        guard let endpoint = Endpoint(argument: argument, usualPort: 53) else { return nil }
        self.endpoint = endpoint
    }

    var description: String { "\(endpoint)" }

    /// What it says of a zone. Blocks the thread.
    func delegation(of apex: DomainName) throws(DelegationFault) -> Delegation {
        try Delegation.asked(of: apex, at: endpoint.address, port: endpoint.port)
    }

    /// Holds what it says against what it ought to say, and prints how it differs.
    /// - Returns: whether it does not.
    func isRight(_ wanted: Delegation) -> Bool {
        do throws(DelegationFault) {
            let differences = wanted.differences(of: try delegation(of: wanted.apex))
            for difference in differences { print("\(self): \(difference)") }
            if differences.isEmpty { print("\(self): says of \(wanted.apex) what it ought to") }
            return differences.isEmpty
        } catch {
            Report.note("\(error)")
            return false
        }
    }
}

extension Delegation {
    /// What a control node says the parent should have; nil when it is malformed.
    init?(_ view: Smurffarm_V1_KeysView) {
        guard let apex = DomainName(view.zone) else { return nil }
        self.init(apex: apex, nameServers: view.nameServers, glue: view.glue, keys: view.ds)
    }
}
