public import Farm

/// What a policy would do with a farm as it stands, if all numbers stayed as they are and every machine that
/// is up obeyed at once: the moves it would begin with, and where it would come to rest. It is a forecast of
/// moves only; nothing flows in it.
public struct Outlook: Hashable, Sendable {
    /// In order; at most `Outlook.most`.
    public var moves: [Move] = []
    /// All that were made, shown or not.
    public var count = 0
    /// Where every machine ends.
    public var state: FarmState
    /// Whether nothing moved any more before the time was over.
    public var isAtRest = false

    public static let most = 20
    /// Longest time looked at, and how long a farm must be quiet to be at rest, in seconds.
    private static let horizon = 3600
    private static let quiet = 400

    public struct Move: Hashable, Sendable {
        /// From now.
        public var second: Int
        public var action: Plan.Action
    }

    /// - Complexity: up to an hour of plans, one per second.
    public init(
        policy: Policy, state: FarmState, demand: Demand, health: [SmurfID: Health], now: Moment,
        timeOfDay: TimeOfDay?
    ) {
        self.state = state
        let lit = demand.signals.filter {
            now.since($0.value.observed) <= policy.guards.signalStale
        }
        let up = health.filter { now.since($0.value.heard) <= policy.guards.downAfter }
        var last = 0
        for second in 0..<Outlook.horizon {
            let moment = now.advanced(by: .seconds(second))
            var demand = demand
            for (name, signal) in lit { demand.note(name, signal.value, at: moment) }
            let health = health.merging(Outlook.obeying(up, self.state, moment)) { $1 }
            let plan = plan(
                policy: policy, state: self.state, demand: demand, health: health, now: moment,
                timeOfDay: timeOfDay)
            self.state = plan.state
            for action in plan.actions { note(action, second) }
            if !plan.actions.isEmpty { last = second }
            if second - last >= Outlook.quiet {
                isAtRest = true
                return
            }
        }
    }

    private mutating func note(_ action: Plan.Action, _ second: Int) {
        count += 1
        guard moves.count < Outlook.most else { return }
        moves.append(Move(second: second, action: action))
    }

    /// Reports of machines that hold what they were ordered to hold.
    private static func obeying(
        _ up: [SmurfID: Health], _ state: FarmState, _ now: Moment
    ) -> [SmurfID: Health] {
        Dictionary(
            uniqueKeysWithValues: up.map { id, report in
                let role = state.smurfs[id]?.role
                guard report.role == role else {
                    return (
                        id,
                        Health(
                            heard: now, ready: true, role: role, connections: 0, load: report.load,
                            work: report.work)
                    )
                }
                var same = report
                (same.heard, same.connections) = (now, 0)
                return (id, same)
            })
    }
}
