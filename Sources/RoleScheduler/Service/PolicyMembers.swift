import Farm
import RoleSchedulerCore
import Yams

/// Reads one entry of `members`.
struct MemberReader {
    let map: PolicyMapping
    let roles: Set<Role>
    let book: AddressBook

    init(_ map: PolicyMapping, _ roles: Set<Role>, _ book: AddressBook) {
        self.map = map
        self.roles = roles
        self.book = book
    }

    func member() -> MemberPolicy? {
        guard let text = map.text("id"), let id = SmurfID(text) else {
            map.problems.error(
                map.mark, "a member needs an 'id': one label of letters, digits, hyphens")
            for key in [
                "address", "addresses", "not", "pin", "agent", "weight", "capacity", "labels",
            ] {
                _ = map.node(key)
            }
            return nil
        }
        var member = MemberPolicy(id: id, agent: map.flag("agent", default: true))
        member.addresses = addresses()
        member.weight = map.integer("weight", 1...100, default: 1)
        member.capacity = map.value(
            "capacity", "share of the role's capacity; use 200% or 2, from 10% to 10000%",
            default: 1
        ) { PolicyMapping.share($0, within: 0.1...100) }
        member.labels = map.labels("labels")
        member.not = Set(map.sequence("not").compactMap(role))
        member.pin = map.node("pin").flatMap(role)
        if let pin = member.pin, member.not.contains(pin) {
            map.problems.error(
                map.mark(of: "pin"), "\(id) is pinned to '\(pin)', which 'not' forbids")
        }
        if !member.agent && member.addresses.isEmpty {
            map.problems.error(map.mark, "\(id) has no agent to tell its address: give one here")
        }
        return member
    }

    private func addresses() -> [IPAddress] {
        var nodes = map.sequence("addresses")
        if let one = map.node("address") { nodes.append(one) }
        return nodes.compactMap { node in
            let text = node.scalar?.string ?? ""
            guard let address = IPAddress(text) else {
                map.problems.error(
                    node.mark,
                    "'\(PolicyProblems.printable(text))' is no IPv4 or IPv6 address")
                return nil
            }
            if let why = address.whyNoMachineHasIt {
                map.problems.error(node.mark, "\(address) is \(why): give the machine's own")
                return nil
            }
            if let (other, line) = book.note(address, of: map.text("id") ?? "", at: node.mark) {
                map.problems.error(
                    node.mark,
                    "\(address) is the address of member '\(other)' too (line \(line)): machines "
                        + "that share one cannot be told apart")
                return nil
            }
            return address
        }
    }

    func role(_ node: Node) -> Role? {
        let text = node.scalar?.string ?? ""
        if let role = Role(text), roles.contains(role) { return role }
        let near = PolicyMapping.nearest(text, roles.map(\.name))
        map.problems.error(
            node.mark, "'\(PolicyProblems.printable(text))' is no role of this policy\(near)")
        return nil
    }
}

/// Which address was first given to whom, so that no other member gets it.
final class AddressBook {
    private var holders: [IPAddress: (id: String, line: Int)] = [:]

    /// - Returns: who has it already, and on which line.
    func note(_ address: IPAddress, of id: String, at mark: Mark?) -> (id: String, line: Int)? {
        if let holder = holders[address] { return holder }
        holders[address] = (id, mark?.line ?? 0)
        return nil
    }
}
