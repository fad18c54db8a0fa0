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
                {"ms":-9223372036854775808,"counts":{"rows":-9223372036854775808,"settled":0,"bounces":0,"unsubscribes":0}}
                {"ms":2000,"counts":{"rows":9223372036854775807,"settled":-1,"bounces":0,"unsubscribes":0}}
                {"ms":9223372036854775807,"counts":{"rows":9223372036854775807,"settled":9223372036854775807,"bounces":9,"unsubscribes":0}}

                """)
            for words in [["--all"], []] {
                let exported = try await run(
                    [Product.smurf, "trace", "export", "--data", directory.path] + words)
                #expect(exported.status == 0, "\(words) \(exported.errors)")
                #expect(exported.errors.contains("1 lines could not be read"))
                let said = try TraceTests.sums(exported.output)
                #expect(said["bounces.arrival", default: 0] == 0, "\(exported.output)")
            }
        }

        /// What the lines of a trace add up to, by the name of the number: each holds until the next of its name.
        private static func sums(_ text: String) throws -> [String: Double] {
            struct Line: Decodable {
                let at: Double
                let signal: String?
                let value: Double?
            }
            let lines = try text.split(separator: "\n").map {
                try JSONDecoder().decode(Line.self, from: Data($0.utf8))
            }
            var sums: [String: Double] = [:]
            var last: [String: Line] = [:]
            for line in lines.sorted(by: { $0.at < $1.at }) {
                guard let name = line.signal else { continue }
                if let before = last[name] {
                    sums[name, default: 0] += (before.value ?? 0) * (line.at - before.at)
                }
                last[name] = line
            }
            return sums
        }

        private func nearly(_ sum: Double?, _ whole: Int) -> Bool {
            sum.map { abs($0 - Double(whole)) < 1e-6 } ?? false
        }

        /// The differences of the counts are spread over seconds and add up to the counts; what an older smurf recorded
        /// before there were any stays as it was.
        @Test func countsAddUpToWhatWasCounted() async throws {
            func counts(_ ms: Int, _ rows: Int, _ settled: Int, _ bounces: Int, _ clicks: Int)
                -> String
            {
                "{\"ms\":\(ms),\"counts\":{\"rows\":\(rows),\"settled\":\(settled),"
                    + "\"bounces\":\(bounces),\"unsubscribes\":\(clicks)}}\n"
            }
            let directory = try TemporaryDirectory()
            try directory.write(
                "trace.jsonl",
                "{\"ms\":100000,\"signal\":\"outbound.backlog\",\"value\":70}\n"
                    + "{\"ms\":100000,\"signal\":\"bounces.arrival\",\"value\":3}\n"
                    + "{\"ms\":110000,\"signal\":\"outbound.backlog\",\"value\":0}\n"
                    + "{\"ms\":110000,\"signal\":\"bounces.arrival\",\"value\":0}\n"
                    + counts(200_000, 70, 70, 30, 0)
                    // A mailing that is over within one look, after a long rest; one whose ledger is another; its
                    // bounces, at odd moments.
                    + counts(300_250, 170, 170, 30, 0) + counts(400_000, 5, 5, 2, 0)
                    + counts(431_500, 505, 505, 9, 1)
                    + "{\"ms\":432000,\"signal\":\"bounces.arrival\",\"value\":4}\n"
                    + counts(432_700, 505, 505, 52, 1) + counts(440_001, 505, 505, 53, 3))
            func export(_ words: String...) async throws -> Finished {
                try await run([Product.smurf, "trace", "export", "--data", directory.path] + words)
            }
            let last = try await export()
            #expect(last.status == 0 && last.errors.contains("--recipients 500 "), "\(last.errors)")
            var sums = try TraceTests.sums(last.output)
            for (name, whole) in [
                ("outbound.arrival", 500), ("outbound.sent", 500), ("bounces.arrival", 51),
                ("unsubscribes.arrival", 3),
            ] { #expect(nearly(sums[name], whole), "\(name): \(sums)") }
            let all = try await export("--all")
            #expect(all.errors.contains("--recipients 670 "), "\(all.errors)")
            sums = try TraceTests.sums(all.output)
            #expect(nearly(sums["outbound.arrival"], 600), "\(sums)")
            #expect(nearly(sums["bounces.arrival"], 30 + 51), "\(sums)")
        }

        /// It was seen from the first look at it on: what was settled by then was missing from the trace.
        @Test(.timeLimit(.minutes(4)))
        func aMailingShorterThanALookIsWhollyInTheTrace() async throws {
            var settings = FarmFixture.Settings()
            settings.network = 27
            settings.bounces = "10%"
            let farm = try FarmFixture(settings)
            try await farm.start()
            let moved = try await farm.smurf(
                "move", "s02", "smtp-in", "--for", "10m", "--reason", "takes bounces")
            #expect(moved.status == 0, "\(moved.errors)")
            try await eventually("it takes bounces") {
                try await farm.members("smtp-in") == [farm.address(2)]
            }
            let template = Product.root + "/Tests/Interop/letter.eml"
            let table = try farm.directory.write("readers.csv", RecipientRows.csv(500))
            let sent = try await farm.smurf("send", template, table, "--name", "short", "--no-wait")
            #expect(sent.status == 0, "\(sent.errors)")
            try await eventually("all are sent and bounces are back", within: .seconds(90)) {
                let state = try await farm.mailing("short")
                return state?.state == "finished" && state?.bounced ?? 0 >= 20
            }
            // It ends when it has returned whatever is due.
            await farm.sink?.stop()
            let bounced = try #require(try await farm.mailing("short")).bounced
            var sums: [String: Double] = [:]
            try await eventually("all of it is in the trace", within: .seconds(30)) {
                let exported = try await run(
                    [Product.smurf, "trace", "export", "--data", farm.directory.file("data")])
                sums = try TraceTests.sums(exported.output)
                return exported.errors.contains("--recipients 500 ")
                    && nearly(sums["bounces.arrival"], bounced)
            }
            #expect(nearly(sums["outbound.arrival"], 500), "\(sums)")
            #expect(nearly(sums["outbound.sent"], 500), "\(sums)")
            #expect(nearly(sums["unsubscribes.arrival", default: 0], 0), "\(sums)")
            try await farm.stop()
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
                // On a busy machine it may have been missed for a moment before.
                let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
                let last = lines.last { $0.contains("\"down\":2") || $0.contains("\"up\":2") }
                return last?.contains("\"down\":2") == true
            }
            let text = try String(contentsOfFile: file, encoding: .utf8)
            #expect(text.contains("\"signal\":\"bounces.arrival\""), "\(text)")
            #expect(said.contains("--smurfs 2"), "\(said)")
            let words = said.split(whereSeparator: \.isWhitespace).map(String.init)
            let place = try #require(words.firstIndex(of: "--recipients"))
            let rows = try #require(Int(words[place + 1]))
            #expect(rows == 4000)
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
