public import Farm
import RoleSchedulerCore

/// What delivery cores say of the machines that they hand rows to. The scheduler does not know what a core does; only
/// whether it still uses an address.
extension RoleSchedulerService {
    /// Whether a machine drains that the cores have to let go of.
    public var awaitsCores: Bool {
        // Asked four times a second, and of most policies it is known without a look at the machines.
        let waiting = Set(policy.roles.filter(\.drain.waitsForCores).map(\.role))
        guard !waiting.isEmpty else { return false }
        return state.smurfs.values.contains { record in
            guard case .draining(let role) = record.state else { return false }
            return waiting.contains(role)
        }
    }

    /// Notes what a delivery core knows of the names.
    /// - Parameters:
    ///   - asOf: `answeredAsOf` before the core asked anew.
    ///   - uses: addresses that it has not finished with.
    public func note(core: String, asOf: Moment, uses: Set<IPAddress>) {
        let isNews = cores[core]?.uses != uses || (cores[core]?.asOf ?? asOf) != asOf
        cores[core] = CoreSight(heard: moment(), asOf: asOf, uses: uses)
        if isNews { bell.yield() }
    }
}
