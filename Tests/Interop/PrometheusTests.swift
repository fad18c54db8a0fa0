import Farm
import Foundation
import Logging
import RoleSchedulerCore
import TestSupport
import Testing

@testable import RoleScheduler

extension InteropTests {
    /// A real Prometheus server, which repeats what it was told last for five minutes as if it were new.
    @Suite(.serialized)
    struct PrometheusTests {
        /// What is scraped: one number without a time, and one that says it was measured long ago.
        private static let exporter = """
            import http.server, sys, time
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(200)
                    self.send_header("Content-Type", "text/plain; version=0.0.4")
                    self.end_headers()
                    old = int((time.time() - 100) * 1000)
                    self.wfile.write(("new_queue 4\\nold_queue 3 %d\\n" % old).encode())
                def log_message(self, *arguments): pass
            http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
            """

        private struct Servers {
            var port: UInt16
            var daemons: [Daemon]
        }

        private func start(_ directory: TemporaryDirectory) async throws -> Servers {
            let (scraped, port) = (try Product.freePort(), try Product.freePort())
            let exporter = try Daemon(
                "exporter", ["python3", "-c", PrometheusTests.exporter, "\(scraped)"],
                directory: directory)
            try await exporter.ready { Reachable.tcp("127.0.0.1", scraped) }
            let file = try directory.write(
                "prometheus.yml",
                """
                global: {scrape_interval: 1s}
                scrape_configs:
                  - job_name: test
                    static_configs: [{targets: ["127.0.0.1:\(scraped)"]}]

                """)
            let server = try Daemon(
                "prometheus",
                [
                    "prometheus", "--config.file=\(file)",
                    "--storage.tsdb.path=\(directory.file("tsdb"))",
                    "--web.listen-address=127.0.0.1:\(port)",
                ], directory: directory)
            try await server.ready { Reachable.tcp("127.0.0.1", port) }
            return Servers(port: port, daemons: [server, exporter])
        }

        private func read(_ port: UInt16, _ query: String, age: String? = nil) async throws
            -> SignalReading
        {
            let asked = try #require(
                PrometheusQuery(server: "http://127.0.0.1:\(port)", query: query, age: age))
            return await asked.read()
        }

        @Test(.timeLimit(.minutes(2))) func aSampleIsAsOldAsItIs() async throws {
            let directory = try TemporaryDirectory()
            let servers = try await start(directory)
            let port = servers.port
            try await eventually("it was scraped", within: .seconds(60)) {
                if case .value = try await read(port, "new_queue") { return true }
                return false
            }
            func age(_ query: String, _ expression: String? = nil) async throws -> Double {
                guard case .value(_, let age) = try await read(port, query, age: expression) else {
                    throw Failure("\(try await read(port, query, age: expression))")
                }
                return age
            }
            #expect(try await age("new_queue") < 30)
            #expect((95...160).contains(try await age("old_queue")))
            #expect((95...160).contains(try await age("old_queue{job=\"test\"}")))
            // What is computed is as old as the question, unless the policy says what it is made of.
            #expect(try await age("sum(old_queue)") == 0)
            #expect(try await age("scalar(old_queue)") == 0)
            let told = try await age("sum(old_queue)", "time() - min(timestamp(old_queue))")
            #expect((95...160).contains(told))
            guard case .trouble(let why) = try await read(port, "sum(old_queue)", age: "nothing")
            else {
                Issue.record("an age that cannot be known was taken")
                return
            }
            #expect(why.hasPrefix("its age: the query gives no data"), "\(why)")
            try await followed(servers, directory)
            for daemon in servers.daemons { await daemon.stop() }
        }

        /// The old number is missing: the role holds, and falls back after a while.
        private func followed(
            _ servers: Servers, _ directory: TemporaryDirectory
        ) async throws {
            let policy = try parsePolicy(
                """
                version: 1
                zone: smurf.example.test
                defaults: {ttl: 1s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 1s}}
                movement: {max_inflight: 4, gap: 0s, min_dwell: 0s, up_window: 0s, down_window: 0s}
                guards: {signal_stale: 40s}
                roles:
                  web: {min: 1, capacity: 1/s, utilisation: 100%, demand: {arrival: new}}
                  bulk: {min: 1, capacity: 1/s, utilisation: 100%, demand: {arrival: old}}
                members:
                  - {id: s01, address: 127.0.1.1, agent: false}
                  - {id: s02, address: 127.0.1.2, agent: false}
                  - {id: s03, address: 127.0.1.3, agent: false}
                  - {id: s04, address: 127.0.1.4, agent: false}
                  - {id: s05, address: 127.0.1.5, agent: false}
                  - {id: s06, address: 127.0.1.6, agent: false}
                signals:
                  new: {prometheus: "http://127.0.0.1:\(servers.port)", query: new_queue, every: 200ms}
                  old: {prometheus: "http://127.0.0.1:\(servers.port)", query: old_queue, every: 200ms}
                on_signal_loss: {mode: fallback, after: 5s, fallback: {bulk: 2}}
                """, file: "test.yml"
            ).policy
            let service = try RoleSchedulerService(
                policy: policy, dataDirectory: directory.path, logger: Logger(label: "test"))
            let reader = Task { await SignalReader(service).run() }
            defer { reader.cancel() }
            var held = 0
            try await eventually("fallback", within: .seconds(60)) {
                if let view = try await service.tick() { await service.didPublish(view) }
                let roles = await service.board().roles
                let bulk = roles.first { $0.rule.role.name == "bulk" }
                if bulk?.target == 1, bulk?.because.contains("signal missing: keeps") ?? false {
                    held += 1
                }
                return bulk?.serving.count == 2
                    && roles.first { $0.rule.role.name == "web" }?.serving.count == 4
            }
            #expect(held > 0, "it held before it fell back")
            #expect(await service.board().notes.isEmpty)
        }
    }
}
