public import Farm
import Foundation
public import Logging
public import RoleSchedulerCore

/// The scheduler as it runs: it takes reports and numbers, calls `plan` a few times a second, keeps the
/// state in a store, and hands every changed membership to whoever publishes it. It decides nothing itself. Of several
/// control nodes only the leader plans; the others publish what it has published.
public actor RoleSchedulerService {
    var followed: FollowedPolicy {
        didSet { orderBook.machines = nil }
    }
    let store: any FarmStore
    let logger: Logger
    private let start = ContinuousClock.now
    var state = FarmState()
    var health: [SmurfID: Health] = [:]
    var demand = Demand()
    /// What the name server answers by.
    var published: FarmView?
    /// What the store has, or is about to have.
    var current: FarmView?
    var lastPlan: Plan?
    var notes: [String] = []
    var meters: [SmurfID: WorkMeter] = [:]
    var checks: [SmurfID: CheckedMember] = [:]
    var holeWatch = BlackHoleWatch()
    var lastLookForHoles: Moment?
    /// Members that are answered and do nothing, with the role.
    var holes: [SmurfID: Role] = [:]
    /// Those and whoever was one and has done nothing since: since when, and its counter.
    var provenHoles: [SmurfID: (since: Moment, work: UInt64)] = [:]
    /// What each delivery core said last.
    var cores: [String: CoreSight] = [:]
    /// When what is answered now was last found to be right.
    public internal(set) var answeredAsOf: Moment?
    var plannedAt: Moment?
    /// What the last plan took.
    var planning = Duration.zero
    /// Why signals that the policy names a source for have no number.
    var signalTroubles: [String: String] = [:]
    /// Machines that are new or elsewhere, not yet in the state.
    private var arrivals: [SmurfID: [IPAddress]] = [:]
    /// Machines with other labels than in the state.
    private var labelled: [SmurfID: [Label]] = [:]
    /// What a farm of one node has left for an empty store.
    var inherited: SavedRecord?
    /// How the record in the store is to be followed by the next one.
    var writing = RecordWriting()
    /// The serial that the name server answers with; nil while it does not answer.
    var served: @Sendable () -> UInt32? = { nil }
    /// Moves the keys on that name servers share; nil when this node's name server shares none.
    var movedKeys: (@Sendable (SealedKeys?) async throws -> SealedKeys?)?
    var orderBook = OrderBook()
    let trace: TraceWriter
    private let turns = Turns()
    /// Rung when there may be something to plan or to publish.
    let orders: AsyncStream<Void>
    let bell: AsyncStream<Void>.Continuation

    /// A node that is alone.
    /// - Parameter dataDirectory: where `farm.sqlite` lies or is made; must exist.
    /// - Throws: when the store cannot be opened.
    public init(policy: Policy, dataDirectory: String, logger: Logger) throws {
        followed = FollowedPolicy(file: policy)
        self.logger = logger
        trace = TraceWriter(directory: dataDirectory)
        let store = try SQLiteFarmStore(directory: dataDirectory)
        self.store = store
        (orders, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        let origin = Moment(nanoseconds: 0)
        if let saved = store.newest {
            let record = try FarmRecord(
                coded: saved.coded, now: origin, unixTime: Date().timeIntervalSince1970)
            var taken = record.state
            health = RoleSchedulerService.silent(in: &taken, record.view, policy, at: origin)
            (state, current) = (taken, record.view)
            writing.follow(record, revision: saved.revision)
        }
        writing.term = store.standing.term
        state = RoleSchedulerService.enrolled(state, policy, at: origin)
    }

    /// One of several nodes; nothing is known before `run`.
    /// - Parameter directory: a farm that was kept there (`farm.sqlite`) is taken over when the store is empty.
    /// - Throws: when there is such a file and it is damaged.
    public init(
        policy: Policy, store: any FarmStore, dataDirectory directory: String, logger: Logger
    ) throws {
        followed = FollowedPolicy(file: policy)
        self.logger = logger
        trace = TraceWriter(directory: directory)
        self.store = store
        if FileManager.default.fileExists(atPath: directory + "/farm.sqlite") {
            inherited = try SQLiteFarmStore(directory: directory).newest
        }
        (orders, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Listed members join by themselves; those without an agent are never heard of otherwise.
    static func enrolled(_ state: FarmState, _ policy: Policy, at now: Moment) -> FarmState {
        var state = state
        for member in policy.members {
            if state.smurfs[member.id] == nil {
                guard !member.addresses.isEmpty else { continue }
                state.smurfs[member.id] = SmurfRecord(addresses: member.addresses, since: now)
            } else if !member.addresses.isEmpty {
                state.smurfs[member.id]?.addresses = member.addresses
            }
        }
        return state
    }

    /// Now, on the clock of every `Moment` in this service.
    public func moment() -> Moment {
        Moment(nanoseconds: (ContinuousClock.now - start).clampedNanoseconds)
    }

    // MARK: What comes in

    /// Notes what a machine said of itself. A listed machine's address is the policy's.
    /// - Throws: when the machine is not listed although the policy lists members, or has no address.
    public func report(
        smurf id: SmurfID, addresses: [IPAddress], ready: Bool, role: Role?, connections: Int,
        load: Double, work: UInt64, labels: [Label] = []
    ) throws(OverrideError) {
        let now = moment()
        let record = state.smurfs[id]
        if addresses != record?.addresses { try arrive(id, record, addresses, labels) }
        let known = labels.count < 2 ? labels : Set(labels).sorted()
        if known != record?.labels { labelled[id] = known }
        let said = Health(
            heard: now, ready: ready, role: role, connections: max(connections, 0),
            load: load.isFinite ? load : 0, work: work)
        let before = health.updateValue(said, forKey: id)
        if before?.ready != ready || before?.role != role { bell.yield() }
        meters[id, default: WorkMeter()].note(work, at: now)
        watchForHoles(id, record, work, now)
        if let hole = provenHoles[id], work != hole.work { provenHoles[id] = nil }
    }

    /// Takes a machine up that is new, or elsewhere than its record says.
    private func arrive(
        _ id: SmurfID, _ record: SmurfRecord?, _ addresses: [IPAddress], _ labels: [Label]
    ) throws(OverrideError) {
        for address in addresses {
            guard let why = address.whyNoMachineHasIt else { continue }
            throw OverrideError("'\(id)' says it is at \(address), which is \(why)")
        }
        if record == nil, arrivals[id] == nil {
            guard policy.admits(id, labels) else {
                throw OverrideError("'\(id)' is not among the policy's members")
            }
            if let holder = policy.holder(of: id) {
                throw OverrideError("a machine cannot be called '\(id)': that is \(holder)")
            }
            guard !addresses.isEmpty else { throw OverrideError("'\(id)' told no address") }
            arrivals[id] = addresses
        } else if !addresses.isEmpty, policy.member(id).addresses.isEmpty {
            arrivals[id] = addresses
        }
    }

    /// Notes a number of demand; absurd ones are dropped.
    /// - Parameter age: since it was measured.
    public func note(_ signal: String, _ value: Double, age: Duration = .zero) {
        if !demand.note(signal, value, at: moment().advanced(by: .zero - age)) {
            logger.warning("dropped an absurd value", metadata: ["signal": "\(signal)"])
        }
    }

    // MARK: Checks from outside

    /// Notes what a check found.
    /// - Parameter trouble: nil when all was well.
    func note(_ target: CheckTarget, _ trouble: String?) {
        if checks[target.id]?.role != target.role {
            checks[target.id] = CheckedMember(role: target.role)
        }
        let before = checks[target.id]?.state.isGood
        checks[target.id]?.state.note(trouble, by: target.rule)
        if let after = checks[target.id]?.state.isGood, after != before {
            let level: Logger.Level = after ? .info : .warning
            logger.log(
                level: level,
                "\(target.id): check \(target.rule.name) \(after ? "passes" : "fails: \(trouble ?? "")")"
            )
            bell.yield()
        }
    }

    /// Health as it counts: what agents say, unless a check from outside says otherwise; for machines without an
    /// agent what the check says.
    func checkedHealth(_ now: Moment) -> [SmurfID: Health] {
        var health = health
        for (id, found) in checks {
            guard let isGood = found.state.isGood, state.smurfs[id]?.assigned == found.role,
                policy[found.role]?.check != nil
            else { continue }
            if !policy.member(id).agent {
                health[id] = Health(
                    heard: now, ready: isGood, role: found.role, connections: 0, load: 0, work: 0)
            }
            if !isGood { health[id]?.doubt(.check(trouble: found.state.trouble)) }
        }
        for (id, role) in holes where state.smurfs[id]?.state == .serving(role) {
            health[id]?.doubt(.blackHole)
        }
        return health
    }

    // MARK: The loop

    /// Plans once, if this node leads, and saves what changed.
    /// - Returns: the membership to publish, nil when the published one still holds.
    /// - Throws: when the state cannot be saved or read; then nothing has changed.
    public func tick() async throws -> Membership? { try await nextView()?.membership }

    /// Tells that `membership`, as `tick` returned it, is answered now.
    public func didPublish(_ membership: Membership) {
        published = current.map {
            FarmView(membership: membership, serial: $0.serial, keys: $0.keys)
        }
        answeredAsOf = plannedAt
    }

    /// The same, with the serial that goes with it.
    func nextView() async throws -> FarmView? {
        await beginTurn()
        defer { endTurn() }
        guard let term = store.standing.term else { return try follow() }
        guard term == writing.term else { return try await takeOver(term) }
        return try await planNext()
    }

    private func planNext() async throws -> FarmView? {
        let now = moment()
        noteRates(now)
        suspectHoles(now)
        let health = checkedHealth(now)
        let began = ContinuousClock.now
        var answerNotes: [String] = []
        let (plan, membership) = planAndMembership(
            policy: policy, state: state, demand: demand, health: health, now: now,
            timeOfDay: .local(Date()), cores: cores, previous: current?.membership,
            notes: &answerNotes)
        planning = ContinuousClock.now - began
        let (keys, keyNotes) = await sharedKeys()
        let alarms =
            plan.notes + keyNotes + holeNotes + failedChecks + signalNotes + answerNotes
        let view = numbered(membership, keys)
        let entries = plan.actions.map {
            entry($0.smurf, from: $0.from.description, to: $0.to.description, "scheduler", $0.why)
        }
        if !entries.isEmpty || view != current || isWorthSaving(plan.state) {
            try await save(plan.state, view, entries, now)
        }
        log(plan)
        state = plan.state
        leaveTrace(plan, now)
        lastPlan = plan
        notes = alarms
        current = view
        plannedAt = now
        guard view != published else {
            answeredAsOf = now
            return nil
        }
        return view
    }

    private func log(_ plan: Plan) {
        for action in plan.actions {
            logger.info(
                "move",
                metadata: [
                    "smurf": "\(action.smurf)", "to": "\(action.to)", "why": "\(action.why)",
                ])
        }
        if plan.phase != lastPlan?.phase {
            logger.notice("phase", metadata: ["now": "\(plan.phase ?? "none")"])
        }
    }

    /// Whether something changed that a restart must find although nobody moved.
    private func isWorthSaving(_ next: FarmState) -> Bool {
        // The first three: etcd was restored from a backup, and has another record than the one written last.
        writing.isDue || store.newest?.revision ?? 0 != writing.revision
            || writing.policy != followed.number || next.setpoints != state.setpoints
            || next.soaking != state.soaking
            || next.latched != state.latched
            || next.departedSenders.keys != state.departedSenders.keys
            || next.lastMembers != state.lastMembers
    }

    /// Waits until nobody else changes the state, which must not change while a store takes its time. `endTurn` has to
    /// follow.
    func beginTurn() async {
        await turns.wait()
        settleArrivals()
    }

    func endTurn() {
        tellOrders()
        turns.next()
    }

    private func settleArrivals() {
        for (id, addresses) in arrivals {
            if state.smurfs[id] == nil {
                state.smurfs[id] = SmurfRecord(addresses: addresses, since: moment())
            } else {
                state.smurfs[id]?.addresses = addresses
            }
        }
        arrivals = [:]
        for (id, labels) in labelled { state.smurfs[id]?.labels = labels }
        labelled = [:]
    }

    func entry(
        _ smurf: SmurfID?, from: String, to: String, _ who: String, _ why: String
    ) -> HistoryEntry {
        HistoryEntry(
            unixMilliseconds: Int64(Date().timeIntervalSince1970 * 1000), smurf: smurf, from: from,
            to: to, who: who, why: why, version: version, node: store.standing.node,
            term: writing.term ?? 0)
    }

    /// Of the membership that the store has.
    var version: UInt64 { current?.membership.version ?? 0 }

    // MARK: Operators

    /// Puts a machine into a role until the time is over.
    public func move(
        _ id: SmurfID, to role: Role, for duration: Duration, reason: String, by operator: String
    ) async throws {
        guard policy[role] != nil else {
            let roles = policy.roles.map(\.role.name).joined(separator: ", ")
            throw OverrideError("there is no role '\(role)'; the policy has \(roles)")
        }
        try await override(id, .move(role), duration, reason, `operator`)
    }

    /// Drains a machine and keeps it out of every role until the time is over.
    public func hold(
        _ id: SmurfID, for duration: Duration, reason: String, by operator: String
    ) async throws {
        try await override(id, .hold, duration, reason, `operator`)
    }

    /// Ends a move or hold; a quarantined machine is let go too.
    public func release(_ id: SmurfID, reason: String, by operator: String) async throws {
        try await beginOrder()
        defer { endTurn() }
        guard let record = state.smurfs[id] else { throw unknown(id) }
        guard record.override != nil || record.state == .quarantined else {
            let hint = record.cordon == nil ? "" : "; it is cordoned: 'smurf uncordon \(id)'"
            throw OverrideError("'\(id)' is neither moved nor held by an operator\(hint)")
        }
        // Nobody has to explain why the scheduler may have its machine back.
        if !reason.isEmpty { _ = try OperatorReason(reason) }
        var next = state
        next.smurfs[id]?.override = nil
        if record.state == .quarantined {
            next.smurfs[id]?.state = .idle
            next.smurfs[id]?.falls = 0
            next.smurfs[id]?.since = moment()
        }
        let line = entry(id, from: record.state.description, to: "released", `operator`, reason)
        try await save(next, current, [line], moment())
        state = next
    }

    func override(
        _ id: SmurfID, _ kind: Override.Kind, _ duration: Duration, _ reason: String, _ by: String
    ) async throws {
        try await beginOrder()
        defer { endTurn() }
        guard let record = state.smurfs[id] else { throw unknown(id) }
        _ = try OperatorReason(reason)
        if case .move(let role) = kind, let cordon = record.cordon, record.assigned != role {
            throw OverrideError(
                "'\(id)' was cordoned by \(cordon.by) (\(cordon.reason)) and takes no other role: "
                    + "'smurf uncordon \(id)' first")
        }
        var next = state
        let now = moment()
        next.smurfs[id]?.override = Override(
            kind: kind, until: now.advanced(by: duration), reason: reason, by: by)
        let to =
            switch kind {
            case .move(let role): "move to \(role)"
            case .hold: "hold"
            }
        let line = entry(id, from: record.state.description, to: to, by, reason)
        try await save(next, current, [line], now)
        state = next
    }

    func unknown(_ id: SmurfID) -> OverrideError {
        let known = state.ids.map(\.name).joined(separator: ", ")
        return OverrideError(
            "there is no smurf '\(id)'; there are \(known.isEmpty ? "none" : known)")
    }
}
