public import Farm
import RoleSchedulerCore

/// TXT records that operators, or their certificate programs, want to be answered for a while.
extension RoleSchedulerService {
    /// So many at a time: the farm's record is written whole.
    private static let most = 100

    /// Lets every name server of the farm answer a text until the time is over.
    /// - Parameter text: which the zone can have, with a value of 1…255 octets.
    /// - Throws: `OverrideError` when there are too many, or another node leads.
    public func want(_ text: Membership.Text, for duration: Duration) async throws {
        try await changeTexts { next, now throws(OverrideError) in
            next.want(text, until: now.advanced(by: duration))
            guard next.texts.count <= RoleSchedulerService.most else {
                throw OverrideError(
                    "\(RoleSchedulerService.most) challenges are answered already: remove some")
            }
        }
    }

    /// Takes texts away before their end.
    /// - Parameter value: nil for every one at the owner.
    /// - Returns: how many there were.
    public func drop(textsAt owner: String, value: String?) async throws -> Int {
        var count = 0
        try await changeTexts { next, _ in count = next.drop(textsAt: owner, value: value) }
        return count
    }

    /// Whether what is wanted is what this node's name server was told last.
    public var textsArePublished: Bool {
        published?.membership.texts ?? [] == state.answeredTexts(at: moment()) ?? []
    }

    private func changeTexts(
        _ change: (inout FarmState, Moment) throws(OverrideError) -> Void
    ) async throws {
        try await beginOrder()
        defer { endTurn() }
        var next = state
        let now = moment()
        next.texts.removeAll { $0.until <= now }
        try change(&next, now)
        try await save(next, current, [], now)
        state = next
        bell.yield()
    }
}
