import ArgumentParser
import Farm
import RoleSchedulerCore

/// A farm that nobody steers: a fixed number of machines per role.
struct StaticSplit {
    var members: [Role: Int]

    /// "static:9/2/1" would not say which is which, hence with the roles' names.
    var name: String {
        let parts = members.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return "static:" + parts.joined(separator: ",")
    }

    private init(members: [Role: Int]) { self.members = members }

    /// - Parameter text: "static:smtp-out=9,smtp-in=2,web=1".
    /// - Throws: `Report.badInput` after a message.
    init(_ text: String, _ policy: Policy, machines: Int) throws {
        members = [:]
        for part in text.dropFirst("static:".count).split(separator: ",") {
            let pair = part.split(separator: "=").map(String.init)
            guard pair.count == 2, let role = Role(pair[0]), policy[role] != nil,
                let count = Int(pair[1]), (0...10_000).contains(count)
            else {
                throw Report.failure(
                    "--against '\(text)': '\(part)' is not ROLE=COUNT with a role of the policy",
                    status: Report.badInput)
            }
            members[role] = count
        }
        let total = members.values.reduce(0, +)
        guard total <= machines, total > 0 else {
            throw Report.failure(
                "--against '\(text)': \(total) machines of \(machines)", status: Report.badInput)
        }
    }

    /// Every way to give all machines of a farm to the roles that demand sizes, at least one each, and
    /// no role more than its ceiling.
    static func all(_ policy: Policy, machines: Int) -> [StaticSplit] {
        let roles = policy.roles.filter { $0.capacity != nil }
        guard machines <= 40, roles.count <= 3 else { return [] }
        var splits: [[Role: Int]] = [[:]]
        for rule in roles.dropLast() {
            splits = splits.flatMap { split in
                (1...min(rule.max ?? machines, machines)).map { count in
                    split.merging([rule.role: count]) { _, new in new }
                }
            }
        }
        guard let last = roles.last else { return [] }
        return splits.compactMap { split in
            let rest = machines - split.values.reduce(0, +)
            guard rest >= 1, rest <= last.max ?? machines else { return nil }
            return StaticSplit(members: split.merging([last.role: rest]) { _, new in new })
        }
    }
}
