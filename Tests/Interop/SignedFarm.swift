import Foundation
import TestSupport

/// A control node with a signed zone, and resolvers that validate: what they trust is what `smurf zone ds` prints.
final class SignedFarm: Sendable {
    private let node: ControlNodeFixture
    private let options: [String: String]

    var directory: TemporaryDirectory { node.directory }
    var child: UInt16 { node.dnsPort }

    static let zone = """
        $ORIGIN smurf.example.test.
        $TTL 5
        @ IN SOA ns1 hostmaster 1 60 15 604800 3
        @ IN NS NS1
        ns1 IN A 127.0.0.1
        *.wild IN MX 5 Ns1
        *.alias.x IN CNAME ns1
        a.b.deep IN TXT "hi"
        sub IN NS ns.sub
        ns.sub IN A 127.0.0.1
        www IN CNAME web
        dead IN CNAME nothing

        """

    /// The longest TTL is how long a retired key lingers. Each answer of `web` holds one of two members.
    static let policy = """
        version: 1
        zone: smurf.example.test
        defaults: {ttl: 1s, host_ttl: 4s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 1s}}
        movement: {max_inflight: 3, gap: 0s, min_dwell: 0s, up_window: 0s, down_window: 0s}
        roles:
          web: {names: {web: "A, HTTPS 1"}, min: 2, answer: 1}
          smtp-out: {names: {smtp-out: A, _submission._tcp: SRV 1 587}, min: 1, priority: 2}
        members:
          - {id: s01, address: 127.0.1.1, agent: false}
          - {id: s02, address: 127.0.1.2, agent: false}
          - {id: s03, address: 127.0.1.3, agent: false}

        """

    /// - Parameter options: of `serve` about keys.
    init(_ options: [String: String]) throws {
        node = try ControlNodeFixture(policy: SignedFarm.policy, zone: SignedFarm.zone)
        self.options = options.merging(["--secondary": "127.0.0.1"]) { $1 }
    }

    func start() async throws -> Daemon { try await node.start(options, web: 1) }

    func smurf(_ words: String...) async throws -> Finished { try await node.smurf(words) }

    func smurf(_ words: [String]) async throws -> Finished { try await node.smurf(words) }

    /// A validating resolver whose trust anchor is what `smurf zone ds` prints now.
    func startResolver() async throws -> ValidatingResolver {
        try await ValidatingResolver.start(
            anchor: try await smurf("zone", "ds").output, child: child, in: directory)
    }

    /// The served zone in a file, as a transfer brings it.
    func transferred() async throws -> String {
        let text = try await Dig.full(
            "smurf.example.test", "AXFR", at: "127.0.0.1", port: child,
            options: ["+noall", "+answer", "+onesoa"])
        let path = directory.file("axfr.zone")
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }
}
