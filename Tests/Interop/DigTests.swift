import Foundation
import TestSupport
import Testing

/// What BIND's `dig` makes of our answers, over both address families and transports.
@Suite(.serialized) struct DigTests {
    private static var hasIPv6: Bool {
        FileManager.default.fileExists(atPath: "/proc/sys/net/ipv6/conf/lo")
            && (try? String(
                contentsOfFile: "/proc/sys/net/ipv6/conf/lo/disable_ipv6", encoding: .utf8))
                == "0\n"
    }

    /// The question and its options, and what the printed reply must contain.
    private static let questions: [([String], String)] = [
        (["web", "A"], "ANSWER: 2"),
        (["web", "AAAA"], "ANSWER: 0, AUTHORITY: 1"),
        (["WeB", "A", "+tcp"], "WeB.smurf.example.test."),
        (["nothing", "A"], "status: NXDOMAIN"),
        (["s01", "A"], "127.0.1.1"),
        (["web", "ANY"], "127.0.1."),
        (["web", "TYPE1000"], "status: NOERROR"),
        (["web", "A", "+edns=1", "+noednsneg"], "status: BADVERS"),
        (["web", "A", "+ednsopt=100", "+ednsflags=0x80"], "EDNS: version: 0"),
        (["web", "A", "+noedns"], "ANSWER: 2"),
        (["web", "A", "+opcode=15"], "status: NOTIMP"),
        (["web", "AXFR"], "Transfer failed"),
        (["web", "A", "+nsid"], "(\"ns-a\")"),
        (["web", "A", "+cookie"], "(good)"),
        (["web", "A", "+cookie=0102030405060708", "+tcp", "+keepalive"], "TCP KEEPALIVE: 20.0"),
        (["web", "A", "+ednsopt=19"], "OPT=19: 03 00"),
        (["web", "TYPE250"], "EDE: 21 (Not Supported)"),
    ]

    @Test(.timeLimit(.minutes(2)))
    func readsOurAnswers() async throws {
        let fixture = try ControlNodeFixture()
        let node = try await fixture.start(["--nsid": "ns-a"])
        for (words, said) in DigTests.questions {
            let reply = try await Dig.full(
                words[0] + ".smurf.example.test", words[1], at: "127.0.0.1", port: fixture.dnsPort,
                options: Array(words.dropFirst(2)))
            #expect(reply.contains(said), "\(words): \(reply)")
            #expect(!reply.contains("WARNING: Message"), "\(reply)")
        }
        let outside = try await Dig.full(
            "example.org", "A", at: "127.0.0.1", port: fixture.dnsPort)
        #expect(outside.contains("status: REFUSED"))
        #expect(outside.contains("EDE: 20 (Not Authoritative)"))
        #expect(await node.stop() == 0)
    }

    @Test(.enabled(if: hasIPv6, "this machine has no IPv6"))
    func reachesUsByIPv6() async throws {
        let fixture = try ControlNodeFixture()
        let node = try Daemon(
            "serve", fixture.arguments(["--dns": "[::1]:\(fixture.dnsPort)"]),
            directory: fixture.directory)
        for options in [[], ["+tcp"]] {
            try await node.ready {
                try await Dig.short(
                    "web.smurf.example.test", "A", at: "::1", port: fixture.dnsPort,
                    options: options
                ).count == 2
            }
        }
        #expect(await node.stop() == 0)
    }
}
