import Farm
import Glibc
import RoleSchedulerCore

// plans MACHINES ROUNDS: how long one plan takes in a farm that is moving machines, with every machine's report new.
// Prints milliseconds, median, 99th percentile and greatest: by the clock, and of the processor's time, in which what else
// runs on the machine has no part; and how many machines moved.
let arguments = CommandLine.arguments
guard arguments.count == 3, let machines = Int(arguments[1]), let rounds = Int(arguments[2]) else {
    fatalError("usage: plans MACHINES ROUNDS")
}

func role(_ name: String) -> Role { Role(name)! }

func rule(_ name: String, _ kind: Membership.RoleRecords.Kind, _ demand: DemandRule) -> RolePolicy {
    RolePolicy(
        role: role(name), names: [RoleName(owner: name, kind: kind)], priority: 1, min: 1,
        soak: name == "smtp-out" ? 1 : 0, capacity: 5, demand: demand, ttl: 5,
        drain: DrainRule(ttlFactor: 2, grace: .seconds(1), deadline: .seconds(30)),
        warm: .seconds(1))
}

let policy = Policy(
    zone: "smurf.example.test",
    roles: [
        rule("smtp-out", .address, DemandRule(backlog: "backlog", eta: .seconds(3600))),
        rule("smtp-in", .mailExchange(preference: 10), DemandRule(arrival: "bounces")),
        rule("web", .address, DemandRule(arrival: "clicks")),
    ],
    movement: Movement(
        maxInflight: 10, gap: .seconds(1), minDwell: .seconds(20), upWindow: .seconds(5),
        downWindow: .seconds(30)))
let ids = (0..<machines).map { SmurfID("s\($0)")! }
var now = Moment(seconds: 1000)
var state = FarmState()
var demand = Demand()
var health: [SmurfID: Health] = [:]
for (index, id) in ids.enumerated() {
    var record = SmurfRecord(addresses: [.v4(0x0A00_0000 + UInt32(index))], since: now)
    // In the midst of a mailing: whoever is needed elsewhere has to be taken from somebody.
    record.state = .serving(role("smtp-out"))
    state.smurfs[id] = record
}
/// Milliseconds of the processor's time that this thread has had.
func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1000 + Double(time.tv_nsec) / 1e6
}

func tell(_ times: [Double]) -> String {
    let times = times.sorted()
    let last = times[times.count - 1]
    return
        "\(times[times.count / 2]) \(times[min(times.count - 1, times.count * 99 / 100)]) \(last)"
}

var times: [Double] = []
var processorTimes: [Double] = []
var moves = 0
for round in 0..<(60 + rounds) {
    now = now.advanced(by: .seconds(1))
    for id in ids {
        health[id] = Health(
            heard: now, ready: true, role: state.smurfs[id]?.role, connections: 0, load: 0, work: 0)
    }
    // Waves, so that there is always somebody to move.
    let wave = Double(abs(round % 60 - 30)) / 30
    demand.note("backlog", 1e7, at: now)
    demand.note("bounces", Double(machines) * wave, at: now)
    demand.note("clicks", Double(machines) * (1 - wave), at: now)
    let (start, before) = (ContinuousClock.now, processorTime())
    let made = plan(policy: policy, state: state, demand: demand, health: health, now: now)
    let (time, spent) = (start.duration(to: .now), processorTime() - before)
    state = made.state
    guard round >= 60 else { continue }
    moves += made.actions.count
    times.append(
        Double(time.components.seconds) * 1000 + Double(time.components.attoseconds) / 1e15)
    processorTimes.append(spent)
}
print(tell(times), tell(processorTimes), moves)
