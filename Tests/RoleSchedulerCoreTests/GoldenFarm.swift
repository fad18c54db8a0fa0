import Farm
import RoleSchedulerCore
import TestSupport
import Testing

/// A made-up farm whose whole life follows from its seed, for comparing what it is decided between two versions of
/// the planner. It shares no generator with the property tests: they may learn new tricks, and these lives must not
/// change by that.
struct GoldenFarm {
    var policy: Policy
    var state = FarmState()
    var health: [SmurfID: Health] = [:]
    var demand = Demand()
    var now = Moment(seconds: 1000)
    var published: Membership?
    private let ids: [SmurfID]
    private var silent: Set<SmurfID> = []
    private var unready: Set<SmurfID> = []
    private var tide = 0
    private var random: SeededGenerator

    init(seed: UInt64, machines: Int) {
        var random = SeededGenerator(seed: seed)
        ids = (0..<machines).compactMap { SmurfID("m\($0)") }
        policy = GoldenFarm.policy(ids, &random)
        for (index, id) in ids.enumerated() where index % 11 != 10 {
            state.smurfs[id] = SmurfRecord(
                addresses: index % 13 == 12 ? [] : [.v4(0x0A00_0000 + UInt32(index))], since: now)
        }
        if Bool.random(using: &random) { state.resumed = now }
        self.random = random
    }

    private static func policy(_ ids: [SmurfID], _ random: inout SeededGenerator) -> Policy {
        let roles = (0..<Int.random(in: 1...4, using: &random)).map {
            role($0, ids.count, &random)
        }
        var policy = Policy(
            zone: "a.example", roles: roles,
            movement: Movement(
                maxInflight: Int.random(in: 1...(2 + ids.count / 10), using: &random),
                gap: .seconds(Int.random(in: 0...3, using: &random)),
                minDwell: .seconds(Int.random(in: 0...30, using: &random)),
                upWindow: .seconds(Int.random(in: 0...10, using: &random)),
                downWindow: .seconds(Int.random(in: 0...40, using: &random))))
        policy.colocates = Bool.random(using: &random)
        policy.phases = [phase(roles, &random)]
        policy.members = ids.sorted().compactMap { member($0, roles, &random) }
        return policy
    }

    private static func role(
        _ index: Int, _ machines: Int, _ random: inout SeededGenerator
    ) -> RolePolicy {
        let floor = Int.random(in: 0...2, using: &random)
        var rule = RolePolicy(
            role: Roles.role("r\(index)"), names: [RoleName(owner: "r\(index)", kind: .address)],
            priority: Int.random(in: 1...2, using: &random), min: floor,
            max: Bool.random(using: &random) ? floor + machines / 3 : nil,
            soak: Int.random(in: 0...1, using: &random),
            capacity: Double.random(in: 1...20, using: &random),
            demand: DemandRule(
                arrival: ["a", "b"][index % 2], backlog: index == 0 ? "c" : nil,
                eta: .seconds(60)),
            ttl: UInt32.random(in: 1...10, using: &random), sends: index == 0,
            drain: DrainRule(
                ttlFactor: 2, grace: .seconds(1),
                deadline: .seconds(Int.random(in: 0...60, using: &random))),
            warm: .seconds(Int.random(in: 0...5, using: &random)))
        if Int.random(in: 0..<4, using: &random) == 0 {
            rule.canary = .seconds(Int.random(in: 1...40, using: &random))
            rule.slowStart = .seconds(20)
        }
        return rule
    }

    private static func phase(_ roles: [RolePolicy], _ random: inout SeededGenerator) -> Phase {
        let rule = roles[Int.random(in: 0..<roles.count, using: &random)]
        return Phase(
            name: "p",
            latch: Phase.Latch(
                when: [.init(signal: "a", .above, 40)], until: [.init(signal: "a", .below, 20)],
                leaving: .seconds(10)),
            changes: [rule.role: RoleChanges(min: 1, max: 3, priority: 1)],
            idle: Bool.random(using: &random) ? roles[0].role : nil)
    }

