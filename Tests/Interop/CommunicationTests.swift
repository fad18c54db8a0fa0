import TestSupport
import Testing

/// The questions by which RFC 8906 section 8 finds servers that fail to communicate, each as a line of BIND's
/// `dig`, with what its reply must and must not say. They look at the form of a reply, not at its data.
@Suite(.serialized) struct CommunicationTests {
    private struct Line: Sendable {
        let section: String
        let options: String
        var type = "SOA"
        let says: [String]
        var lacks: [String] = []
    }

    private static let sound = ["status: NOERROR", "ANSWER: 1", "flags: qr aa"]
    private static let soundEDNS = sound + ["EDNS: version: 0, flags:; udp: 1232"]
    private static let refused = ["status: BADVERS", "ANSWER: 0", "EDNS: version: 0"]

    private static let lines: [Line] = [
        Line(
            section: "8.1.1", options: "+noedns +noad +norec", says: sound,
            lacks: ["EDNS:", "flags: qr aa rd"]),
        Line(
            section: "8.1.2", options: "+noedns +noad +norec", type: "TYPE1000",
            says: ["status: NOERROR", "ANSWER: 0", "flags: qr aa"], lacks: ["EDNS:"]),
        Line(
            section: "8.1.3.1", options: "+noedns +noad +norec +cd", says: sound, lacks: ["EDNS:"]),
        Line(
            section: "8.1.3.2", options: "+noedns +norec +ad", says: sound,
            lacks: ["EDNS:", "aa ad"]),
        Line(
            section: "8.1.3.3", options: "+noedns +noad +norec +zflag", says: sound,
            lacks: ["EDNS:", "MBZ"]),
        Line(
            section: "8.1.3.4", options: "+noedns +noad +rec", says: sound + ["flags: qr aa rd;"],
            lacks: ["EDNS:"]),
        Line(
            section: "8.1.4", options: "+noedns +noad +opcode=15 +norec +header-only",
            says: ["opcode: RESERVED15", "status: NOTIMP", "ANSWER: 0", "AUTHORITY: 0"],
            lacks: ["EDNS:", "flags: qr aa", "QUESTION SECTION"]),
        Line(
            section: "8.1.5", options: "+noedns +noad +norec +tcp", says: sound, lacks: ["EDNS:"]),
        Line(section: "8.2.1", options: "+edns=0 +nocookie +noad +norec", says: soundEDNS),
        Line(
            section: "8.2.2", options: "+edns=1 +noednsneg +nocookie +noad +norec", says: refused),
        Line(
            section: "8.2.3", options: "+edns=0 +ednsopt=100 +nocookie +noad +norec",
            says: soundEDNS, lacks: ["OPT=100"]),
        Line(
            section: "8.2.4", options: "+edns=0 +ednsflags=0x40 +nocookie +noad +norec",
            says: soundEDNS, lacks: ["MBZ"]),
        Line(
            section: "8.2.5", options: "+edns=1 +noednsneg +ednsopt=100 +nocookie +noad +norec",
            says: refused, lacks: ["OPT=100"]),
        Line(
            section: "8.2.6", options: "+edns=1 +noednsneg +ednsflags=0x40 +nocookie +noad +norec",
            says: refused, lacks: ["MBZ"]),
        Line(
            section: "8.2.7",
            options: "+edns=1 +noednsneg +ednsopt=100 +ednsflags=0x40 +nocookie +noad +norec",
            says: refused, lacks: ["OPT=100", "MBZ"]),
        Line(
            section: "8.2.8",
            options: "+edns=0 +dnssec +bufsize=512 +ignore +nocookie +noad +norec", type: "DNSKEY",
            says: ["status: NOERROR", "flags: qr aa", "EDNS: version: 0, flags: do;"]),
        Line(
            section: "8.2.9", options: "+edns=0 +dnssec +nocookie +noad +norec",
            says: ["status: NOERROR", "flags: qr aa", "EDNS: version: 0, flags: do;"]),
        Line(
            section: "8.2.10", options: "+edns=1 +noednsneg +dnssec +nocookie +noad +norec",
            says: refused),
        Line(
            section: "8.2.11",
            options: "+edns=0 +cookie +nsid +expire +subnet=0.0.0.0/0 +noad +norec",
            says: sound + ["EDNS: version: 0, flags:; udp: 1232", "(good)"]),
    ]

    private func expectSound(port: UInt16, _ zone: String) async throws {
        for line in CommunicationTests.lines {
            let reply = try await Dig.full(
                "smurf.example.test", line.type, at: "127.0.0.1", port: port,
                options: line.options.split(separator: " ").map(String.init))
            for said in line.says where !reply.contains(said) {
                Issue.record("\(zone), section \(line.section) wants '\(said)': \(reply)")
            }
            for said in line.lacks + ["WARNING: Message", "no servers could be reached"]
            where reply.contains(said) {
                Issue.record("\(zone), section \(line.section) forbids '\(said)': \(reply)")
            }
        }
    }

    @Test(.timeLimit(.minutes(2)))
    func anUnsignedZoneCommunicates() async throws {
        let fixture = try ControlNodeFixture()
        let node = try await fixture.start()
        try await expectSound(port: fixture.dnsPort, "unsigned")
        #expect(await node.stop() == 0)
    }

    @Test(.timeLimit(.minutes(2)))
    func aSignedZoneCommunicates() async throws {
        let farm = try SignedFarm(["--dnssec": "csk"])
        let node = try await farm.start()
        try await expectSound(port: farm.child, "signed")
        #expect(await node.stop() == 0)
    }
}
