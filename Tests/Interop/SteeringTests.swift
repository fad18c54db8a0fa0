import Foundation
import TestSupport
import Testing

extension InteropTests {
    /// The operator's brakes on a mailing that runs, and what bad mailings get.
    @Suite(.serialized)
    struct SteeringTests {
        /// A farm with a mailing "slow" on its way, which takes long enough to be interfered with.
        private func sending(
            _ count: Int, network: Int, outbound: String = ""
        ) async throws -> (farm: FarmFixture, template: String, table: String) {
            var settings = FarmFixture.Settings()
            settings.network = network
            settings.delay = 40
            settings.outbound = outbound
            // Nobody is given up for lost here, however busy the machine is.
            settings.lease = "60s"
            let farm = try FarmFixture(settings)
            try await farm.start()
            if !outbound.isEmpty {
                // The core asks as seldom as the TTL lets it: anew, so that it knows every member.
                await farm.control?.stop()
                try await farm.startControl()
            }
            let template = Product.root + "/Tests/Interop/letter.eml"
            let table = try farm.directory.write("readers.csv", RecipientRows.csv(count))
            let sent = try await farm.smurf("send", template, table, "--name", "slow", "--no-wait")
            #expect(sent.status == 0, "\(sent.errors)")
            return (farm, template, table)
        }

        @Test(.timeLimit(.minutes(4)))
        func aMailingIsPausedResumedAndCancelled() async throws {
            let count = 3000
            let (farm, template, table) = try await sending(count, network: 16)
            let again = try await farm.smurf("send", template, table, "--name", "slow", "--no-wait")
            #expect(again.status == 2 && again.errors.contains("exists already"), "\(again.errors)")
            try await eventually("some are sent") { try await farm.settled("slow") > 100 }

            #expect(try await farm.smurf("mailing", "pause", "slow").output == "slow: paused\n")
            // What smurfs hold goes on; then nothing moves.
            try await eventually("smurfs hold nothing") {
                try await farm.mailing("slow")?.counts["leased"] == nil
            }
            let paused = try #require(try await farm.mailing("slow"))
            try await Task.sleep(for: .seconds(2))
            #expect(try await farm.mailing("slow")?.counts == paused.counts)
            #expect(paused.settled < count && paused.sum == count)

            #expect(try await farm.smurf("mailing", "resume", "slow").output == "slow: sending\n")
            try await eventually("it goes on") { try await farm.settled("slow") > paused.settled }
            #expect(
                try await farm.smurf("mailing", "cancel", "slow").output == "slow: cancelled\n")
            try await eventually("smurfs hold nothing") {
                try await farm.mailing("slow")?.counts["leased"] == nil
            }
            let end = try #require(try await farm.mailing("slow"))
            #expect(end.sum == count && end.settled + (end.counts["cancelled"] ?? 0) == count)
            let refused = try await farm.smurf("mailing", "resume", "slow")
            #expect(refused.status == 2, "\(refused.errors)")
            let unknown = try await farm.smurf("mailing", "show", "nobody")
            #expect(unknown.status == 2 && unknown.errors.contains("no mailing"))
            #expect(try await farm.stop().accepted == end.settled)
        }

        /// A smurf that is on its way out when the control node restarts is no longer in the name, and holds rows
        /// all the same: their outcomes are fetched, not waited for in vain. When it takes long, the drain's deadline is
        /// over by then, and the smurf's role ends in the moment when it hears of the new node.
        /// - Parameter away: seconds; the deadline is five.
        @Test(.timeLimit(.minutes(4)), arguments: [0, 8])
        func aRestartFindsWhoIsBeingDrained(away: Int) async throws {
            let count = 3000
            let (farm, _, _) = try await sending(count, network: 22)
            try await eventually("some are sent") { try await farm.settled("slow") > 100 }
            let held = try await farm.smurf("hold", "s02", "--for", "5m", "--reason", "test")
            #expect(held.status == 0, "\(held.errors)")
            try await eventually("it has left the name") {
                try await farm.members("smtp-out") == [farm.address(1)]
            }
            await farm.control?.stop()
            try await Task.sleep(for: .seconds(away))
            try await farm.startControl()
            try await eventually("the mailing has finished", within: .seconds(90)) {
                try await farm.mailing("slow")?.state == "finished"
            }
            let end = try #require(try await farm.mailing("slow"))
            #expect(end.settled == count && end.doubtful == 0, "\(end)")
            let report = try await farm.stop()
            #expect(report.accepted == count)
        }

