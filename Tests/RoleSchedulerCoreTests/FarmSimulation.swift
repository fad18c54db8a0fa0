import Farm
import RoleSchedulerCore
import TestSupport

/// A farm that is driven tick by tick with made-up reports and demand: machines obey their orders,
/// fail and recover; signals come, go and are absurd.
struct FarmSimulation {
    var policy: Policy
    var state = FarmState()
    var health: [SmurfID: Health] = [:]
    var demand = Demand()
    var now = Moment(seconds: 1000)
    var down: Set<SmurfID> = []
    /// Up, and say that their listeners are not.
    var unready: Set<SmurfID> = []
    /// Up, content, and taken for not ready by somebody else.
    var doubts: [SmurfID: Doubt] = [:]
    /// Since when each member has said in every report that it is not ready for the role it serves.
    private(set) var unreadySince: [SmurfID: Moment] = [:]
    /// What the delivery cores said.
    var cores: [String: CoreSight] = [:]
    var published: Membership?
    let ids: [SmurfID]

    init(policy: Policy, smurfs: Int) {
        self.policy = policy
        ids = (1...smurfs).compactMap { SmurfID("s\($0 < 10 ? "0" : "")\($0)") }
        for (index, id) in ids.enumerated() {
            state.smurfs[id] = SmurfRecord(
                addresses: [.v4(0x7F00_0100 + UInt32(index))], since: now)
        }
    }

    /// Lets every machine that is up report what it was ordered.
    mutating func report(connections: (SmurfID) -> Int = { _ in 0 }) {
        for id in ids where !down.contains(id) {
            health[id] = Health(
                heard: now, ready: !unready.contains(id), role: state.smurfs[id]?.role,
                connections: connections(id), load: 0, work: 0)
            if let doubt = doubts[id] { health[id]?.doubt(doubt) }
            if case .serving? = state.smurfs[id]?.state, health[id]?.ready == false {
                unreadySince[id] = unreadySince[id] ?? now
            } else {
                unreadySince[id] = nil
            }
        }
    }

    /// One plan, after which the state is the new one.
    @discardableResult
    mutating func tick(_ step: Duration = .seconds(1)) -> Plan {
        now = now.advanced(by: step)
        report()
        let plan = plan(
            policy: policy, state: state, demand: demand, health: health, now: now, cores: cores)
        state = plan.state
        return plan
    }

    /// Plans until `seconds` have passed.
    mutating func run(seconds: Int, _ signals: [String: Double] = [:]) {
        for _ in 0..<seconds {
            for (name, value) in signals { demand.note(name, value, at: now) }
            tick()
        }
    }

    func serving(_ role: Role) -> Int {
        state.smurfs.values.filter { $0.state == .serving(role) }.count
    }

    mutating func publish() -> Membership {
        var notes: [String] = []
        let view = membership(
            of: state, policy: policy, health: health, now: now, previous: published, notes: &notes)
        published = view
        return view
    }
}

/// Roles that the tests speak of.
enum Roles {
    static let out = role("smtp-out")
    static let `in` = role("smtp-in")
    static let web = role("web")

    static func role(_ name: String) -> Role {
        guard let role = Role(name) else { fatalError("\(name) is no role") }
        return role
    }

    /// The seed's farm: everyone sends while there is backlog; bounces and clicks pull some over.
    static let seedFarm = Policy(
        zone: "smurf.example.test",
        roles: [
            RolePolicy(
                role: out, names: [RoleName(owner: "smtp-out", kind: .address)], priority: 2,
                min: 1,
                soak: 1, capacity: 25,
                demand: DemandRule(backlog: "outbound.backlog", eta: .seconds(3600)),
                ttl: 5, drain: DrainRule(ttlFactor: 2, grace: .seconds(1), deadline: .seconds(30)),
                warm: .seconds(1)),
            RolePolicy(
                role: `in`,
                names: [
                    RoleName(owner: "smtp-in", kind: .address),
                    RoleName(owner: "bounce", kind: .mailExchange(preference: 10)),
                ], priority: 1, min: 1, max: 6, capacity: 4, utilisation: 0.7,
                demand: DemandRule(arrival: "bounces.arrival"), ttl: 5,
                drain: DrainRule(ttlFactor: 2, grace: .seconds(1), deadline: .seconds(30)),
                warm: .seconds(1)),
            RolePolicy(
                role: web, names: [RoleName(owner: "web", kind: .address)], priority: 1, min: 1,
                max: 4,
                capacity: 2.5, demand: DemandRule(arrival: "unsubscribes.arrival"), ttl: 5,
                drain: DrainRule(ttlFactor: 2, grace: .seconds(1), deadline: .seconds(30)),
                warm: .seconds(1)),
        ],
        movement: Movement(
            maxInflight: 1, gap: .seconds(2), minDwell: .seconds(20), upWindow: .seconds(5),
            downWindow: .seconds(30)))
}
