public import Farm
import RoleSchedulerCore

/// What an operator ordered about one machine, as it is shown while it holds.
public struct OperatorWord: Hashable, Sendable {
    /// "move web", "hold" or "cordon".
    public var text: String
    public var secondsLeft: Double
    public var reason: String
    public var by: String

    static func all(of record: SmurfRecord, now: Moment) -> [OperatorWord] {
        var words: [OperatorWord] = []
        if let override = record.override {
            let text =
                switch override.kind {
                case .move(let role): "move \(role)"
                case .hold: "hold"
                }
            words.append(
                OperatorWord(
                    text: text, secondsLeft: override.until.since(now).inSeconds,
                    reason: override.reason, by: override.by))
        }
        if let cordon = record.cordon {
            words.append(
                OperatorWord(
                    text: "cordon", secondsLeft: cordon.until.since(now).inSeconds,
                    reason: cordon.reason, by: cordon.by))
        }
        return words
    }
}

/// Operators' words that leave a machine where it is.
extension RoleSchedulerService {
    /// Keeps a machine in the role it has until the time is over.
    /// - Parameter role: nil = the one it holds or warms up for.
    /// - Returns: the role.
    /// - Throws: `OverrideError` when it has none and `role` is nil, and what `move` throws.
    public func pin(
        _ id: SmurfID, to role: Role?, for duration: Duration, reason: String, by operator: String
    ) async throws -> Role {
        guard let record = state.smurfs[id] else { throw unknown(id) }
        guard let role = role ?? record.assigned else {
            throw OverrideError(
                "'\(id)' is \(record.state) and has no role to be pinned to: name one, "
                    + "'smurf pin \(id) ROLE'")
        }
        try await move(id, to: role, for: duration, reason: reason, by: `operator`)
        return role
    }

    /// Leaves a machine in the role it has, if it has one, and gives it no other until the time is over.
    public func cordon(
        _ id: SmurfID, for duration: Duration, reason: String, by operator: String
    ) async throws {
        try await beginOrder()
        defer { endTurn() }
        guard let record = state.smurfs[id] else { throw unknown(id) }
        _ = try OperatorReason(reason)
        let now = moment()
        let cordon = Cordon(until: now.advanced(by: duration), reason: reason, by: `operator`)
        try await set(cordon, on: id, record, "cordon", reason, `operator`)
    }

    /// Ends a cordon; a hold or move stays as it is.
    public func uncordon(_ id: SmurfID, reason: String, by operator: String) async throws {
        try await beginOrder()
        defer { endTurn() }
        guard let record = state.smurfs[id] else { throw unknown(id) }
        guard record.cordon != nil else { throw OverrideError("'\(id)' is not cordoned") }
        if !reason.isEmpty { _ = try OperatorReason(reason) }
        try await set(nil, on: id, record, "uncordoned", reason, `operator`)
    }

    public func isCordoned(_ id: SmurfID) -> Bool { state.smurfs[id]?.cordon != nil }

    private func set(
        _ cordon: Cordon?, on id: SmurfID, _ record: SmurfRecord, _ to: String, _ reason: String,
        _ by: String
    ) async throws {
        var next = state
        next.smurfs[id]?.cordon = cordon
        let line = entry(id, from: record.state.description, to: to, by, reason)
        try await save(next, current, [line], moment())
        state = next
    }
}
