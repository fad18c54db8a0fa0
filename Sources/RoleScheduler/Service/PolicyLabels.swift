import Farm
import RoleSchedulerCore
import Yams

/// Reads one entry of `members` that is about every machine with a label: `{match: {label: rack=b}, not: [web]}`.
struct LabelReader {
    let map: PolicyMapping
    let roles: Set<Role>

    init(_ map: PolicyMapping, _ roles: Set<Role>) {
        self.map = map
        self.roles = roles
    }

    static func isLabelled(_ node: Node) -> Bool { node.mapping?["match"] != nil }

    func rule() -> LabelPolicy? {
        let match = map.mapping("match", "'match' of members")
        defer { match.finish() }
        let label = match.value(
            "label", "label; write KEY=VALUE, as in rack=b", default: nil, { Label($0) })
        if match.node("label") == nil {
            map.problems.error(match.mark, "'match' needs 'label': write {label: rack=b}")
        }
        if map.node("id") != nil {
            map.problems.error(
                map.mark(of: "id"),
                "either 'id' or 'match': a machine with an entry of its own goes by no label")
        }
        let reader = MemberReader(map, roles, AddressBook())
        let not = Set(map.sequence("not").compactMap(reader.role))
        let pin = map.node("pin").flatMap(reader.role)
        if let pin, not.contains(pin) {
            map.problems.error(
                map.mark(of: "pin"), "members are pinned to '\(pin)', which 'not' forbids")
        }
        if not.isEmpty, pin == nil {
            map.problems.error(
                map.mark, "members by label need 'not' or 'pin': nothing else is said by label")
        }
        guard let label else { return nil }
        return LabelPolicy(label: label, not: not, pin: pin)
    }
}

extension PolicyMapping {
    /// `[rack=b, egress=25]`, sorted.
    func labels(_ key: String) -> [Label] {
        let labels = sequence(key).compactMap { node -> Label? in
            if let text = node.scalar?.string, let label = Label(text) { return label }
            problems.error(
                node.mark,
                "'\(PolicyProblems.printable(node.scalar?.string ?? ""))' is no label; write KEY=VALUE, as "
                    + "in rack=b")
            return nil
        }
        return Set(labels).sorted()
    }
}

extension PolicyLint {
    /// Labels that nobody can have: no agent tells them, and no entry has them.
    func checkNeeds(_ policy: Policy) {
        guard !policy.members.isEmpty, !policy.members.contains(where: \.agent),
            policy.labelled.isEmpty
        else { return }
        for rule in policy.roles where !rule.needs.isEmpty {
            let able = policy.members.filter { Set($0.labels).isSuperset(of: rule.needs) }
            guard able.count < max(rule.min, 1) else { continue }
            problems.warning(
                root.mark(of: "roles"),
                "role '\(rule.role)' needs \(rule.needs.map(\.text).joined(separator: ", ")): \(able.count) of "
                    + "\(policy.members.count) members have it, its floor is \(rule.min)")
        }
    }

    /// A machine may have several labels.
    func checkLabels(_ policy: Policy) {
        let pinned = policy.labelled.filter { $0.pin != nil }
        if let first = pinned.first, let other = pinned.first(where: { $0.pin != first.pin }) {
            problems.warning(
                root.mark(of: "members"),
                "a machine with the labels '\(first.label)' and '\(other.label)' is pinned to two roles: "
                    + "the entry that comes first counts")
        }
        for rule in policy.roles where rule.min > 0 {
            guard policy.members.isEmpty, !policy.labelled.isEmpty,
                policy.labelled.allSatisfy({
                    $0.pin.map { $0 != rule.role } ?? $0.not.contains(rule.role)
                })
            else { continue }
            problems.warning(
                root.mark(of: "members"),
                "every label that is matched bars its machines from '\(rule.role)', whose floor is "
                    + "\(rule.min): only machines without these labels can hold it")
        }
    }
}
