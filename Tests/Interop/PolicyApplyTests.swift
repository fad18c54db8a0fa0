import Foundation
import TestSupport
import Testing

/// Another policy for a farm that runs: shown, refused or followed.
@Suite(.serialized) struct PolicyApplyTests {
    private func apply(
        _ node: ControlNodeFixture, _ text: String, _ options: String...
    ) async throws -> Finished {
        let path = try node.directory.write("new.yml", text)
        return try await node.smurf(
            ["policy", "apply", path, "--recipients", "20k", "--smurfs", "3"] + options)
    }

    @Test(.timeLimit(.minutes(4)))
    func aPolicyIsShownAndThenFollowed() async throws {
        let node = try ControlNodeFixture()
        let running = try await node.start()
        let served = node.directory.file("policy.yml")
        let new = ControlNodeFixture.policy.replacing("min: 2", with: "min: 1")
            .replacing("smtp-out: A}, min: 1", with: "smtp-out: A}, min: 2")

        let asked = try await apply(node, new)
        #expect(asked.status == 2, "\(asked.output)")
        #expect(asked.errors.contains("no terminal to ask on; --yes does without"))
        #expect(asked.output.contains("  roles.web.min: 2 → 1"), "\(asked.output)")
        #expect(asked.output.contains("A mailing of 20000 with 3 machines, simulated:"))
        #expect(asked.output.contains("First moves:"), "\(asked.output)")
        #expect(try String(contentsOfFile: served, encoding: .utf8) == ControlNodeFixture.policy)

        let done = try await apply(
            node, new, "--yes", "--no-simulation", "--reason", "fewer clicks at night")
        #expect(done.status == 0, "\(done.errors)")
        #expect(!done.output.contains("simulated"))
        #expect(try String(contentsOfFile: served, encoding: .utf8) == new)
        let history = try await node.smurf(["history", "--json"])
        #expect(history.status == 0, "\(history.errors)")
        let sums = try await run(["sha256sum", node.directory.file("new.yml")]).output.prefix(12)
        #expect(history.output.contains("\"policy \(sums)\""), "\(history.output)")
        #expect(
            history.output.contains("fewer clicks at night: roles.smtp-out.min: 1 → 2"),
            "\(history.output)")
        #expect(history.output.contains("\"who\":\"\(NSUserName())\""), "\(history.output)")
        try await eventually("the new policy in DNS") {
            let web = try await node.members("web")
            let out = try await node.members("smtp-out")
            return web.count == 1 && out.count == 2
        }
        let again = try await apply(node, new, "--yes")
        #expect(again.output.hasPrefix("no difference to "), "\(again.output)")
        await running.stop()
    }

    @Test(.timeLimit(.minutes(4)))
    func whatWouldEmptyANameIsRefused() async throws {
        let node = try ControlNodeFixture()
        let running = try await node.start()
        let web = "  web: {names: {web: A}, min: 2}\n"
        for (new, said) in [
            (ControlNodeFixture.policy.replacing(web, with: ""), "web A: no role has this name"),
            (
                ControlNodeFixture.policy.replacing("min: 2", with: "min: 0"),
                "web A: nobody would serve web"
            ),
        ] {
            let refused = try await apply(node, new, "--yes", "--no-simulation")
            #expect(refused.status == 2, "\(refused.output)")
            #expect(refused.output.contains(said), "\(refused.output)")
            #expect(refused.errors.contains("--force does it anyway"))
        }
        #expect(try await node.members("web").count == 2)
        let forced = try await apply(
            node, ControlNodeFixture.policy.replacing(web, with: ""), "--yes", "--no-simulation",
            "--force")
        #expect(forced.status == 0, "\(forced.errors)")
        try await eventually("the end of the name") { try await node.members("web").isEmpty }

        let faulty = try await apply(node, ControlNodeFixture.policy + "rolse: {}\n", "--yes")
        #expect(faulty.status == 2)
        #expect(faulty.errors.contains("unknown key 'rolse' in the policy; did you mean 'roles'?"))
        let other = ControlNodeFixture.policy.replacing("smurf.example", with: "other.example")
        let elsewhere = try await apply(node, other, "--yes")
        #expect(elsewhere.status == 2)
        #expect(elsewhere.errors.contains("this control node serves 'smurf.example.test'"))
        await running.stop()
    }

    /// A policy that contradicts the zone file is not followed, and its file is as it was.
    @Test(.timeLimit(.minutes(4)))
    func aPolicyAgainstTheZoneChangesNothing() async throws {
        let node = try ControlNodeFixture()
        let running = try await node.start()
        let zone = node.directory.file("static.zone")
        let text = try String(contentsOfFile: zone, encoding: .utf8)
        try node.directory.write("static.zone", text + "www IN CNAME ns1\n")
        let new = ControlNodeFixture.policy.replacing("{web: A}", with: "{web: A, www: A}")
        let refused = try await apply(node, new, "--yes", "--no-simulation")
        #expect(refused.status == 2, "\(refused.output) \(refused.errors)")
        #expect(refused.errors.contains("does not fit the zone file"), "\(refused.errors)")
        let served = try String(contentsOfFile: node.directory.file("policy.yml"), encoding: .utf8)
        #expect(served == ControlNodeFixture.policy)
        #expect(try await node.members("web").count == 2)
        await running.stop()
    }

    @Test func differencesAreSaidOffline() async throws {
        let directory = try TemporaryDirectory()
        let old = try directory.write("old.yml", ControlNodeFixture.policy)
        let new = try directory.write(
            "new.yml", ControlNodeFixture.policy.replacing("min: 2", with: "min: 3"))
        let plain = try await run([Product.smurf, "policy", "diff", old, new])
        #expect(plain.output == "  roles.web.min: 2 → 3\n", "\(plain.errors)")
        let same = try await run([Product.smurf, "policy", "diff", old, old])
        #expect(same.output == "no difference\n")
        let json = try await run([Product.smurf, "policy", "diff", old, new, "--json"])
        let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
        #expect(
            (object as? [[String: String]])
                == [["key": "roles.web.min", "old": "2", "new": "3"]])
    }
}