        /// The TTL is five minutes, but only the core asks for the name: a smurf that leaves it is free as soon as the
        /// core has let it go, which takes the rows that it holds, and nothing is lost.
        @Test(.timeLimit(.minutes(4)))
        func whoLeavesIsFreeWhenTheCoreHasLetItGo() async throws {
            let count = 3000
            let (farm, _, _) = try await sending(
                count, network: 23,
                outbound: "ttl: 5m\n    drain: {wait: cores-acked, deadline: 10m}")
            try await eventually("both send") {
                let roles = try await farm.smurf("roles", "--json").output
                return try await farm.settled("slow") > 100 && roles.contains("s02")
            }
            let asked = ContinuousClock.now
            let held = try await farm.smurf("hold", "s02", "--for", "30m", "--reason", "test")
            #expect(held.status == 0, "\(held.errors)")
            // Far less than TTL × 1; the rows that it holds take a few seconds.
            try await eventually("it is free", within: .seconds(100)) {
                try await farm.smurf("explain", "s02").output.hasPrefix("s02   held")
            }
            print("free after \(ContinuousClock.now - asked) with a TTL of 300 s")
            let state = try #require(try await farm.mailing("slow"))
            #expect(state.settled < count, "it left while the mailing ran")
            try await eventually("the mailing has finished", within: .seconds(90)) {
                try await farm.mailing("slow")?.state == "finished"
            }
            let end = try #require(try await farm.mailing("slow"))
            #expect(end.settled == count && end.doubtful == 0, "\(end)")
            let report = try await farm.stop()
            #expect(report.accepted == count)
        }

        @Test(.timeLimit(.minutes(2)))
        func badMailingsSendNothing() async throws {
            var settings = FarmFixture.Settings()
            settings.network = 17
            settings.agents = 1
            let farm = try FarmFixture(settings)
            try await farm.start()
            let template = Product.root + "/Tests/Interop/letter.eml"
            let good = RecipientRows.csv(3)
            let bad = try farm.directory.write(
                "bad.csv", good + "\"x\r\ny@inbox.example.net\",a,b,1,2,3\r\na@b@c,a,b,1,2,3\r\n")
            let refused = try await farm.smurf("send", template, bad, "--name", "bad")
            #expect(refused.status == 2, "\(refused.errors)")
            #expect(refused.errors.contains("bad.csv:"), "\(refused.errors)")
            #expect(refused.errors.contains("nothing was sent"))
            #expect(try await farm.mailing("bad") == nil)
            let skipped = try await farm.smurf(
                "send", template, bad, "--name", "bad", "--skip-bad")
            #expect(skipped.status == 0, "\(skipped.errors)")
            #expect(try await farm.settled("bad") == 3)
            let broken = try farm.directory.write(
                "broken.eml", "From: a@example.net\nSubject: {{nobody}}\n\nx\n")
            let table = try farm.directory.write("good.csv", good)
            let fault = try await farm.smurf("send", broken, table, "--name", "broken")
            #expect(fault.status == 2 && fault.errors.contains("broken.eml:2:"), "\(fault.errors)")
            #expect(try await farm.stop().accepted == 3)
        }
    }
}

extension FarmFixture {
    /// Recipients of a mailing that are accepted; 0 while the control node does not answer.
    func settled(_ name: String) async throws -> Int { try await mailing(name)?.settled ?? 0 }
}
