public import Farm

/// A stretch of a farm's day, or of a mailing, with rules of its own: entered and left by numbers, by the
/// clock, or always there as the last of the list. The first phase of a policy that is on holds. It is a rule;
/// which phase holds now is `FarmState`'s and the plan's.
public struct Phase: Hashable, Sendable {
    public var name: String
    /// nil: numbers have no say.
    public var latch: Latch?
    /// nil: the clock has none.
    public var hours: DailyHours?
    public var changes: [Role: RoleChanges]
    /// Takes the machines that no role wants.
    public var idle: Role?

    public init(
        name: String, latch: Latch? = nil, hours: DailyHours? = nil,
        changes: [Role: RoleChanges] = [:], idle: Role? = nil
    ) {
        self.name = name
        self.latch = latch
        self.hours = hours
        self.changes = changes
        self.idle = idle
    }

    /// Whether it is on whatever happens, so that no later phase ever holds.
    public var isAlways: Bool { latch == nil && hours == nil }

    /// On from when all of `when` have held for `entering`, until all of `until` have held for `leaving`. A number
    /// that is missing neither enters nor leaves.
    public struct Latch: Hashable, Sendable {
        public var when: [Condition]
        public var entering: Duration
        public var until: [Condition]
        public var leaving: Duration

        public init(
            when: [Condition], entering: Duration = .zero, until: [Condition],
            leaving: Duration = .zero
        ) {
            self.when = when
            self.entering = entering
            self.until = until
            self.leaving = leaving
        }
    }

    /// A signal against a number, in the units of `Demand`.
    public struct Condition: Hashable, Sendable {
        public enum Comparison: String, Hashable, Sendable, CaseIterable {
            case above = ">"
            case atLeast = ">="
            case below = "<"
            case atMost = "<="
        }

        public var signal: String
        public var comparison: Comparison
        public var limit: Double

        public init(signal: String, _ comparison: Comparison, _ limit: Double) {
            self.signal = signal
            self.comparison = comparison
            self.limit = limit
        }

        func holds(_ value: Double) -> Bool {
            switch comparison {
            case .above: value > limit
            case .atLeast: value >= limit
            case .below: value < limit
            case .atMost: value <= limit
            }
        }
    }
}

/// From one time of day to another, over midnight when the second is not later. The end is not part of it.
public struct DailyHours: Hashable, Sendable {
    public var from: TimeOfDay
    public var to: TimeOfDay

    public init(from: TimeOfDay, to: TimeOfDay) {
        self.from = from
        self.to = to
    }

    public func contains(_ time: TimeOfDay) -> Bool {
        from < to ? (from..<to).contains(time) : time >= from || time < to
    }
}

/// What a clock on the wall shows, without a date.
public struct TimeOfDay: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Since midnight, 0…1439.
    public let minute: Int

    /// - Parameter minute: any number; only its place in the day counts.
    public init(minute: Int) { self.minute = (minute % 1440 + 1440) % 1440 }

    public static func < (left: TimeOfDay, right: TimeOfDay) -> Bool { left.minute < right.minute }

    /// "07:05"
    public var description: String {
        func digits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(digits(minute / 60)):\(digits(minute % 60))"
    }
}

/// What a phase changes in a role; nil leaves it as it is.
public struct RoleChanges: Hashable, Sendable {
    public var min: Int?
    public var max: Int?
    public var priority: Int?
    public var soak: Int?
    public var utilisation: Double?
    public var share: Double?

    public init(
        min: Int? = nil, max: Int? = nil, priority: Int? = nil, soak: Int? = nil,
        utilisation: Double? = nil, share: Double? = nil
    ) {
        self.min = min
        self.max = max
        self.priority = priority
        self.soak = soak
        self.utilisation = utilisation
        self.share = share
    }
}

extension Policy {
    /// The policy as it reads while `phase` holds.
    public func during(_ phase: Phase?) -> Policy {
        guard let phase else { return self }
        var policy = self
        policy.idle = phase.idle
        for index in policy.roles.indices {
            guard let changes = phase.changes[policy.roles[index].role] else { continue }
            changes.apply(to: &policy.roles[index])
        }
        return policy
    }

    /// The phase of this name.
    public func phase(_ name: String?) -> Phase? { phases.first { $0.name == name } }
}

extension RoleChanges {
    public func apply(to rule: inout RolePolicy) {
        rule.min = min ?? rule.min
        rule.max = max ?? rule.max
        rule.priority = priority ?? rule.priority
        rule.soak = soak ?? rule.soak
        rule.utilisation = utilisation ?? rule.utilisation
        rule.share = share ?? rule.share
    }
}

/// Looks which phase holds.
struct PhaseWatch {
    let policy: Policy
    let demand: Demand
    let now: Moment
    let timeOfDay: TimeOfDay?

    /// Updates `state`'s latches.
    /// - Returns: the first phase that is on.
    func step(_ state: inout FarmState) -> Phase? {
        let names = Set(policy.phases.filter { $0.latch != nil }.map(\.name))
        state.latched.formIntersection(names)
        state.phaseTimers = state.phaseTimers.filter { names.contains($0.key) }
        for phase in policy.phases {
            if let latch = phase.latch { step(phase.name, latch, &state) }
        }
        return policy.phases.first { isOn($0, state) }
    }

    private func step(_ name: String, _ latch: Phase.Latch, _ state: inout FarmState) {
        let isOn = state.latched.contains(name)
        // What ends a phase bars it too: with conditions on different signals both may hold at once.
        let turns = isOn ? holds(latch.until) : holds(latch.when) && !holds(latch.until)
        guard turns else {
            state.phaseTimers[name] = nil
            return
        }
        let since = state.phaseTimers[name] ?? now
        state.phaseTimers[name] = since
        guard now.since(since) >= (isOn ? latch.leaving : latch.entering) else { return }
        state.phaseTimers[name] = nil
        if isOn { state.latched.remove(name) } else { state.latched.insert(name) }
    }

    private func holds(_ conditions: [Phase.Condition]) -> Bool {
        conditions.allSatisfy { condition in
            guard let signal = demand[condition.signal],
                now.since(signal.observed) <= policy.guards.signalStale
            else { return false }
            return condition.holds(signal.value)
        }
    }

    private func isOn(_ phase: Phase, _ state: FarmState) -> Bool {
        if phase.latch != nil, !state.latched.contains(phase.name) { return false }
        guard let hours = phase.hours else { return true }
        return timeOfDay.map(hours.contains) ?? false
    }
}
