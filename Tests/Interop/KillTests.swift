import Foundation
import TestSupport
import Testing

extension InteropTests {
    /// Machines die without a word in the middle of a mailing. Nobody is left out, and who may have got
    /// two copies is known by name.
    @Suite(.serialized)
    struct KillTests {
        static let count = 3000

        @Test(.timeLimit(.minutes(5)))
        func nobodyIsLostWhenAnAgentAndTheControlNodeAreKilled() async throws {
            var settings = FarmFixture.Settings()
            settings.network = 14
            settings.delay = 20
            settings.keepsMail = true
            let farm = try FarmFixture(settings)
            try await farm.start()
            let template = Product.root + "/Tests/Interop/letter.eml"
            let table = try farm.directory.write(
                "readers.csv", RecipientRows.csv(KillTests.count))
            let sent = try await farm.smurf("send", template, table, "--name", "kill", "--no-wait")
            #expect(sent.status == 0, "\(sent.errors)")

            try await reached(500, farm)
            farm.agents[1].signal(SIGKILL)
            _ = await farm.agents[1].finished()
            let atKill = try #require(try await farm.mailing("kill"))
            #expect(atKill.settled > 0 && atKill.settled < KillTests.count, "mid-mailing")
            try await eventually("DNS has dropped the dead agent", within: .seconds(30)) {
                try await farm.members("smtp-out") == [farm.address(1)]
            }

            try await reached(1200, farm)
            let serial = try #require(try await farm.serial())
            let control = try #require(farm.control)
            control.signal(SIGKILL)
            _ = await control.finished()
            try await farm.startControl()
            let restarted = try #require(try await farm.mailing("kill"))
            #expect(restarted.settled < KillTests.count, "mid-mailing")
            #expect(try #require(try await farm.serial()) >= serial, "the serial went back")
            try farm.startAgent(2)

            try await eventually("the mailing has finished", within: .seconds(120)) {
                try await farm.mailing("kill")?.state == "finished"
            }
            let state = try #require(try await farm.mailing("kill"))
            #expect(state.sum == KillTests.count, "\(state.counts)")
            #expect(state.settled == KillTests.count, "\(state.counts)")
            let doubtful = try await farm.recipients("kill", state: "doubtful")
            #expect(try #require(try await farm.serial()) >= serial, "the serial went back")
            try await farm.stop()

            let comparison = try await Comparison.make(
                template: template, table: table, mail: farm.mailDirectory)
            print(
                "killed at \(atKill.settled) and \(restarted.settled) of \(KillTests.count): missing "
                    + "\(comparison.missing.count), twice \(comparison.twice.count), "
                    + "announced \(doubtful.count)")
            #expect(comparison.missing == [])
            #expect(comparison.wrong == [])
            #expect(Set(comparison.twice).subtracting(doubtful) == [], "duplicates not announced")
        }

        private func reached(_ count: Int, _ farm: FarmFixture) async throws {
            try await eventually("\(count) messages accepted", within: .seconds(90)) {
                (try await farm.mailing("kill")?.settled ?? 0) >= count
            }
        }
    }
}
