import Foundation
import TestSupport

/// A control node with a small farm of machines that no agent watches, on ports and in a directory of
/// its own.
final class ControlNodeFixture: Sendable {
    let directory: TemporaryDirectory
    let dnsPort: UInt16
    private let agentsPort: UInt16
    /// Nobody listens there: agents of other tests must not be fed by this node.
    private let feedPort: UInt16

    static let policy = """
        version: 1
        zone: smurf.example.test
        defaults: {ttl: 1s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 1s}}
        movement: {max_inflight: 3, gap: 0s, min_dwell: 0s, up_window: 0s, down_window: 0s}
        roles:
          web: {names: {web: A}, min: 2}
          smtp-out: {names: {smtp-out: A}, min: 1, priority: 2}
        members:
          - {id: s01, address: 127.0.1.1, agent: false}
          - {id: s02, address: 127.0.1.2, agent: false}
          - {id: s03, address: 127.0.1.3, agent: false}

        """
    static let zone = """
        $ORIGIN smurf.example.test.
        $TTL 3600
        @ IN SOA ns1 hostmaster 1 60 15 604800 30
        @ IN NS ns1
        ns1 IN A 127.0.0.1

        """

    init(
        policy: String = ControlNodeFixture.policy, zone: String = ControlNodeFixture.zone
    ) throws {
        directory = try TemporaryDirectory()
        dnsPort = try Product.freePort()
        agentsPort = try Product.freePort()
        feedPort = try Product.freePort()
        try directory.write("policy.yml", policy)
        try directory.write("static.zone", zone)
    }

    var data: String { directory.file("data") }
    var socket: String { data + "/control.sock" }

    /// The command line, with what `changes` puts in place of single arguments.
    func arguments(_ changes: [String: String] = [:]) -> [String] {
        var options = [
            "--policy": directory.file("policy.yml"), "--zone": directory.file("static.zone"),
            "--data": data, "--dns": "127.0.0.1:\(dnsPort)", "--agents": "127.0.0.1:\(agentsPort)",
            "--feed-port": "\(feedPort)",
        ]
        options.merge(changes) { $1 }
        return [Product.smurf, "serve"]
            + options.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] }
    }

    /// Starts the node and waits until both roles are answered.
    /// - Parameter web: how many members an answer for `web` has.
    func start(_ changes: [String: String] = [:], web count: Int = 2) async throws -> Daemon {
        let node = try Daemon("serve", arguments(changes), directory: directory)
        try await node.ready {
            let web = try await self.members("web")
            let out = try await self.members("smtp-out")
            return web.count == count && out.count == 1
        }
        return node
    }

    func members(_ role: String) async throws -> [String] {
        try await Dig.short("\(role).smurf.example.test", "A", at: "127.0.0.1", port: dnsPort)
    }

    /// The zone's serial as it is answered.
    func serial() async throws -> UInt32? {
        let soa = try await Dig.short("smurf.example.test", "SOA", at: "127.0.0.1", port: dnsPort)
        let words = soa.first?.split(separator: " ") ?? []
        return words.count > 2 ? UInt32(words[2]) : nil
    }

    /// An operator's command to this node.
    func smurf(_ words: String...) async throws -> Finished { try await smurf(words) }

    func smurf(_ words: [String]) async throws -> Finished {
        try await run([Product.smurf] + words + ["--control", socket])
    }
}
