import Farm
import RoleSchedulerCore
import TestSupport
import Testing

/// Rules for all machines with a label, under those for single machines.
@Suite struct LabelTests {
    @Test(arguments: ["", "rack", "=b", "rack=", "a=b=c", "a b=c", "ä=b", "a=\u{0}", "a=b\n"])
    func whatIsNoLabel(_ text: String) { #expect(Label(text) == nil) }

    @Test(arguments: ["rack=b", "R.1_x-y=Z"]) func whatIsALabel(_ text: String) {
        #expect(Label(text)?.text == text)
    }

    private func label(_ text: String) throws -> Label { try #require(Label(text)) }
    private func id(_ text: String) throws -> SmurfID { try #require(SmurfID(text)) }

    @Test func theIdWinsAndLabelsAddUp() throws {
        var policy = Roles.seedFarm
        policy.members = [MemberPolicy(id: try id("s01"), not: [Roles.web])]
        policy.labelled = [
            LabelPolicy(label: try label("rack=b"), not: [Roles.out]),
            LabelPolicy(label: try label("disk=slow"), not: [Roles.web]),
            LabelPolicy(label: try label("net=a"), pin: Roles.in),
            LabelPolicy(label: try label("net=b"), pin: Roles.web),
        ]
        let rules = MemberRules(policy)
        let both = rules.rule(
            of: try id("s02"), [try label("rack=b"), try label("disk=slow"), try label("x=y")])
        #expect(both.not == [Roles.out, Roles.web] && both.pin == nil)
        let pinned = rules.rule(of: try id("s02"), [try label("net=b"), try label("net=a")])
        #expect(pinned.pin == Roles.in)
        #expect(policy.admits(try id("s01"), []))
        #expect(!policy.admits(try id("s02"), [try label("x=y")]))
        #expect(policy.admits(try id("s02"), [try label("rack=b")]))
        policy.members = []
        #expect(policy.admits(try id("s02"), []))
    }

    /// On random farms: nobody comes into a role that its labels forbid, and a machine that gets a label leaves the
    /// role that this forbids.
    @Test func labelsAreObeyed() throws {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("labels"))
        let labels = try ["a=1", "b=1", "c=1"].map(label)
        let roles = [Roles.out, Roles.in, Roles.web]
        for _ in 0..<60 {
            var policy = Roles.seedFarm
            policy.members = [MemberPolicy(id: try id("s01"), not: [Roles.web])]
            policy.labelled = labels.map { label in
                let role = roles[Int.random(in: 0...2, using: &random)]
                return Bool.random(using: &random)
                    ? LabelPolicy(label: label, not: [role]) : LabelPolicy(label: label, pin: role)
            }
            var farm = FarmSimulation(policy: policy, smurfs: 8)
            for id in farm.ids {
                farm.state.smurfs[id]?.labels = labels.filter { _ in Bool.random(using: &random) }
            }
            func allows(_ id: SmurfID, _ role: Role) -> Bool {
                MemberRules(policy).rule(of: id, farm.state.smurfs[id]?.labels ?? []).allows(role)
            }
            for step in 0..<200 {
                for name in ["outbound.backlog", "bounces.arrival", "unsubscribes.arrival"] {
                    farm.demand.note(name, Double.random(in: 0...20, using: &random), at: farm.now)
                }
                if step % 50 == 25, let id = farm.ids.randomElement(using: &random) {
                    farm.state.smurfs[id]?.labels = labels.filter { _ in Bool.random(using: &random)
                    }
                }
                for action in farm.tick().actions {
                    guard case .warming(let role) = action.to else { continue }
                    #expect(allows(action.smurf, role), "\(action.smurf) came into \(role)")
                }
            }
            farm.run(
                seconds: 400,
                ["outbound.backlog": 0, "bounces.arrival": 0, "unsubscribes.arrival": 0])
            for id in farm.ids {
                guard let role = farm.state.smurfs[id]?.assigned else { continue }
                #expect(allows(id, role), "\(id) is still in \(role)")
            }
        }
    }
}
