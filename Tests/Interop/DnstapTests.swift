import Foundation
import TestSupport
import Testing

extension InteropTests {
    /// Sampled queries as a collector of others gets them: `fstrm_capture` takes them, BIND's `dnstap-read` prints them.
    @Suite struct DnstapTests {
        private let directory: TemporaryDirectory
        private var socket: String { directory.file("dnstap.sock") }

        init() throws { directory = try TemporaryDirectory() }

        /// Programs that tests start inherit blocked signals, and this one is to end by one.
        private func capture(to file: String) async throws -> Daemon {
            let unblock =
                "import os,signal,sys; signal.pthread_sigmask(signal.SIG_SETMASK, []); "
                + "os.execvp(sys.argv[1], sys.argv[1:])"
            let daemon = try Daemon(
                "capture",
                [
                    "/usr/bin/python3", "-c", unblock, "fstrm_capture", "-t",
                    "protobuf:dnstap.Dnstap", "-u", socket, "-w", directory.file(file),
                ], directory: directory)
            try await daemon.ready { FileManager.default.fileExists(atPath: socket) }
            return daemon
        }

        /// Kind, transport and question of each message, those of `names` alone.
        private func told(_ file: String, _ names: Set<String>) async throws -> [String] {
            let printed = try await run(["dnstap-read", directory.file(file)])
            #expect(printed.status == 0, "\(printed.errors)")
            return printed.output.split(separator: "\n").compactMap { line in
                let words = line.split(separator: " ").map(String.init)
                guard words.count > 4, let question = words.last,
                    let name = question.split(separator: "/").first, names.contains(String(name))
                else { return nil }
                return "\(words[2]) \(words[words.count - 3]) \(question)"
            }.sorted()
        }

        private func ask(
            _ names: [String], of farm: ControlNodeFixture, _ options: String...
        ) async throws {
            let words = names.flatMap { [$0, "TXT"] }
            let asked = try await run(
                ["dig", "@127.0.0.1", "-p", "\(farm.dnsPort)", "+tries=1"] + options + words)
            #expect(asked.status == 0)
        }

        private func names(_ letter: String, _ count: Int) -> [String] {
            (0..<count).map { "\(letter)\($0).smurf.example.test" }
        }

        private func fates(_ farm: ControlNodeFixture) async throws -> [String: Int] {
            let json = try await farm.smurf("dns", "stats", "--json").output
            let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Int]
            let counters = try #require(object)
            var fates: [String: Int] = [:]
            for fate in ["sent", "lost", "dropped"] {
                fates[fate] = counters["dnstap_total{fate=\"\(fate)\"}"]
            }
            #expect(fates.count == 3)
            return fates
        }

        private func eventually(
            _ what: String, _ isSo: () async throws -> Bool
        ) async throws {
            let end = ContinuousClock.now + .seconds(60)
            while try await !isSo() {
                try #require(ContinuousClock.now < end, "never: \(what)")
                try await Task.sleep(for: .milliseconds(100))
            }
        }

        @Test(.timeLimit(.minutes(4))) func aCollectorIsToldWhatWasAsked() async throws {
            let farm = try ControlNodeFixture()
            let collector = try await capture(to: "first")
            let node = try await farm.start(["--dnstap": socket, "--dnstap-sample": "1/1"])
            let (plain, streamed) = (names("u", 40), names("t", 10))
            try await ask(plain, of: farm)
            try await ask(streamed, of: farm, "+tcp")
            try await eventually("all is sent") { try await fates(farm)["sent"] ?? 0 >= 50 }
            #expect(await node.stop() == 0)
            await collector.stop()
            let wanted =
                plain.map { "AR UDP \($0)/IN/TXT" } + streamed.map { "AR TCP \($0)/IN/TXT" }
            #expect(try await told("first", Set(plain + streamed)) == wanted.sorted())
            // Who asked, where, and what the answer was.
            let whole = try await run(["dnstap-read", "-p", directory.file("first")]).output
            #expect(
                whole.contains("-> 127.0.0.1:\(farm.dnsPort)")
                    || whole.contains("<- 127.0.0.1:\(farm.dnsPort)"))
            #expect(whole.contains("status: NXDOMAIN"))
        }

        @Test(.timeLimit(.minutes(4))) func oneInSoManyIsToldAndNoAnswerWaits() async throws {
            let farm = try ControlNodeFixture()
            let node = try await farm.start([
                "--dnstap": socket, "--dnstap-sample": "1/7", "--workers": "1",
            ])
            // Nobody collects yet.
            let lost = names("l", 70)
            try await ask(lost, of: farm)
            try await eventually("what was kept is lost") {
                try await fates(farm)["lost"] ?? 0 >= 10
            }
            let collector = try await capture(to: "first")
            try await eventually("the collector is found") { node.log.contains("are told to the") }
            let before = try #require(try await fates(farm)["sent"])
            let asked = names("s", 70)
            try await ask(asked, of: farm)
            try await eventually("one in seven is sent") {
                try await fates(farm)["sent"] ?? 0 >= before + 10
            }
            #expect(try await fates(farm)["sent"] == before + 10)
            // It goes, and comes back.
            await collector.stop()
            #expect(try await told("first", Set(asked)).count == 10)
            try FileManager.default.removeItem(atPath: socket)
            try await ask(names("x", 70), of: farm)
            let second = try await capture(to: "second")
            let again = names("a", 70)
            try await eventually("the collector is found again") {
                try await ask(again, of: farm)
                return try await fates(farm)["sent"] ?? 0 > before + 10
            }
            #expect(await node.stop() == 0)
            await second.stop()
            #expect(try await !told("second", Set(again)).isEmpty)
        }

        /// It takes the connection and says nothing.
        @Test(.timeLimit(.minutes(3))) func aDumbCollectorHoldsNothingUp() async throws {
            let farm = try ControlNodeFixture()
            let dumb = try Daemon(
                "dumb",
                [
                    "/usr/bin/python3", "-c",
                    "import socket,sys,time; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(9); time.sleep(600)",
                    socket,
                ], directory: directory)
            try await dumb.ready { FileManager.default.fileExists(atPath: socket) }
            let node = try await farm.start(["--dnstap": socket, "--dnstap-sample": "1/1"])
            for _ in 0..<20 { try await ask(names("d", 40), of: farm) }
            try await eventually("they are lost or dropped") {
                let fates = try await fates(farm)
                return (fates["lost"] ?? 0) + (fates["dropped"] ?? 0) >= 800
            }
            #expect(try await fates(farm)["sent"] == 0)
            #expect(node.log.contains("does not answer as a collector"))
            #expect(await node.stop() == 0)
        }

        @Test func samplesAreWrittenOneIn() async throws {
            let farm = try ControlNodeFixture()
            for sample in ["0", "1/0", "2/3", "1/", "0.1", "1/-5"] {
                let ended = try await run(
                    farm.arguments(["--dnstap": socket, "--dnstap-sample": sample]))
                #expect(ended.status != 0 && ended.errors.contains("dnstap-sample"), "\(sample)")
            }
        }
    }
}
