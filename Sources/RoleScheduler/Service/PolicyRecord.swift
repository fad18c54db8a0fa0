import Farm
import Foundation
import Logging
public import RoleSchedulerCore

/// Another policy for a farm that runs, and that an operator gave it, as the history has it: by whom, why, which text took the place of which,
/// and what differs. Of several control nodes the leader writes it into the farm's record, and all go by that.
extension RoleSchedulerService {
    /// What is gone by: the farm's policy, or that of the node's own file.
    public var policy: Policy { followed.policy }

    /// The policy that was applied to a farm of several control nodes; nil while each goes by its own file.
    public var farmPolicy: FarmPolicy? { followed.farm }

    /// What the node's own file said when it was read last.
    public var filePolicy: Policy { followed.file }

    /// Whether the node's own file means something else than the farm's policy.
    public var fileDiffers: Bool { followed.fileDiffers }

    /// Why this node cannot read the farm's policy; empty when it can.
    public var policyTrouble: String { followed.trouble }

    /// The node's own policy file says something else now. It is gone by unless the farm has a policy; machines keep their
    /// places and move by its rules.
    /// - Returns: whether it, or one that means the same, is gone by.
    @discardableResult
    public func replacePolicy(_ policy: Policy) async -> Bool {
        await beginTurn()
        defer { endTurn() }
        followed.reread(policy)
        state = RoleSchedulerService.enrolled(state, self.policy, at: moment())
        bell.yield()
        return !followed.fileDiffers
    }

    /// Applies a policy to a farm of several control nodes, or releases the farm from the one that it has: it is written
    /// into the farm's record, under this node's term.
    /// - Parameters:
    ///   - new: its number is chosen here.
    ///   - base: the digest of what must still be gone by; empty for whatever is.
    ///   - file: what tells the text of the node's own file from others, for the history of the first policy and of a
    ///     release.
    /// - Throws: `OverrideError` when this node does not lead, or something else is gone by now;
    ///   `FarmStoreFault` when it was not written, or when that is not known. Nothing has changed here then.
    public func applyToFarm(
        _ new: FarmPolicy, over base: String, file: String, _ differences: [PolicyDifference]
    ) async throws {
        try await beginOrder()
        defer { endTurn() }
        if let farm = followed.farm, !base.isEmpty, farm.digest != base {
            throw OverrideError(
                "\(farm.by) has applied another policy meanwhile (\(farm.digest)): look again at what yours changes"
            )
        }
        var (next, new) = (followed, new)
        new.number = followed.number + 1
        if new.isRelease, followed.farm == nil { return }
        guard next.take(new) else { return }
        guard next.trouble.isEmpty else { throw OverrideError(next.trouble) }
        let now = moment()
        let state = RoleSchedulerService.enrolled(state, next.policy, at: now)
        let line = policyEntry(
            from: followed.farm?.digest ?? file, to: new.isRelease ? file : new.digest,
            new.by, new.isRelease ? RoleSchedulerService.released(new.reason) : new.reason,
            differences)
        try await save(state, current, [line], now, policy: new)
        (followed, self.state) = (next, state)
        tellOfPolicy()
        bell.yield()
    }

    /// Takes up what the farm's record says of its policy.
    func adopt(_ farm: FarmPolicy?) {
        guard followed.take(farm) else { return }
        // A node that cannot read it must not plan by anything else.
        store.abstain(!followed.trouble.isEmpty)
        tellOfPolicy()
    }

    private func tellOfPolicy() {
        guard let farm = followed.record else { return }
        guard !farm.isRelease else {
            return logger.notice(
                "the farm's policy was released: the file of --policy is followed again",
                metadata: [
                    "operator": "\(farm.by)", "why": "\(farm.reason)", "at": "\(farm.node)",
                ])
        }
        guard followed.trouble.isEmpty else {
            return logger.error("\(RoleSchedulerService.unreadable(followed.trouble))")
        }
        logger.notice(
            "the farm's policy is followed",
            metadata: [
                "policy": "\(farm.digest)", "operator": "\(farm.by)", "why": "\(farm.reason)",
                "at": "\(farm.node)",
            ])
        if followed.fileDiffers { logger.notice("\(RoleSchedulerService.fileIsNotFollowed)") }
    }

    public static let fileIsNotFollowed =
        "the file of --policy says something else and is not followed: 'smurf policy diff FILE' shows "
        + "what, 'smurf policy apply FILE' makes it the farm's"

    static func unreadable(_ trouble: String) -> String {
        "this node cannot follow the farm's policy and does not lead; run a newer smurf here: "
            + trouble
    }

    /// What an operator should know of the policy.
    var policyNotes: [String] {
        if !followed.trouble.isEmpty { return [RoleSchedulerService.unreadable(followed.trouble)] }
        return followed.fileDiffers ? [RoleSchedulerService.fileIsNotFollowed] : []
    }

    // MARK: The history

    /// So much of what differs is written down.
    private static let longest = 2000

    private static func released(_ reason: String) -> String {
        "every node's own file again" + (reason.isEmpty ? "" : ", " + reason)
    }

    private func policyEntry(
        from: String, to: String, _ operator: String, _ reason: String,
        _ differences: [PolicyDifference]
    ) -> HistoryEntry {
        let said = differences.map(\.text).map { $0.trimmingPrefix("  ") }.joined(separator: "; ")
        let shown =
            said.count > RoleSchedulerService.longest
            ? said.prefix(RoleSchedulerService.longest) + " …" : said[...]
        let why = reason.isEmpty ? String(shown) : "\(reason): \(shown)"
        return entry(nil, from: "policy \(from)", to: "policy \(to)", `operator`, why)
    }

    /// Notes another policy of a node that is alone, which goes by its file.
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
        let line = policyEntry(from: from, to: to, `operator`, reason, differences)
        try await save(state, current, [line], moment())
        return true
    }
}
