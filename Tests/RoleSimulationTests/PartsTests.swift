import Farm
import TestSupport
import Testing

@testable import RoleSimulation

/// The parts of the simulation, each against figures worked out by hand.
@Suite struct PartsTests {
    @Test func effectsComeInTheirTimeAndAllOfThem() {
        let lag = Lag([.init(from: 10, to: 20, share: 0.5), .init(from: 20, to: 120, share: 0.5)])
        let causes = [100.0, 100, 100]  // all in the first second
        #expect(lag.arrivals(at: 9, causes: causes) == 0)
        #expect(lag.arrivals(at: 10, causes: causes) == 5)
        #expect(lag.arrivals(at: 20, causes: causes) == 0.5)
        let all = (0...200).reduce(0.0) { $0 + lag.arrivals(at: $1, causes: causes) }
        #expect(abs(all - 100) < 1e-6)
    }

    @Test func whatCameFirstIsTakenFirst() {
        var queue = WaitQueue()
        var waits = Waits()
        queue.add(90, at: 0)
        queue.add(10, at: 5)
        queue.take(95, at: 7, into: &waits)
        #expect(queue.total == 5)
        #expect(queue.age(at: 9) == 4)
        queue.settle(at: 20, into: &waits)
        #expect(waits.total == 100)
        #expect(waits.percentile(0.5) == 7)
        #expect(waits.percentile(0.99) == 15)
        #expect(waits.longest == 15)
    }

    /// Half a TTL after a machine joined another, a quarter of the clients go to it; none later than a TTL
    /// after it left.
    @Test func cachesForgetWithinTheTTL() throws {
        let ids = try [#require(SmurfID("a")), #require(SmurfID("b"))]
        var cache = CachedAnswers()
        func share(_ id: SmurfID, _ now: Int) -> Double {
            cache.stays.filter { $0.machine == id }
                .reduce(0) { $0 + cache.traffic($1, window: 20, now: now) }
        }
        for second in 0..<50 { cache.note([ids[0]], at: second, memory: 100) }
        #expect(share(ids[0], 49) == 1)
        for second in 50..<60 { cache.note(ids, at: second, memory: 100) }
        #expect(abs(share(ids[1], 59) - 0.25) < 1e-9)
        #expect(abs(share(ids[0], 59) - 0.75) < 1e-9)
        for second in 60..<80 { cache.note([ids[1]], at: second, memory: 100) }
        #expect(share(ids[0], 79) == 0)
        #expect(abs(share(ids[1], 79) - 1) < 1e-9)
    }
}
