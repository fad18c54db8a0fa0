import Farm
import Foundation
import Logging
import RoleSchedulerCore
import TestSupport
import Testing

@testable import RoleScheduler

/// Numbers that are read from a Prometheus server or a program: what counts, what does not, and what a farm
/// does when they stop.
@Suite struct SignalTests {
    private static func reply(_ body: String, _ status: String = "200 OK") -> Data {
        Data("HTTP/1.0 \(status)\r\nContent-Type: application/json\r\n\r\n\(body)".utf8)
    }

    @Test(arguments: [
        (
            #"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1.5,"42.5"]}]}}"#,
            SignalReading.value(42.5, age: 0)
        ),
        (
            #"{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}"#,
            .value(7, age: 0)
        ),
        (
            #"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
            .trouble("the query gives no data")
        ),
        (
            #"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]},{"metric":{},"value":[1,"2"]}]}}"#,
            .trouble("the query gives 2 series: sum() or max() them")
        ),
        (
            #"{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}"#,
            .trouble("'NaN' is no number from 0")
        ),
        (
            #"{"status":"success","data":{"resultType":"scalar","result":[1,"-3"]}}"#,
            .trouble("'-3' is no number from 0")
        ),
        (
            #"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
            .trouble("the server refused: parse error")
        ),
        ("<html>", .trouble("the server said 'HTTP/1.0 200 OK'")),
        ("", .trouble("the server said 'HTTP/1.0 200 OK'")),
    ])
    func repliesOfPrometheus(_ body: String, _ reading: SignalReading) {
        #expect(PrometheusQuery.reading(of: SignalTests.reply(body)) == reading)
    }

    @Test func hostileRepliesNeverTrap() {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("prometheus"))
        let good = Array(
            SignalTests.reply(
                #"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1.5,"42.5"]}]}}"#
            ))
        for _ in 0..<2_000 {
            var octets = good
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                octets[Int.random(in: 0..<octets.count, using: &random)] =
                    UInt8.random(in: 0...255, using: &random)
            }
            octets.removeLast(Int.random(in: 0...octets.count / 2, using: &random))
            _ = PrometheusQuery.reading(of: Data(octets))
            _ = CommandOutput.reading(of: Data(octets))
        }
    }

    @Test(arguments: [
        ("12.5\n", SignalReading.value(12.5, age: 0)), ("a line\n\n3 30s\n\n", .value(3, age: 30)),
        ("", .trouble("it printed nothing")), ("many\n", .trouble("'many' is no number from 0")),
        ("1 2 3", .trouble("its last line is not 'NUMBER' or 'NUMBER AGE'")),
        ("1 2", .trouble("'2' is no age; print 30s")),
        ("inf", .trouble("'inf' is no number from 0")),
    ])
    func outputOfPrograms(_ text: String, _ reading: SignalReading) {
        #expect(CommandOutput.reading(of: Data(text.utf8)) == reading)
    }

    @Test func programsAreRunAndKilled() async throws {
        func read(_ arguments: String..., within limit: Duration = .seconds(30)) async
            -> SignalReading
        {
            await CommandOutput(arguments: arguments, timeout: limit).read()
        }
        #expect(await read("/bin/echo", "4.5", "2m") == .value(4.5, age: 120))
        #expect(await read("/bin/sh", "-c", "exit 3") == .trouble("it ended with status 3"))
        // What it leaves running keeps nobody waiting beyond its time.
        let left = await read("/bin/sh", "-c", "sleep 300 & echo 6", within: .milliseconds(500))
        #expect(left == .trouble("it did not end within 0.5 seconds"))
        let slow = await read("/bin/sleep", "60", within: .milliseconds(200))
        #expect(slow == .trouble("it did not end within 0.2 seconds"))
        guard case .trouble(let why) = await read("/nonexistent/program") else {
            Issue.record("a program that is not there was run")
            return
        }
        #expect(why.hasPrefix("it cannot be run: "), "\(why)")
    }

    /// What a server or a program says of an age is any number from 0; no such number ends the control node.
    @Test func agesBeyondAllBoundsAreOnlyOld() async throws {
        let directory = try TemporaryDirectory()
        let policy = try parsePolicy(
            """
            version: 1
            zone: smurf.example.test
            roles:
              web: {names: {web: A}, min: 1, capacity: 1/s, demand: {arrival: load}}
            signals: {load: {prometheus: "http://127.0.0.1:1", query: a, age: b, every: 1s}}
            """, file: "test.yml"
        ).policy
        let service = try RoleSchedulerService(
            policy: policy, dataDirectory: directory.path, logger: Logger(label: "test"))
        let source = try #require(policy.signals.first)
        for age in [0, 1e9, 1e19, 1e40, 1.7e308] {
            await service.note(.value(3, age: age), of: source)
            let line = await service.board().signals.first { $0.name == "load" }
            #expect(try #require(line).ageSeconds >= min(age, 1e9) - 1, "\(age)")
        }
    }

    /// From a real socket to the farm: the role grows with the number, keeps what it has when the server is gone,
    /// and falls back later. The server is a few lines of Python's own HTTP server.
    @Test(.timeLimit(.minutes(2)))
    func aFarmFollowsPrometheusAndOutlivesIt() async throws {
        let directory = try TemporaryDirectory()
        let port = try Product.freePort()
        let script = """
            import http.server, sys, urllib.parse
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)["query"][0]
                    body = '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"%s"]}]}}'
                    self.send_response(200)
                    self.end_headers()
                    values = {"a + 1": "3", "time() - timestamp(a + 1)": "0"}
                    self.wfile.write((body % values.get(query, "x")).encode())
            http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
            """
        let server = try Daemon(
            "metrics", ["python3", "-c", script, "\(port)"], directory: directory)
        try await server.ready { Reachable.tcp("127.0.0.1", port) }
        let policy = try parsePolicy(
            """
            version: 1
            zone: smurf.example.test
            defaults: {ttl: 1s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 1s}}
            movement: {max_inflight: 4, gap: 0s, min_dwell: 0s, up_window: 0s, down_window: 0s}
            guards: {signal_stale: 1s}
            roles:
              web: {names: {web: A}, min: 1, capacity: 1/s, utilisation: 100%, demand: {arrival: load}}
            members:
              - {id: s01, address: 127.0.1.1, agent: false}
              - {id: s02, address: 127.0.1.2, agent: false}
              - {id: s03, address: 127.0.1.3, agent: false}
              - {id: s04, address: 127.0.1.4, agent: false}
            signals: {load: {prometheus: "http://127.0.0.1:\(port)", query: a + 1, every: 200ms}}
            on_signal_loss: {mode: fallback, fallback: {web: 4}}
            """, file: "test.yml"
        ).policy
        let service = try RoleSchedulerService(
            policy: policy, dataDirectory: directory.path, logger: Logger(label: "test"))
        let reader = Task { await SignalReader(service).run() }
        defer { reader.cancel() }
        func serving(_ count: Int) async throws {
            try await eventually("\(count) members", within: .seconds(50)) {
                if let view = try await service.tick() { await service.didPublish(view) }
                return await service.board().roles.first?.serving.count == count
            }
        }
        try await serving(3)
        #expect(await service.board().notes.isEmpty)
        await server.stop()
        try await serving(4)
        // A reading that was begun before the server's end is waited for before its failure is known.
        try await eventually("the failure on the board", within: .seconds(50)) {
            await service.board().notes.contains { $0.hasPrefix("signal load cannot be read: ") }
        }
        let because = await service.board().roles.first?.because
        #expect(because?.contains("signal missing: fallback") ?? false, "\(because ?? "")")
    }
}
