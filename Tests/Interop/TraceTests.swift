import Foundation
import TestSupport
import Testing

extension InteropTests {
    @Suite(.serialized)
    struct TraceTests {
        /// A damaged file may hold any numbers: they are left out, and end nothing.
        @Test func momentsBeyondAllBoundsAreLeftOut() async throws {
            let directory = try TemporaryDirectory()
            try directory.write(
                "trace.jsonl",
                """
                {"ms":-9223372036854775808,"signal":"outbound.backlog","value":1}
                {"ms":1000,"signal":"outbound.backlog","value":1e308}
                {"ms":9223372036854775807,"signal":"bounces.arrival","value":2}
                {"ms":9223372036854775807,"down":"s1"}
                {"ms":12345678901234567890,"up":"s1"}

                """)
            for words in [["--all"], []] {
                let exported = try await run(
                    [Product.smurf, "trace", "export", "--data", directory.path] + words)
                #expect(exported.status == 0, "\(words) \(exported.errors)")
                #expect(exported.errors.contains("1 lines could not be read"))
                #expect(!exported.output.contains("bounces"), "\(exported.output)")
            }
        }

        /// A farm sends a mailing and loses a machine; what it recorded is lived through by its policy again.
        @Test(.timeLimit(.minutes(4)))
        func aRealRunIsSimulatedAgain() async throws {
            var settings = FarmFixture.Settings()
            settings.network = 25
            let farm = try FarmFixture(settings)
            try await farm.start()
            let early = try await run(
                [Product.smurf, "trace", "export", "--data", farm.directory.path])
            #expect(early.status == 2 && early.errors.contains("no trace.jsonl"), "\(early.errors)")
            let template = Product.root + "/Tests/Interop/letter.eml"
            let table = try farm.directory.write("readers.csv", RecipientRows.csv(4000))
            let sent = try await farm.smurf("send", template, table, "--name", "real", "--no-wait")
            #expect(sent.status == 0, "\(sent.errors)")
            try await eventually("all are sent", within: .seconds(90)) {
                try await farm.settled("real") == 4000
            }
            await farm.agents[1].stop()
            let file = farm.directory.file("run.jsonl")
            var said = ""
            try await eventually("the loss is recorded", within: .seconds(60)) {
                let exported = try await run(
                    [
                        Product.smurf, "trace", "export", "--data", farm.directory.file("data"),
                        "--to", file,
                    ])
                said = exported.errors
                guard exported.status == 0 else { return false }
                return try String(contentsOfFile: file, encoding: .utf8).contains("\"down\":2")
            }
            let text = try String(contentsOfFile: file, encoding: .utf8)
            #expect(text.contains("\"signal\":\"bounces.arrival\""), "\(text)")
            #expect(said.contains("--smurfs 2"), "\(said)")
            let words = said.split(whereSeparator: \.isWhitespace).map(String.init)
            let place = try #require(words.firstIndex(of: "--recipients"))
            let rows = try #require(Int(words[place + 1]))
            // Rows that were sent between two looks at the backlog are not seen.
            #expect((1...4000).contains(rows))
            let again = try await run(
                [
                    Product.smurf, "policy", "simulate", farm.directory.file("policy.yml"),
                    "--trace", file, "--recipients", "4000", "--smurfs", "2", "--json",
                ])
            #expect(again.status == 0, "\(again.errors)")
            let outcomes = try JSONSerialization.jsonObject(with: Data(again.output.utf8))
            let outcome = try #require((outcomes as? [[String: Any]])?.first)
            #expect(outcome["completion"] is Int, "\(again.output.prefix(500))")
            let minutes = try #require(outcome["minutes"] as? [[String: Any]])
            #expect(minutes.contains { $0["down"] as? Int == 1 }, "the loss was lived through")
            try await farm.stop()
        }
    }
}
