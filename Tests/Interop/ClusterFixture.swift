import Foundation
import TestSupport

/// A farm with three control nodes on an etcd of three members, machines without agents and two with, all as processes
/// of their own on loopback, and a resolver at every control node.
final class ClusterFixture: @unchecked Sendable {
    // @unchecked: only the test that made it, one step after the other, changes what it holds.
    static let zone = "smurf.example.test"
    static let names = ["n1", "n2", "n3"]
    /// Seconds; another number for figures.
    static let leaderTTL =
        Int(ProcessInfo.processInfo.environment["SMURF_LEADER_TTL"] ?? "") ?? 2

    static let policy = """
        version: 1
        zone: \(zone)
        defaults: {ttl: 1s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 1s}}
        movement: {max_inflight: 3, gap: 0s, min_dwell: 0s, up_window: 0s, down_window: 0s}
        guards: {dead_after: 10s}
        roles:
          web: {names: {web: A}, min: 2, service: none}
          smtp-out: {names: {smtp-out: A}, min: 1, priority: 2, service: none}
          relay: {names: {relay: A}, min: 2, max: 2, priority: 3, service: none}
        members:
          - {id: s01, address: 127.0.1.1, agent: false, not: [relay]}
          - {id: s02, address: 127.0.1.2, agent: false, not: [relay]}
          - {id: s03, address: 127.0.1.3, agent: false, not: [relay]}
          - {id: s04, address: 127.0.1.4, agent: false, not: [relay]}
          - {id: s05, address: 127.0.1.5, agent: false, not: [relay]}
          - {id: a01, address: 127.0.1.11, pin: relay}
          - {id: a02, address: 127.0.1.12, pin: relay}

        """

    let directory: TemporaryDirectory
    let etcd: EtcdCluster
    private let dnsPorts: [UInt16]
    private let agentsPorts: [UInt16]
    private let feedPort: UInt16
    /// More options of every control node.
    private let options: [String]
    private(set) var nodes: [Daemon?] = [nil, nil, nil]
    private var agents: [Daemon] = []
    private(set) var watches: [DNSWatch] = []
    /// Between each control node and each member of etcd; empty: they talk without.
    private let relays: [[TCPRelay]]

    /// - Parameters:
    ///   - options: more options of every control node.
    ///   - etcd: of three members; nil: an ordinary one.
    ///   - isRelayed: whether `cutOff` is to be possible.
    init(
        options: [String] = [], policy: String = ClusterFixture.policy,
        zone: String = ControlNodeFixture.zone, etcd: EtcdCluster? = nil, isRelayed: Bool = false
    ) throws {
        self.options = options
        directory = try TemporaryDirectory()
        let etcd = try etcd ?? EtcdCluster(members: 3)
        self.etcd = etcd
        relays = try (0..<(isRelayed ? 3 : 0)).map { _ in
            try etcd.urls.map { try TCPRelay(to: UInt16($0.split(separator: ":")[2]) ?? 0) }
        }
        var ports: Set<UInt16> = []
        // Nobody listens on etcd's yet: they look free.
        while ports.count < 7 {
            let port = try Product.freePort()
            if !etcd.ports.contains(port) { ports.insert(port) }
        }
        let all = Array(ports)
        (dnsPorts, agentsPorts, feedPort) = (Array(all[0..<3]), Array(all[3..<6]), all[6])
        try directory.write("policy.yml", policy)
        try directory.write("static.zone", zone)
    }

    func data(_ index: Int) -> String { directory.file(ClusterFixture.names[index]) }

    func startNode(_ index: Int) throws {
        let name = ClusterFixture.names[index]
        let urls =
            relays.isEmpty ? etcd.urls : relays[index].map { "http://127.0.0.1:\($0.port)" }
        nodes[index] = try Daemon(
            name,
            [
                Product.smurf, "serve", "--policy", directory.file("policy.yml"), "--zone",
                directory.file("static.zone"), "--data", data(index), "--dns",
                "127.0.0.1:\(dnsPorts[index])", "--agents", "127.0.0.1:\(agentsPorts[index])",
                "--feed-port", "\(feedPort)", "--etcd", urls.joined(separator: ","), "--node",
                name, "--leader-ttl", "\(ClusterFixture.leaderTTL)s", "--workers", "1",
            ] + options, directory: directory)
    }

    private func startAgent(_ number: Int) throws {
        let controls = agentsPorts.flatMap { ["--control", "127.0.0.1:\($0)"] }
        agents.append(
            try Daemon(
                "a0\(number)",
                [
                    Product.smurf, "agent", "--id", "a0\(number)", "--address",
                    "127.0.1.1\(number)", "--data", directory.file("agent\(number)"),
                ] + controls, directory: directory))
    }

    /// Starts everything and waits until all nodes answer the same.
    func start() async throws {
        try await etcd.start()
        for index in nodes.indices { try startNode(index) }
        for number in 1...2 { try startAgent(number) }
        try await isSettled(web: 2)
        watches = dnsPorts.map {
            DNSWatch(port: $0, name: "web." + ClusterFixture.zone, zone: ClusterFixture.zone)
        }
    }

