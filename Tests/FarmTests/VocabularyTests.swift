import Farm
import Testing

@Suite struct VocabularyTests {
    @Test(arguments: ["s01", "a", "S-9", String(repeating: "x", count: 63)])
    func takesLabels(_ name: String) {
        #expect(SmurfID(name)?.name == name.lowercased())
    }

    @Test(arguments: ["", "-a", "a-", "a.b", "a_b", "ä", String(repeating: "x", count: 64), "a b"])
    func refusesOtherNames(_ name: String) {
        #expect(SmurfID(name) == nil)
        #expect(Role(name) == nil)
    }

    @Test func idleIsNoRole() { #expect(Role("idle") == nil) }

    @Test func momentsStickToTheirEnds() {
        let late = Moment(nanoseconds: .max)
        let early = Moment(nanoseconds: .min)
        #expect(late.advanced(by: .seconds(1)) == late)
        #expect(early.advanced(by: .seconds(-1)) == early)
        #expect(late.since(early) == .nanoseconds(Int64.max))
        #expect(Moment(seconds: .infinity) == late)
        #expect(Moment(seconds: 1.5).since(Moment(seconds: 0.5)) == .seconds(1))
    }

    @Test func demandDropsAbsurdNumbers() {
        var demand = Demand()
        let now = Moment(seconds: 1)
        demand.note("x", 3, at: now)
        for absurd in [Double.nan, .infinity, -1] {
            let taken = demand.note("x", absurd, at: now.advanced(by: .seconds(9)))
            #expect(!taken)
        }
        #expect(demand["x"] == Demand.Signal(value: 3, observed: now))
    }
}
