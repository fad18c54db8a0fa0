import AuthDNS
import AuthDNSCore
import Farm
import RoleScheduler

/// Where orders about the zones' keys go: to this node's name server when it is alone, else by way of the farm's record to
/// all of them.
struct KeyDesk: Sendable {
    let nameServer: NameServer
    let scheduler: RoleSchedulerService
    /// Whether there may be other control nodes.
    let isShared: Bool

    /// Whether what is to be said about keys is to be said here.
    var isInCharge: Bool { get async { isShared ? await scheduler.leads : true } }

    /// Notes what somebody says about a zone's keys; when it returns, this node's name server signs by it.
    /// - Throws: `NameServerError` when it makes no sense now, `OverrideError` when another node leads.
    func follow(_ order: KeyOrder, _ zone: ServedZone, by operator: String) async throws {
        guard isShared else {
            return try await ControlNode.offPool { try zone.follow(order) }
        }
        try await scheduler.changeKeys("\(zone.name): \(order)", by: `operator`) { shared in
            try await ControlNode.offPool {
                guard let moved = try zone.moved(shared?.zones[zone.name], order: order) else {
                    throw NameServerError.unsigned
                }
                var keys = shared ?? SealedKeys()
                keys.zones[zone.name] = moved
                return keys
            }
        }
        // Not for ever: a name server that cannot take it says why itself.
        for _ in 0..<250 where await !scheduler.keysArePublished {
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Moves the keys of every zone on that is signed here; nil when none is.
    /// - Throws: `NameServerError` when they cannot be opened.
    var moved: (@Sendable (SealedKeys?) async throws -> SealedKeys?)? {
        guard isShared, nameServer.isSigning else { return nil }
        return { [nameServer] shared in
            // Asked for every plan: nearly always nothing is due, and no thread has to be begun to see that.
            let areSettled = nameServer.zones.allSatisfy { zone in
                shared?.zones[zone.name].map(zone.areSettled) ?? false
            }
            if areSettled { return shared }
            return try await ControlNode.offPool {
                var keys = shared ?? SealedKeys()
                for zone in nameServer.zones {
                    keys.zones[zone.name] = try zone.moved(keys.zones[zone.name])
                }
                return keys
            }
        }
    }
}
