public import Farm
import RoleSchedulerCore

/// What delivery cores say of the machines that they hand rows to. The scheduler does not know what a core does; only
/// whether it still uses an address.
extension RoleSchedulerService {
    /// Whether a machine drains that the cores have to let go of.
    public var awaitsCores: Bool {
        state.smurfs.values.contains { record in
            guard case .draining(let role) = record.state else { return false }
            return policy[role]?.drain.waitsForCores ?? false
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
