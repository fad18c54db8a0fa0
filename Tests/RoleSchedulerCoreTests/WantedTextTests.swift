import Farm
import RoleSchedulerCore
import Testing

/// Texts that are wanted for a while, as part of the farm's state and of what is published.
@Suite struct WantedTextTests {
    private let start = Moment(nanoseconds: 1_000_000_000)

    private func text(_ owner: String, _ value: String) -> Membership.Text {
        .init(owner: owner, value: value)
    }

    @Test func theyEndByThemselves() {
        var state = FarmState()
        #expect(state.answeredTexts(at: start) == nil)
        state.want(text("b", "2"), until: start.advanced(by: .seconds(10)))
        state.want(text("b", "1"), until: start.advanced(by: .seconds(20)))
        state.want(text("a", "9"), until: start.advanced(by: .seconds(30)))
        let all = [text("a", "9"), text("b", "1"), text("b", "2")]
        #expect(state.answeredTexts(at: start) == all)
        #expect(state.answeredTexts(at: start.advanced(by: .seconds(10))) == Array(all.prefix(2)))
        #expect(state.answeredTexts(at: start.advanced(by: .seconds(30))) == nil)
        // Said again it has another end.
        state.want(text("b", "2"), until: start.advanced(by: .seconds(40)))
        #expect(state.answeredTexts(at: start.advanced(by: .seconds(35))) == [text("b", "2")])
        #expect(state.drop(textsAt: "b", value: "1") == 1)
        #expect(state.drop(textsAt: "b", value: nil) == 1)
        #expect(state.drop(textsAt: "b", value: nil) == 0)
        #expect(state.answeredTexts(at: start) == [text("a", "9")])
    }

    @Test func theyAreANewVersionOfTheMembership() {
        var state = FarmState()
        let policy = Policy(zone: "f.test", roles: [])
        var notes: [String] = []
        let first = membership(
            of: state, policy: policy, health: [:], now: start, previous: nil, notes: &notes)
        #expect(first.texts == nil)
        state.want(text("x", "y"), until: start.advanced(by: .seconds(5)))
        let second = membership(
            of: state, policy: policy, health: [:], now: start, previous: first, notes: &notes)
        #expect(second.version == first.version + 1 && second.texts == [text("x", "y")])
        let third = membership(
            of: state, policy: policy, health: [:], now: start.advanced(by: .seconds(5)),
            previous: second, notes: &notes)
        #expect(third.version == second.version + 1 && third.texts == nil)
    }
}
