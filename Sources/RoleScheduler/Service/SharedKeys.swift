public import Farm
import RoleSchedulerCore

/// The keys that all name servers of the farm sign with. The leader moves them on, and they are in the farm's record before
/// anybody uses them; what they say is the name server's to know.
extension RoleSchedulerService {
    /// The keys as they are to be now, and what an operator should know of that.
    func sharedKeys() async -> (keys: SealedKeys?, notes: [String]) {
        guard let movedKeys else { return (current?.keys, []) }
        do {
            return (try await movedKeys(current?.keys), [])
        } catch {
            return (current?.keys, ["the zone's keys stay as they are: \(error)"])
        }
    }

    /// Changes the keys for all name servers.
    /// - Parameters:
    ///   - change: gives those that are to be; it is given those that are.
    ///   - what: for the history.
    /// - Throws: what `change` does, or `OverrideError` when another node leads; nothing is changed then.
    public func changeKeys(
        _ what: String, by operator: String,
        _ change: @Sendable (SealedKeys?) async throws -> SealedKeys?
    ) async throws {
        try await beginOrder()
        defer { endTurn() }
        guard let known = current else {
            throw OverrideError("nothing is answered yet: try again soon")
        }
        let keys = try await change(known.keys)
        let view = numbered(known.membership, keys)
        let line = entry(nil, from: "keys", to: what, `operator`, "")
        try await save(state, view, [line], moment())
        current = view
        bell.yield()
    }

    /// Whether this node's name server signs with what was said last.
    public var keysArePublished: Bool { published?.keys == current?.keys }
}