    private static func member(
        _ id: SmurfID, _ roles: [RolePolicy], _ random: inout SeededGenerator
    ) -> MemberPolicy? {
        let role = roles[Int.random(in: 0..<roles.count, using: &random)].role
        switch Int.random(in: 0..<10, using: &random) {
        case 0: return MemberPolicy(id: id, pin: role)
        case 1: return MemberPolicy(id: id, not: [role])
        case 2: return MemberPolicy(id: id, agent: false)
        default: return nil
        }
    }

    /// One plan and one membership after something happened.
    /// - Returns: what was decided, line by line.
    mutating func step() -> [String] {
        happen()
        now = now.advanced(by: .milliseconds(Int.random(in: 200...3000, using: &random)))
        report()
        let plan = plan(policy: policy, state: state, demand: demand, health: health, now: now)
        var bothNotes = plan.notes
        let both = planAndMembership(
            policy: policy, state: state, demand: demand, health: health, now: now,
            previous: published, notes: &bothNotes)
        state = plan.state
        var notes = plan.notes
        let view = membership(
            of: state, policy: policy, health: health, now: now, previous: published, notes: &notes)
        #expect(both == (plan, view) && bothNotes == notes, "together they are what each is")
        published = view
        return plan.actions.map { "\($0.smurf) \($0.from) > \($0.to): \($0.why)" }
            + plan.explanation.map {
                "\($0.role) \($0.wanted) \($0.setpoint) \($0.target) \($0.assigned) \($0.serving) "
                    + "\($0.bound) \($0.delay.map { "\($0)" } ?? "")"
            } + notes + ["\(view.version)", "\(view.senders)"]
            + view.records.map { "\($0.owner) \($0.members) \($0.ttl) \(ramps($0))" }
    }

    private func ramps(_ records: Membership.RoleRecords) -> String {
        (records.ramping ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            .joined(separator: " ")
    }

    private mutating func report() {
        for id in ids where !silent.contains(id) {
            health[id] = Health(
                heard: now, ready: !unready.contains(id), role: state.smurfs[id]?.role,
                connections: Int.random(in: 0...2, using: &random), load: 0, work: 0)
        }
    }

    private mutating func happen() {
        // Waves with noise, so that roles have enough at times and too much at others.
        tide += 1
        for (index, name) in ["a", "b", "c"].enumerated()
        where Int.random(in: 0..<5, using: &random) > 0 {
            let wave = (tide / 40 + index) % 3 == 0 ? 3.0 : 0.5
            let value = Double.random(in: 0...wave, using: &random) * Double(2 + ids.count)
            demand.note(name, value, at: now)
        }
        if Int.random(in: 0..<6, using: &random) == 0 { silent.formSymmetricDifference([anyone()]) }
        if Int.random(in: 0..<6, using: &random) == 0 {
            unready.formSymmetricDifference([anyone()])
        }
        if Int.random(in: 0..<60, using: &random) == 0 {
            silent = Set(ids.filter { _ in Int.random(in: 0..<3, using: &random) == 0 })
        }
        let until = now.advanced(by: .seconds(Int.random(in: 1...60, using: &random)))
        let id = anyone()
        let role = policy.roles[Int.random(in: 0..<policy.roles.count, using: &random)].role
        switch Int.random(in: 0..<80, using: &random) {
        case 0: state.smurfs[id]?.cordon = Cordon(until: until, reason: "test", by: "operator")
        case 1:
            state.smurfs[id]?.override = Override(
                kind: .hold, until: until, reason: "test", by: "operator")
        case 2:
            state.smurfs[id]?.override = Override(
                kind: .move(role), until: until, reason: "test", by: "operator")
        case 3:
            if let index = policy.members.firstIndex(where: { $0.id == id }) {
                policy.members[index].not = [role]
            }
        case 4 where tide > 90:
            if policy.roles.count > 1 { policy.roles.removeLast() }
        default: break
        }
    }

    private mutating func anyone() -> SmurfID {
        ids[Int.random(in: 0..<ids.count, using: &random)]
    }
}
