import Foundation
import TestSupport
import Testing

extension ControlInteropTests {
    /// The disks of the control node and of an agent fill up in the middle of a mailing. Nothing may be lost,
    /// nothing sent twice that is not announced, DNS goes on, and all goes on by itself when there is room.
    @Suite(.serialized, .enabled(if: SmallDisk.isPossible, "mounting needs root"))
    struct FullDiskTests {
        static let count = 2000

        @Test(.timeLimit(.minutes(4)))
        func aMailingOutlivesAFullDisk() async throws {
            var settings = FarmFixture.Settings()
            settings.network = 19
            settings.delay = 20
            settings.keepsMail = true
            let farm = try FarmFixture(settings)
            let disk = try await SmallDisk(kibibytes: 12 << 10, at: farm.directory.file("data"))
            try await farm.start()
            let template = Product.root + "/Tests/Interop/letter.eml"
            let table = try farm.directory.write(
                "readers.csv", RecipientRows.csv(FullDiskTests.count))
            let sent = try await farm.smurf("send", template, table, "--name", "full", "--no-wait")
            #expect(sent.status == 0, "\(sent.errors)")
            try await eventually("the mailing is under way", within: .seconds(60)) {
                try await farm.mailing("full")?.settled ?? 0 > 200
            }
            try disk.fill()
            // Not even what is half way fits any more.
            let late = try await farm.smurf("send", template, table, "--name", "late", "--no-wait")
            #expect(late.status != 0)
            #expect(late.errors.split(separator: "\n").count <= 3, "\(late.errors)")
            try await Task.sleep(for: .seconds(5))
            #expect(farm.control?.isRunning == true, "\(farm.control?.log.suffix(2000) ?? "")")
            #expect(try await farm.serial() != nil)
            #expect(try await farm.mailing("full")?.state == "sending")
            try disk.relieve()
            try await eventually("the mailing has finished", within: .seconds(90)) {
                try await farm.mailing("full")?.state == "finished"
            }
            let state = try #require(try await farm.mailing("full"))
            #expect(state.settled == FullDiskTests.count, "\(state.counts)")
            #expect(try await farm.mailing("late") == nil)
            let doubtful = try await farm.recipients("full", state: "doubtful")
            try await farm.stop()
            let comparison = try await Comparison.make(
                template: template, table: table, mail: farm.mailDirectory)
            #expect(comparison.missing.isEmpty)
            #expect(Set(comparison.twice).isSubset(of: doubtful))
        }
    }
}
