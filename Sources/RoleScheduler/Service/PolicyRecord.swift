public import RoleSchedulerCore

/// Another policy for a farm that runs, and that an operator gave it, as the history has it: by whom, why, which text took the place of which,
/// and what differs.
extension RoleSchedulerService {
    /// Goes on with another policy; machines keep their places and move by its rules.
    public func replacePolicy(_ policy: Policy) async {
        await beginTurn()
        defer { endTurn() }
        self.policy = policy
        bell.yield()
        state = RoleSchedulerService.enrolled(state, policy, at: moment())
    }

    /// So much of what differs is written down.
    private static let longest = 2000

    /// - Parameters:
    ///   - from: what tells the old text from others, as `to` does the new one.
    ///   - reason: empty when none was given.
    /// - Returns: whether it is in the history; only the node that leads writes it.
    /// - Throws: when the store cannot be written.
    public func notePolicy(
        from: String, to: String, by operator: String, reason: String,
        _ differences: [PolicyDifference]
    ) async throws -> Bool {
        await beginTurn()
        defer { endTurn() }
        guard leads else { return false }
        let said = differences.map(\.text).map { $0.trimmingPrefix("  ") }.joined(separator: "; ")
        let shown =
            said.count > RoleSchedulerService.longest
            ? said.prefix(RoleSchedulerService.longest) + " …" : said[...]
        let why = reason.isEmpty ? String(shown) : "\(reason): \(shown)"
        let line = entry(nil, from: "policy \(from)", to: "policy \(to)", `operator`, why)
        try await save(state, current, [line], moment())
        return true
    }
}
