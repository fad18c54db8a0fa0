import Farm
import RoleSchedulerCore
import TestSupport
import Testing

/// What the counters of work tell: who does nothing, and what a member can do.
@Suite struct WorkTests {
    private static let lasting = Duration.seconds(60)

    /// Runs a role's members for a while and judges them every second.
    private func suspects(
        _ rates: [Int], seconds: Int = 90, watch: inout BlackHoleWatch, from start: Int = 0
    ) throws -> Set<String> {
        var found: [SmurfID: Role] = [:]
        for second in start..<(start + seconds) {
            for (index, rate) in rates.enumerated() {
                let id = try #require(SmurfID("s\(index)"))
                watch.note(
                    id, serving: Roles.out, work: UInt64(rate * second), over: WorkTests.lasting,
                    at: Moment(seconds: Double(second)))
            }
            found = watch.judge(over: WorkTests.lasting, at: Moment(seconds: Double(second)))
        }
        return Set(found.keys.map(\.name))
    }

    @Test(arguments: [
        ([5, 5, 0], ["s2"]), ([5, 5, 5], []), ([5, 0], []), ([0, 0, 0], []), ([5, 5, 0, 0], []),
        ([5, 5, 5, 0, 0], ["s3", "s4"]), ([5, 0, 0], []),
        // Too little work to say anything.
        ([0, 0, 0, 0], []),
    ])
    func aHoleIsWhoDoesNothingAmongMostWhoWork(_ rates: [Int], _ expected: [String]) throws {
        var watch = BlackHoleWatch()
        #expect(try suspects(rates, watch: &watch) == Set(expected))
    }

    @Test func nobodyIsJudgedBeforeTheTime() throws {
        var watch = BlackHoleWatch()
        #expect(try suspects([50, 50, 0], seconds: 58, watch: &watch).isEmpty)
    }

    /// It stays one while nothing comes any more, and is none as soon as its counter moves.
    @Test func aHoleIsFreedByWork() throws {
        var watch = BlackHoleWatch()
        #expect(try suspects([5, 5, 0], watch: &watch) == ["s2"])
        let id = try #require(SmurfID("s2"))
        let now = Moment(seconds: 100)
        #expect(watch.judge(over: WorkTests.lasting, at: now)[id] == Roles.out)
        watch.note(
            id, serving: Roles.out, work: 3, over: WorkTests.lasting, at: now)
        #expect(watch.judge(over: WorkTests.lasting, at: now).isEmpty)
    }

    /// When a mailing ends, members get their last rows at moments of their own, and what is kept of each reaches back to
    /// another moment: once, healthy ones were taken for holes then.
    @Test func theEndOfAllWorkMakesNoHoles() throws {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("ends"))
        for _ in 0..<200 {
            var watch = BlackHoleWatch()
            let ids = (0..<Int.random(in: 3...8, using: &random)).compactMap { SmurfID("s\($0)") }
            let ends = ids.map { _ in Double.random(in: 200...220, using: &random) }
            let phases = ids.map { _ in Double.random(in: 0..<1, using: &random) }
            for second in 0..<400 {
                for ((id, end), phase) in zip(zip(ids, ends), phases) {
                    let now = Double(second) + phase
                    watch.note(
                        id, serving: Roles.out, work: UInt64(10 * min(now, end)),
                        over: WorkTests.lasting, at: Moment(seconds: now))
                }
                let now = Moment(seconds: Double(second) + 1)
                #expect(watch.judge(over: WorkTests.lasting, at: now).isEmpty, "at \(second) s")
            }
        }
    }

    /// Whatever the counters say, some of a role's members are left, and whoever worked is no hole.
    @Test func neverEmptiesARole() throws {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("holes"))
        for _ in 0..<100 {
            var watch = BlackHoleWatch()
            var work = [SmurfID: UInt64]()
            let ids = (0..<Int.random(in: 1...8, using: &random)).compactMap { SmurfID("s\($0)") }
            var now = Moment(seconds: 0)
            for _ in 0..<150 {
                now = now.advanced(by: .milliseconds(Int.random(in: 0...3000, using: &random)))
                for id in ids {
                    let more = UInt64.random(in: 0...40, using: &random)
                    if Bool.random(using: &random) { work[id, default: 0] += more }
                    if Int.random(in: 0..<60, using: &random) == 0 { work[id] = 0 }
                    let serves = Int.random(in: 0..<50, using: &random) > 0
                    watch.note(
                        id, serving: serves ? Roles.out : nil, work: work[id] ?? 0,
                        over: WorkTests.lasting, at: now)
                }
                #expect(watch.judge(over: WorkTests.lasting, at: now).count * 2 <= ids.count)
            }
        }
    }

    // MARK: Measured capacity

    private func setpoint(
        rate: Double?, within: Double, backlog: Double = 36_000
    ) throws -> RoleExplanation {
        var policy = Roles.seedFarm
        for index in policy.roles.indices where policy.roles[index].role == Roles.out {
            policy.roles[index].measuredWithin = within
            policy.roles[index].soak = 0
            policy.roles[index].utilisation = 1
            policy.roles[index].demand.eta = .seconds(360)
        }
        var farm = FarmSimulation(policy: policy, smurfs: 20)
        var signals = [
            "outbound.backlog": backlog, "bounces.arrival": 0, "unsubscribes.arrival": 0,
        ]
        signals["smtp-out.rate"] = rate
        farm.run(seconds: 900, signals)
        return try #require(farm.tick().explanation.first { $0.role == Roles.out })
    }

    /// 100/s to do: four machines of 25/s; what they show counts as far as the policy lets it.
    @Test(arguments: [
        (nil, 0.5, 4), (25, 0.5, 4), (20, 0.5, 5), (2, 0.5, 8), (250, 0.5, 3), (250, 0.0, 4),
        (12.5, 0.2, 5),
    ])
    func membersCountAsTheyShow(_ rate: Double?, _ within: Double, _ expected: Int) throws {
        let line = try setpoint(rate: rate, within: within)
        #expect(line.setpoint == expected, "\(line)")
        #expect((line.raw.formula?.measured == nil) == (within == 0))
    }

    /// Without backlog a rate is what there was to do, not what can be done.
    @Test func idleMembersShowNothing() throws {
        let line = try setpoint(rate: 1, within: 0.5, backlog: 0)
        #expect(line.raw.formula?.capacity == 25)
    }
}
