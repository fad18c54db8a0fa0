public import Farm

/// What the policy says of every machine with a label: `match: {label: rack=b}`. Of a machine that the policy lists by its
/// id only the labels of that entry count.
public struct LabelPolicy: Hashable, Sendable {
    public var label: Label
    /// Roles they must not hold.
    public var not: Set<Role>
    /// The only role they may hold.
    public var pin: Role?

    public init(label: Label, not: Set<Role> = [], pin: Role? = nil) {
        self.label = label
        self.not = not
        self.pin = pin
    }
}

/// What a policy says of each machine, looked up by its id and by its labels. Made once for many machines.
public struct MemberRules: Sendable {
    private let listed: [SmurfID: MemberPolicy]
    private let labelled: [LabelPolicy]
    private let needy: [RolePolicy]

    public init(_ policy: Policy) {
        listed = Dictionary(
            policy.members.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        labelled = policy.labelled
        needy = policy.roles.filter { !$0.needs.isEmpty }
    }

    /// - Parameter labels: what the machine's agent says. `match` goes by them unless the machine is listed by its id, then
    ///   by those of its entry; for what a role needs both count.
    /// - Returns: its entry with all that any label forbids, the first pin in the order of the file unless its entry has
    ///   one, and the roles for which it lacks a label.
    public func rule(of id: SmurfID, _ labels: [Label]) -> MemberPolicy {
        var member = listed[id] ?? MemberPolicy(id: id)
        guard !labelled.isEmpty || !needy.isEmpty else { return member }
        let counted = listed[id] == nil ? labels : member.labels
        for rule in labelled where counted.contains(rule.label) {
            member.not.formUnion(rule.not)
            member.pin = member.pin ?? rule.pin
        }
        for rule in needy {
            member.lacking[rule.role] = rule.needs.first {
                !labels.contains($0) && !member.labels.contains($0)
            }
        }
        return member
    }
}

extension Policy {
    /// Whether a machine that is not known yet may join: any may when the policy lists none by id.
    public func admits(_ id: SmurfID, _ labels: [Label]) -> Bool {
        members.isEmpty || members.contains { $0.id == id }
            || labelled.contains { labels.contains($0.label) }
    }
}
