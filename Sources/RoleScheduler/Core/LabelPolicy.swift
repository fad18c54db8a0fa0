public import Farm

/// What the policy says of every machine with a label: `match: {label: rack=b}`. A machine that the policy lists by its id
/// goes by that entry and by no label.
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

extension Policy {
    /// What the labels of a machine that is not listed by its id say of it: all that any of them forbids, and the first
    /// pin in the order of the file.
    public func matched(_ id: SmurfID, _ labels: [Label]) -> MemberPolicy {
        var member = MemberPolicy(id: id)
        for rule in labelled where labels.contains(rule.label) {
            member.not.formUnion(rule.not)
            member.pin = member.pin ?? rule.pin
        }
        return member
    }

    /// Whether a machine that is not known yet may join: any may when the policy lists none by id.
    public func admits(_ id: SmurfID, _ labels: [Label]) -> Bool {
        members.isEmpty || members.contains { $0.id == id }
            || labelled.contains { labels.contains($0.label) }
    }
}
