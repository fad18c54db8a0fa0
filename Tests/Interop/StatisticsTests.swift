import Foundation
import TestSupport
import Testing

/// What a running name server tells of itself: to Prometheus and on the command line.
@Suite struct StatisticsTests {
    @Test(.timeLimit(.minutes(2))) func queriesAreCountedForPrometheusAndPeople() async throws {
        let farm = try ControlNodeFixture()
        let port = try Product.freePort()
        let node = try await farm.start(["--metrics": "127.0.0.1:\(port)"])
        defer { node.signal(SIGKILL) }
        for _ in 1...7 {
            _ = try await Dig.short(
                "nx.smurf.example.test", "TXT", at: "127.0.0.1", port: farm.dnsPort)
        }
        let url = try #require(URL(string: "http://127.0.0.1:\(port)/metrics"))
        let scraped = try await run([
            "/usr/bin/python3", "-c",
            "import sys,urllib.request as u; r=u.urlopen(sys.argv[1]); print(r.headers['content-type']); print(r.read().decode())",
            url.absoluteString,
        ])
        #expect(scraped.status == 0, "\(scraped.errors)")
        let lines = scraped.output.split(separator: "\n").map(String.init)
        #expect(lines.first == "text/plain; version=0.0.4; charset=utf-8")
        // Others asked for names that were not there yet while the node started.
        let absent = lines.first { $0.hasPrefix("smurf_dns_replies_total{rcode=\"NXDOMAIN\"} ") }
        #expect(absent?.split(separator: " ").last.flatMap { Int($0) } ?? 0 >= 7)
        #expect(lines.contains("smurf_dns_replies_by_type_total{type=\"TXT\"} 7"))
        // Every sample has its type above it, once.
        let named = lines.filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ")[2] }
        #expect(Set(named).count == named.count)
        for line in lines where line.hasPrefix("smurf_") {
            #expect(named.contains(line.prefix { $0 != "{" && $0 != " " }), "\(line)")
        }
        let stats = try await farm.smurf("dns", "stats")
        #expect(stats.output.contains("replies_total{rcode=\"NXDOMAIN\"}"))
        let json = try await farm.smurf("dns", "stats", "--json")
        let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
        let counters = try #require(object as? [String: Int])
        #expect(counters["replies_by_type_total{type=\"TXT\"}"] == 7)
        #expect(counters["serial"].map(UInt32.init) == (try await farm.serial()))
        #expect(await node.stop() == 0)
    }
}