    /// Waits until every node that runs answers the same, with so many members in the role `web` and all agents in theirs.
    func isSettled(web count: Int) async throws {
        try await eventually("all nodes answer the same, with \(count) web") {
            var answers: Set<[String]> = []
            for index in nodes.indices {
                guard let node = nodes[index] else { continue }
                guard node.isRunning else {
                    throw Failure("\(node.name) ended early:\n\(node.log.suffix(4000))")
                }
                var answer: [String] = []
                for role in ["web", "smtp-out", "relay"] {
                    let found = try await members(role, at: index)
                    if role == "web", found.count != count { return false }
                    if role == "relay", found.count != 2 { return false }
                    answer.append(found.joined(separator: " "))
                }
                answer += try await Dig.short(
                    ClusterFixture.zone, "SOA", at: "127.0.0.1", port: dnsPorts[index])
                answers.insert(answer)
            }
            return answers.count == 1
        }
    }

    func members(_ role: String, at index: Int) async throws -> [String] {
        try await Dig.short(
            "\(role).\(ClusterFixture.zone)", "A", at: "127.0.0.1", port: dnsPorts[index])
    }

    /// Lets nothing pass between a control node and etcd, or everything again.
    func cutOff(_ index: Int, _ isCut: Bool = true) {
        for relay in relays[index] { relay.cut(isCut ? .everybody : .none) }
    }

    func dnsPort(_ index: Int) -> UInt16 { dnsPorts[index] }

    func smurf(_ index: Int, _ words: String...) async throws -> Finished {
        try await smurf(index, words)
    }

    func smurf(_ index: Int, _ words: [String]) async throws -> Finished {
        try await run([Product.smurf] + words + ["--control", data(index) + "/control.sock"])
    }

    /// What a node says of the cluster; nil when it does not answer.
    func cluster(_ index: Int) async throws -> [String: Any]? {
        let said = try await smurf(index, "roles", "--json")
        guard said.status == 0 else { return nil }
        let board = try JSONSerialization.jsonObject(with: Data(said.output.utf8)) as? [String: Any]
        return board?["cluster"] as? [String: Any]
    }

    /// The farm's history once nobody is on the way: what moves after that, moves for a reason of its own.
    func historyAtRest() async throws -> [Entry] {
        let leader = try await leader()
        try await eventually("nobody moves") {
            let said = try await smurf(leader, "roles", "--json")
            return said.status == 0 && !said.output.contains("DRAINING")
                && !said.output.contains("WARMING")
        }
        return try await history()
    }

    /// The node that leads; waits until there is one.
    func leader(among indices: [Int] = [0, 1, 2]) async throws -> Int {
        var found: Int?
        try await eventually("one of \(indices) leads") {
            for index in indices where try await cluster(index)?["leads"] as? Bool == true {
                found = index
            }
            return found != nil
        }
        guard let found else { throw Failure("nobody leads") }
        return found
    }

    func signal(_ index: Int, _ number: Int32) async {
        watches[index].excuse(true)
        nodes[index]?.signal(number)
        if number == SIGKILL, let node = nodes[index] {
            _ = await node.finished()
            nodes[index] = nil
        }
    }

    /// The node answers again: from now on silence is a fault.
    func isBack(_ index: Int) async throws {
        try await eventually("\(ClusterFixture.names[index]) answers") {
            try await members("web", at: index).count > 0
        }
        // The watch may still wait for an answer to a question of before.
        let asked = watches[index].asked
        try await eventually("its resolver goes on") { watches[index].asked > asked + 2 }
        watches[index].excuse(false)
    }

    /// One entry of the farm's history, as it lies in etcd.
    struct Entry {
        var revision: Int
        var term: Int
        var node: String
        var smurf: String
        var to: String
    }

    /// The whole history, in the order in which it was written.
    func history() async throws -> [Entry] {
        var output = ""
        // A member that is cut off, or has no leader yet, tells nothing: another is asked then.
        try await eventually("etcd tells the history") {
            let said = try await etcd.control(
                "get", "/smurf/\(ClusterFixture.zone)/history/", "--prefix", "--write-out", "json")
            output = said.output
            return said.status == 0
        }
        let answer = try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]
        let pairs = answer?["kvs"] as? [[String: Any]] ?? []
        return try pairs.flatMap { pair in
            let value = Data(base64Encoded: pair["value"] as? String ?? "") ?? Data()
            let entries = try JSONSerialization.jsonObject(with: value) as? [[String: Any]] ?? []
            return entries.map { entry in
                Entry(
                    revision: pair["mod_revision"] as? Int ?? 0, term: entry["term"] as? Int ?? 0,
                    node: entry["node"] as? String ?? "", smurf: entry["smurf"] as? String ?? "",
                    to: entry["to"] as? String ?? "")
            }
        }.sorted { $0.revision < $1.revision }
    }

    /// Starts it, runs `test` on it and ends it; every node has answered all the time, and no serial went back. When the test
    /// throws, what the nodes and etcd logged last is printed.
    func use(_ test: (ClusterFixture) async throws -> Void) async throws {
        do {
            try await start()
            try await test(self)
        } catch {
            for daemon in (nodes + etcd.members).compactMap({ $0 }) {
                print(daemon.name, daemon.log.suffix(3_000))
            }
            await stop()
            throw error
        }
        await stopInOrder()
    }

    /// Ends everything.
    /// - Returns: with which status the control nodes that ran have ended.
    @discardableResult
    func stop() async -> [Int32] {
        for watch in watches { watch.stop() }
        for agent in agents { await agent.stop() }
        var statuses: [Int32] = []
        for node in nodes.compactMap({ $0 }) {
            node.signal(SIGCONT)
            statuses.append(await node.stop())
        }
        await etcd.stop()
        for relay in relays.joined() { relay.close() }
        return statuses
    }
}
