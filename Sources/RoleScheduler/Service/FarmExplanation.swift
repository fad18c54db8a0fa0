public import Farm
public import RoleSchedulerCore

/// Why roles and machines are as they are at one moment, as data: what `smurf explain` shows.
public struct FarmExplanation: Hashable, Sendable {
    public var roles: [RoleAccount]
    public var smurfs: [SmurfAccount]
    /// Alarms, and why nothing moves.
    public var notes: [String]
    /// The phase that holds; nil for none.
    public var phase: String?

    public struct RoleAccount: Hashable, Sendable {
        public var rule: RolePolicy
        /// nil before the first plan.
        public var explanation: RoleExplanation?
        /// Only when a role was asked for: every machine that has another place, and why.
        public var passedOver: [PassedOver]
        /// Only when a role was asked for: what was changed last about it, newest first.
        public var changes: [HistoryEntry]
    }

    /// A machine that does not have the role; or that has it, while the role has more than its target.
    public struct PassedOver: Hashable, Sendable {
        public var smurf: SmurfID
        /// It has the role.
        public var isMember: Bool
        /// nil when it could be taken, or may leave.
        public var why: WhyNot?
    }

    public struct SmurfAccount: Hashable, Sendable {
        public var line: Board.SmurfLine
        /// Every role of the policy, by priority.
        public var roles: [RoleAnswer]
        /// What was changed last about it, newest first.
        public var changes: [HistoryEntry]

        public struct RoleAnswer: Hashable, Sendable {
            public var role: Role
            /// nil when it could be taken for the role.
            public var why: WhyNot?
        }
    }
}

extension RoleSchedulerService {
    /// How much of the history is looked through, and how much of it is shown.
    private static let looked = 2000
    private static let shown = 8

    /// - Parameter subject: a role's or machine's name; empty for a summary of all roles.
    /// - Throws: `OverrideError` when there is neither, with what there is.
    public func explain(_ subject: String) async throws -> FarmExplanation {
        var explanation = FarmExplanation(
            roles: [], smurfs: [], notes: notes + standingNotes, phase: lastPlan?.phase)
        if subject.isEmpty {
            explanation.roles = ruling.rolesByPriority.map { account($0) }
        } else if let rule = ruling.roles.first(where: { $0.role.name == subject }) {
            explanation.roles = [try await fullAccount(rule)]
        } else if let line = board().smurfs.first(where: { $0.id.name == subject }) {
            explanation.smurfs = [try await account(line)]
        } else {
            let roles = policy.roles.map(\.role.name).joined(separator: ", ")
            let smurfs = state.ids.map(\.name).joined(separator: ", ")
            throw OverrideError(
                "there is no role and no smurf '\(subject)'; roles are \(roles); smurfs are "
                    + (smurfs.isEmpty ? "none" : smurfs))
        }
        return explanation
    }

    private func account(_ rule: RolePolicy) -> FarmExplanation.RoleAccount {
        let explained = lastPlan?.explanation.first { $0.role == rule.role }
        return FarmExplanation.RoleAccount(
            rule: rule, explanation: explained, passedOver: [], changes: [])
    }

    private func fullAccount(_ rule: RolePolicy) async throws -> FarmExplanation.RoleAccount {
        var account = account(rule)
        let view = explainedView()
        let hasSurplus = account.explanation.map { $0.assigned > $0.target } ?? false
        account.passedOver = state.ids.compactMap { id in
            guard state.smurfs[id]?.assigned == rule.role else {
                return FarmExplanation.PassedOver(
                    smurf: id, isMember: false, why: view.whyNot(id, rule.role))
            }
            guard hasSurplus else { return nil }
            return FarmExplanation.PassedOver(
                smurf: id, isMember: true, why: view.whyNotSpare(id, rule.role))
        }
        account.changes = try await changes { entry in
            [entry.from, entry.to].contains { $0.hasSuffix(" \(rule.role)") }
        }
        return account
    }

    private func account(_ line: Board.SmurfLine) async throws -> FarmExplanation.SmurfAccount {
        let view = explainedView()
        return FarmExplanation.SmurfAccount(
            line: line,
            roles: ruling.rolesByPriority.map {
                .init(role: $0.role, why: view.whyNot(line.id, $0.role))
            }, changes: try await changes { $0.smurf == line.id })
    }

    private func explainedView() -> PlanView {
        let now = moment()
        let targets = (lastPlan?.explanation ?? []).map { ($0.role, $0.target) }
        return PlanView(
            policy: ruling, state: state, health: checkedHealth(now), now: now,
            targets: Dictionary(targets, uniquingKeysWith: { $1 }))
    }

    private func changes(_ isMeant: (HistoryEntry) -> Bool) async throws -> [HistoryEntry] {
        let all = try await history(limit: RoleSchedulerService.looked)
        return Array(all.lazy.filter(isMeant).prefix(RoleSchedulerService.shown))
    }
}
