import Farm

/// Which roles the machines of a farm may hold, as counts: how many machines there are for each set of roles, and how many
/// of them are given to whom. It tells how far targets can be met by some arrangement of the machines; which machine
/// holds which role in the end is the planner's.
struct Eligibility {
    /// Machines that may hold the same roles.
    private struct Group {
        /// By the places of `roles`.
        let mayHold: [Bool]
        var free: Int
        /// How many are given to each role.
        var held: [Int]
    }

    private let roles: [Role]
    private var groups: [Group] = []
    /// Machines that are given to no role.
    private(set) var free = 0

    init(_ roles: [Role]) { self.roles = roles }

    /// `count` machines that may hold every role.
    init(_ roles: [Role], unbound count: Int) {
        self.init(roles)
        add(count) { _ in true }
    }

    /// Adds `count` machines that may hold the roles for which `mayHold` is true.
    mutating func add(_ count: Int = 1, _ mayHold: (Role) -> Bool) {
        guard count > 0 else { return }
        free += count
        let allowed = roles.map(mayHold)
        if let index = groups.firstIndex(where: { $0.mayHold == allowed }) {
            groups[index].free += count
        } else {
            groups.append(
                Group(mayHold: allowed, free: count, held: roles.map { _ in 0 }))
        }
    }

    /// Gives one more machine to `role`. Machines given before may change their roles for it; no role gets fewer.
    /// - Returns: false when there is no way to do so; then nothing has changed.
    /// - Complexity: constant while all machines may hold all roles, else sets of roles × roles: an augmenting path.
    mutating func take(_ role: Role) -> Bool {
        guard let seeker = roles.firstIndex(of: role) else { return false }
        if let index = groups.firstIndex(where: { $0.mayHold[seeker] && $0.free > 0 }) {
            groups[index].free -= 1
            groups[index].held[seeker] += 1
            free -= 1
            return true
        }
        return groups.count > 1 && rearrange(for: seeker)
    }

    private mutating func rearrange(for seeker: Int) -> Bool {
        /// Of each group that was reached, the role that wants a machine of it.
        var wants: [Int: Int] = [:]
        /// Of each role that was reached, the group in which it would give one up.
        var gives: [Int: Int] = [:]
        var queue = [seeker]
        while let role = queue.popLast() {
            for index in groups.indices where groups[index].mayHold[role] && wants[index] == nil {
                wants[index] = role
                guard groups[index].free == 0 else {
                    settle(index, wants, gives, seeker)
                    return true
                }
                for other in roles.indices
                where other != seeker && gives[other] == nil && groups[index].held[other] > 0 {
                    gives[other] = index
                    queue.append(other)
                }
            }
        }
        return false
    }

    /// Walks the path back: each role takes a machine of the group that it reached, and gives up the one that it had.
    private mutating func settle(
        _ end: Int, _ wants: [Int: Int], _ gives: [Int: Int], _ seeker: Int
    ) {
        groups[end].free -= 1
        free -= 1
        var group = end
        while let role = wants[group] {
            groups[group].held[role] += 1
            guard role != seeker, let from = gives[role] else { return }
            groups[from].held[role] -= 1
            group = from
        }
    }
}
