import Foundation
import TestSupport
import Testing

/// What the scheduler makes of the reports of real agents.
extension InteropTests {
    @Suite(.serialized)
    struct AgentLabelTests {
        /// What an agent says with --label goes into the policy's rules, and is shown.
        @Test(.timeLimit(.minutes(2)))
        func anAgentsLabelKeepsItOutOfARole() async throws {
            var settings = FarmFixture.Settings()
            settings.network = 26
            settings.labels = [2: "rack=b"]
            settings.members = "members: [{match: {label: rack=b}, not: [smtp-out]}]"
            let farm = try FarmFixture(settings)
            try await farm.startSink()
            try await farm.startControl()
            for number in 1...2 { try farm.startAgent(number) }
            try await eventually("s02 is there and idle", within: .seconds(60)) {
                let explained = try await farm.smurf("explain", "s02").output
                return try await farm.members("smtp-out") == [farm.address(1)]
                    && explained.hasPrefix("s02   idle") && explained.contains("labels rack=b")
                    && explained.contains("the policy bars it from the role")
            }
            #expect(try await farm.smurf("roles").output.contains("[rack=b]"))
            try await isSimulatedWithItsMachines(farm)
            try await farm.stop()
        }

        /// A look ahead at another policy knows who is there, and the labels that only agents tell.
        private func isSimulatedWithItsMachines(_ farm: FarmFixture) async throws {
            let file = farm.directory.file("policy.yml")
            let policy = try String(contentsOfFile: file, encoding: .utf8)
            for (label, isThere) in [("rack=b", true), ("rack=c", false)] {
                let path = try farm.directory.write(
                    "needs.yml",
                    policy.replacing(
                        "names: {smtp-out: A}", with: "names: {smtp-out: A}\n    needs: [\(label)]"
                    )
                    .replacing("not: [smtp-out]", with: "not: [smtp-in]"))
                let asked = try await farm.smurf("policy", "apply", path, "--recipients", "2000")
                #expect(
                    asked.output.contains("A mailing of 2000 with 2 machines, simulated:"),
                    "\(asked.output) \(asked.errors)")
                let line = asked.output.split(separator: "\n").first { $0.hasPrefix(path) }
                #expect(line?.contains("never") == !isThere, "\(asked.output)")
            }
        }
    }

    @Suite(.serialized)
    struct BlackHoleTests {
        /// What was recorded has the hole, and a simulated farm that lives through it has it too.
        private func replays(_ farm: FarmFixture) async throws {
            let file = farm.directory.file("run.jsonl")
            let exported = try await run(
                [
                    Product.smurf, "trace", "export", "--data", farm.directory.file("data"),
                    "--to", file,
                ])
            #expect(exported.status == 0, "\(exported.errors)")
            let text = try String(contentsOfFile: file, encoding: .utf8)
            #expect(text.contains("\"hole\":3"), "\(text)")
            let again = try await run(
                [
                    Product.smurf, "policy", "simulate", farm.directory.file("policy.yml"),
                    "--trace", file, "--recipients", "6000", "--smurfs", "4", "--json",
                ])
            #expect(again.status == 0, "\(again.errors)")
            let outcomes = try JSONSerialization.jsonObject(with: Data(again.output.utf8))
            let outcome = try #require((outcomes as? [[String: Any]])?.first)
            let machines = try #require(outcome["machines"] as? [String])
            let holes = try #require(outcome["holes"] as? [[String: Any]])
            #expect(holes.map { $0["smurf"] as? String } == [machines[2]], "\(holes)")
        }

        /// A relay that takes connections and says nothing, so that its agent says that all is well, holds rows, and
        /// never sends one: it leaves the name, and the others go on.
        @Test(.timeLimit(.minutes(4)))
        func whoDoesNothingWhileOthersSendLeavesTheName() async throws {
            let silent = try Product.freePort()
            var settings = FarmFixture.Settings()
            settings.network = 24
            settings.agents = 4
            settings.delay = 60
            settings.lease = "120s"
            settings.guards = ", black_hole_after: 6s"
            settings.relays = [3: ("127.0.0.1", silent)]
            let farm = try FarmFixture(settings)
            let hole = try Daemon(
                "silent",
                [
                    "python3", "-c",
                    """
                    import socket, sys, time
                    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=100)
                    taken = []
                    while True: taken.append(listener.accept())
                    """, "\(silent)",
                ], directory: farm.directory)
            try await hole.ready { Reachable.tcp("127.0.0.1", silent) }
            try await farm.start()
            let template = Product.root + "/Tests/Interop/letter.eml"
            let table = try farm.directory.write("readers.csv", RecipientRows.csv(6000))
            let sent = try await farm.smurf("send", template, table, "--name", "slow", "--no-wait")
            #expect(sent.status == 0, "\(sent.errors)")
            // Before it has come into the name it is not in it either.
            try await eventually("s03 is seen through", within: .seconds(100)) {
                farm.control?.log.contains("s03 is a black hole") == true
            }
            try await eventually("s03 has left the name") {
                let members = try await farm.members("smtp-out")
                return !members.isEmpty && !members.contains(farm.address(3))
            }
            try await eventually("the others are there") {
                try await farm.members("smtp-out").count == 3
            }
            // Its agent is content: history must not say that it was not ready.
            let reason = "a black hole: it does nothing while most of its peers work"
            let history = try await farm.smurf("history").output
            #expect(
                history.split(separator: "\n").contains {
                    $0.contains("s03") && $0.contains("serving smtp-out") && $0.hasSuffix(reason)
                }, "\(history)")
            let explained = try await farm.smurf("explain", "s03").output
            #expect(explained.contains(reason), "\(explained)")
            let before = try await farm.settled("slow")
            try await eventually("the others go on") { try await farm.settled("slow") > before }
            try await replays(farm)
            try await farm.stop()
            await hole.stop()
        }
    }
}
