import Foundation
import TestSupport
import Testing

/// The operator's words, from the command line to what DNS answers.
@Suite(.serialized) struct OperatorTests {
    @Test(.timeLimit(.minutes(3)))
    func aCordonedMachineStaysWhereItIs() async throws {
        let policy = ControlNodeFixture.policy.replacing("min: 2", with: "min: 1")
        let node = try ControlNodeFixture(policy: policy)
        let running = try await node.start(web: 1)
        let web = try await node.members("web")
        let out = try await node.members("smtp-out")
        func id(_ address: String?) throws -> String { "s0" + String(try #require(address?.last)) }
        let (server, sender) = (try id(web.first), try id(out.first))
        let idle = try #require(["s01", "s02", "s03"].first { $0 != server && $0 != sender })
        for smurf in [idle, server] {
            let result = try await node.smurf("cordon", smurf, "--reason", "odd log", "--for", "1h")
            #expect(result.status == 0, "\(result.errors)")
            #expect(result.output.contains("\(smurf) stays where it is for 1 h 0 min"))
        }
        // The only sender leaves; the cordoned idle machine must not take its place.
        let drained = try await node.smurf("drain", sender, "--reason", "disk", "--for", "1h")
        #expect(drained.output.contains("\(sender) is drained and held"), "\(drained.errors)")
        try await eventually("the end of the drain", within: .seconds(60)) {
            try await node.smurf("roles").output.contains("held")
        }
        #expect(try await node.members("smtp-out") == out)
        #expect(try await node.members("web") == web)
        let board = try await node.smurf("roles")
        #expect(board.output.contains("cordon for "), "\(board.output)")

        let ended = try await node.smurf("uncordon", idle)
        #expect(ended.output == "\(idle) may take roles again\n", "\(ended.errors)")
        try await eventually("another sender", within: .seconds(60)) {
            let now = try await node.members("smtp-out")
            return now.count == 1 && now != out
        }
        let pinned = try await node.smurf("pin", server, "--reason", "watching it")
        #expect(pinned.output.contains("\(server) stays in web for 1 h"), "\(pinned.errors)")
        let history = try await node.smurf("history")
        for what in ["cordon", "hold", "uncordoned", "move to web"] {
            #expect(history.output.contains(what), "\(history.output)")
        }
        await running.stop()
    }

    @Test func wordsWithoutSenseAreRefused() async throws {
        let node = try ControlNodeFixture()
        let running = try await node.start()
        for (words, said) in [
            (["uncordon", "s01"], "'s01' is not cordoned"),
            (["cordon", "s99", "--reason", "x"], "there is no smurf 's99'"),
            (["pin", "s01", "wbe", "--reason", "x"], "there is no role 'wbe'"),
            (["cordon", "s01", "--reason", ""], "the reason is empty"),
        ] {
            let result = try await node.smurf(words)
            #expect(result.status == 2, "\(words): \(result.output)")
            #expect(result.errors.contains(said), "\(result.errors)")
        }
        await running.stop()
    }

    @Test func explainsRolesAndMachines() async throws {
        let node = try ControlNodeFixture()
        let running = try await node.start()
        let summary = try await node.smurf("explain")
        #expect(summary.output.contains("web   priority 1, 2 to any number"), "\(summary.output)")
        #expect(summary.output.contains("target      2   minimum"), "\(summary.output)")
        let web = try await node.smurf("explain", "web")
        #expect(web.output.contains("smtp-out has no more than its target"), "\(web.output)")
        #expect(web.output.contains("floor of web"), "\(web.output)")

        let json = try await node.smurf("explain", "web", "--json")
        let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
        let role = try #require(((object as? [String: Any])?["roles"] as? [[String: Any]])?.first)
        #expect(role["target"] as? Int == 2 && role["stabilised"] as? Int == 2)
        #expect((role["bound"] as? [String: Any])?["code"] as? String == "minimum")
        let passed = try #require(role["passedOver"] as? [[String: Any]])
        #expect(
            passed.compactMap { ($0["why"] as? [String: Any])?["code"] as? String } == ["needed"])

        let sender = try #require(try await node.members("smtp-out").first?.last)
        let smurf = try await node.smurf("explain", "s0\(sender)")
        #expect(smurf.output.contains("serving smtp-out for"), "\(smurf.output)")
        let nothing = try await node.smurf("explain", "wbe")
        #expect(nothing.status == 2)
        #expect(nothing.errors.contains("no role and no smurf 'wbe'; roles are smtp-out, web"))
        await running.stop()
    }

    /// A phase that is always on is followed in DNS, and said on the board; SIGHUP takes another up.
    @Test(.timeLimit(.minutes(3)))
    func phasesAreFollowedInDNS() async throws {
        let phase = "phases: [{name: calm, roles: {web: {min: 1}}, idle: smtp-out}]\n"
        let node = try ControlNodeFixture(policy: ControlNodeFixture.policy + phase)
        let running = try Daemon("serve", node.arguments(), directory: node.directory)
        try await running.ready {
            let web = try await node.members("web")
            let out = try await node.members("smtp-out")
            return web.count == 1 && out.count == 2
        }
        let explained = try await node.smurf("explain")
        #expect(explained.output.hasPrefix("phase calm\n"), "\(explained.output)")
        #expect(explained.output.contains("the limit of phase 'calm'"), "\(explained.output)")
        #expect(try await node.smurf("roles").output.contains("   phase calm\n"))
        try node.directory.write("policy.yml", ControlNodeFixture.policy)
        running.signal(SIGHUP)
        try await eventually("the policy without phases") {
            let web = try await node.members("web")
            let out = try await node.members("smtp-out")
            return web.count == 2 && out.count == 1
        }
        await running.stop()
    }

    /// Examples/policies/one-box.yml: one machine, three roles, all of them answered.
    @Test(.timeLimit(.minutes(3)))
    func oneBoxIsAnsweredForEveryRole() async throws {
        let policy = try String(
            contentsOfFile: Product.root + "/Examples/policies/one-box.yml", encoding: .utf8)
        let node = try ControlNodeFixture(
            policy: policy + "defaults: {warm: 0s}\nmovement: {gap: 0s}\n")
        let running = try Daemon("serve", node.arguments(), directory: node.directory)
        try await running.ready {
            for role in ["smtp-out", "smtp-in", "web"] {
                guard try await node.members(role) == ["127.0.1.1"] else { return false }
            }
            return true
        }
        let board = try await node.smurf("roles")
        #expect(board.output.contains("! colocated: nobody is free for "), "\(board.output)")
        await running.stop()
    }

    /// A number that a program prints, from its file to the answers.
    @Test(.timeLimit(.minutes(3)))
    func aProgramsNumberIsFollowedInDNS() async throws {
        let directory = try TemporaryDirectory()
        let number = try directory.write("load", "1\n")
        let policy = ControlNodeFixture.policy.replacing(
            "web: {names: {web: A}, min: 2}",
            with: "web: {names: {web: A}, min: 1, capacity: 1/s, utilisation: 100%, "
                + "demand: {arrival: load}}")
        let node = try ControlNodeFixture(
            policy: policy + "signals: {load: {command: [/bin/cat, \(number)], every: 200ms}}\n")
        let running = try await node.start(web: 1)
        try directory.write("load", "2\n")
        try await eventually("two members") { try await node.members("web").count == 2 }
        try directory.write("load", "many\n")
        try await eventually("the trouble on the board") {
            let board = try await node.smurf("roles")
            return board.output.contains("! signal load cannot be read: 'many' is no number")
        }
        // Missing is not zero.
        #expect(try await node.members("web").count == 2)
        await running.stop()
    }
}
