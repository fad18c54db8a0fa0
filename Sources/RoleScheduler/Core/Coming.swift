import Farm

/// Machines that will soon be idle, and the roles that count on them, while one plan is made: so that nobody is emptied for
/// a member that is on its way, and no two roles wait for one machine. It promises nothing: who takes them is decided
/// anew when they are idle.
struct Coming {
    /// On their way out of a role, or idle since this plan and taken in the next at the earliest.
    private var places: [Int]
    private var free: Set<Int>
    private var counts: [Role: Int] = [:]

    init(_ planner: Planner) {
        places = planner.machines.indices.filter { place in
            switch planner.machines[place].record.state {
            case .draining: planner.isUsable(place)
            case .idle: planner.machines[place].hasMoved && planner.isUsable(place)
            default: false
            }
        }
        free = Set(places)
    }

    /// Machines that the role counts on.
    func count(for role: Role) -> Int { counts[role] ?? 0 }

    /// Counts on one more for the role: of those that may hold it, one pinned to it first.
    /// - Parameter isShared: it is enough that there is one, though others count on it too.
    /// - Returns: nil when there is none.
    mutating func take(for role: Role, _ planner: Planner, isShared: Bool) -> Int? {
        let able = places.filter { (isShared || free.contains($0)) && planner.mayHold($0, role) }
        let place = able.first { planner.machines[$0].rule.pin == role } ?? able.first
        guard let place, !isShared else { return place }
        free.remove(place)
        counts[role, default: 0] += 1
        return place
    }

    /// Whether somebody who may hold the role comes, for whomever.
    func has(for role: Role, _ planner: Planner) -> Bool {
        places.contains { planner.mayHold($0, role) }
    }

    /// Notes that a machine begins to drain for the role's sake.
    mutating func add(_ place: Int, for role: Role) {
        places.append(place)
        counts[role, default: 0] += 1
    }
}
