import Foundation
import TestSupport
import Testing

extension InteropTests {
    /// The smurfs' own MTA is a real Postfix: what it takes and passes on is what the template and the
    /// table ask for, octet by octet after decoding.
    @Suite(
        .serialized,
        .enabled(if: geteuid() == 0 && PostfixServer.isHere, "needs root and Postfix"))
    struct PostfixRelayTests {
        @Test(.timeLimit(.minutes(5)))
        func everyMessageArrivesThroughPostfixAsWritten() async throws {
            let count = 2000
            var settings = FarmFixture.Settings()
            settings.network = 13
            settings.keepsMail = true
            let relayPort = try Product.freePort(on: "127.0.13.100")
            settings.relay = ("127.0.13.100", relayPort)
            let farm = try FarmFixture(settings)
            let postfix = try await PostfixServer(
                .init(
                    name: "relay", listen: ("127.0.13.100", relayPort),
                    relayHost: "[127.0.0.1]:\(farm.sinkPort)", bindAddress: "127.0.13.100",
                    nameServer: nil,
                    further: [
                        "default_destination_concurrency_limit = 20",
                        "initial_destination_concurrency = 10", "in_flow_delay = 0",
                    ]))
            try await farm.start()
            let template = Product.root + "/Tests/Interop/letter.eml"
            let table = try farm.directory.write("readers.csv", RecipientRows.csv(count))
            let sent = try await farm.smurf("send", template, table, "--name", "letter")
            #expect(sent.status == 0, "\(sent.errors)")

            let state = try #require(try await farm.mailing("letter"))
            #expect(state.total == count)
            #expect(state.settled == count, "\(state.counts)")
            try await eventually("Postfix has passed everything on", within: .seconds(120)) {
                try await postfix.queue().isEmpty
            }
            await postfix.stop()
            let report = try await farm.stop()
            #expect(report.accepted == count)
            let comparison = try await Comparison.make(
                template: template, table: table, mail: farm.mailDirectory)
            #expect(comparison.wrong == [])
            #expect(comparison.missing == [])
            #expect(comparison.twice == [])
            #expect(comparison.distinct == count)
        }
    }
}
