import Foundation
import TestSupport

/// Debian's etcd on loopback: one member or several, with or without certificates. Members can be killed, stopped for a
/// while and started again on what they have on disk.
final class EtcdCluster: @unchecked Sendable {
    // @unchecked: only the test that made it, one step after the other, changes `members`.
    let directory: TemporaryDirectory
    let trust: MachineTrust?
    private let clientPorts: [UInt16]
    private let peerPorts: [UInt16]
    /// Between each member and the others; empty: they talk without.
    private let relays: [TCPRelay]
    private let options: [String]
    /// "name:password" for etcd's own command line, once users are asked for.
    var user: String?
    private(set) var members: [Daemon?]
    private var generation = 0

    /// - Parameters:
    ///   - trust: with certificates "etcd" and "operator"; nil: plain http.
    ///   - isRelayed: whether `cutOff` is to be possible.
    ///   - options: more options of etcd.
    init(
        members count: Int, trust: MachineTrust? = nil, isRelayed: Bool = false,
        options: [String] = []
    ) throws {
        self.options = options
        directory = try TemporaryDirectory()
        self.trust = trust
        var ports: Set<UInt16> = []
        while ports.count < 2 * count { ports.insert(try Product.freePort()) }
        let all = Array(ports)
        (clientPorts, peerPorts) = (Array(all[..<count]), Array(all[count...]))
        relays = isRelayed ? try all[count...].map { try TCPRelay(to: $0) } : []
        members = Array(repeating: nil, count: count)
    }

    /// All that it listens on, or will.
    var ports: Set<UInt16> { Set(clientPorts + peerPorts) }

    private var scheme: String { trust == nil ? "http" : "https" }
    func url(_ index: Int) -> String { "\(scheme)://127.0.0.1:\(clientPorts[index])" }
    var urls: [String] { members.indices.map(url) }

    func start() async throws {
        for index in members.indices { try start(index) }
        try await isHealthy()
    }

    /// Where the others find a member.
    private func peer(_ index: Int) -> String {
        "http://127.0.0.1:\(relays.isEmpty ? peerPorts[index] : relays[index].port)"
    }

    /// Lets nothing pass any more between one member and the others, until `heal`. Clients reach all of them.
    func cutOff(_ index: Int) async throws {
        let id = try await fields(of: index)["\"MemberID\""] ?? ""
        let name = String(try UInt64(id) ?? { throw Failure("no member id: '\(id)'") }(), radix: 16)
        for (other, relay) in relays.enumerated() {
            relay.cut(other == index ? .everybody : .those("X-Server-From: \(name)"))
        }
    }

    func heal() { for relay in relays { relay.cut(.none) } }

    func start(_ index: Int) throws {
        let initial = members.indices.map { "e\($0)=\(peer($0))" }
        var arguments =
            [
                "etcd", "--name", "e\(index)", "--data-dir", data(index), "--logger", "zap",
                "--listen-client-urls", url(index), "--advertise-client-urls", url(index),
                "--listen-peer-urls", "http://127.0.0.1:\(peerPorts[index])",
                "--initial-advertise-peer-urls", peer(index),
                "--initial-cluster", initial.joined(separator: ","), "--initial-cluster-state",
                "new",
                "--initial-cluster-token", "test\(generation)",
            ] + options
        if let trust {
            arguments += [
                "--client-cert-auth", "--trusted-ca-file", trust.directory.file("ca.pem"),
                "--cert-file", trust.directory.file("etcd.pem"),
                "--key-file", trust.directory.file("etcd.key"),
            ]
        }
        members[index] = try Daemon("e\(index)", arguments, directory: directory)
    }

    private func data(_ index: Int) -> String { directory.file("data\(index).\(generation)") }

    func isHealthy() async throws {
        try await eventually("etcd is healthy") {
            for member in members.compactMap({ $0 }) where !member.isRunning {
                throw Failure("\(member.name) ended early:\n\(member.log.suffix(4000))")
            }
            return try await control("endpoint", "health").status == 0
        }
    }

    func signal(_ index: Int, _ number: Int32) async {
        members[index]?.signal(number)
        if number == SIGKILL, let member = members[index] {
            _ = await member.finished()
            members[index] = nil
        }
    }

    /// The member that leads now.
    func leader() async throws -> Int {
        for index in members.indices where members[index] != nil {
            let fields = try await fields(of: index)
            if let own = fields["\"MemberID\""], own == fields["\"Leader\""] { return index }
        }
        throw Failure("etcd has no leader")
    }

    /// What a member says of itself, by names in quotation marks.
    func fields(of index: Int) async throws -> [String: String] {
        let said = try await control(
            "endpoint", "status", "--write-out", "fields", at: [url(index)])
        return Dictionary(
            said.output.split(separator: "\n").compactMap { line -> (String, String)? in
                let parts = line.components(separatedBy: " : ")
                return parts.count == 2
                    ? (parts[0], parts[1].trimmingCharacters(in: .whitespaces)) : nil
            }, uniquingKeysWith: { $1 })
    }

    /// etcd's own command line.
    @discardableResult
    func control(_ words: String..., at endpoints: [String]? = nil) async throws -> Finished {
        try await control(words, at: endpoints)
    }

    @discardableResult
    func control(_ words: [String], at endpoints: [String]? = nil) async throws -> Finished {
        var options = ["--endpoints", (endpoints ?? urls).joined(separator: ",")]
        if let trust {
            options += [
                "--cacert", trust.directory.file("ca.pem"),
                "--cert", trust.directory.file("operator.pem"),
                "--key", trust.directory.file("operator.key"),
            ]
        }
        if let user { options += ["--user", user] }
        return try await run(
            ["etcdctl"] + options + words, environment: ["ETCDCTL_API": "3"])
    }

    /// Ends every member and begins a new life from a snapshot.
    func restore(_ snapshot: String) async throws {
        for index in members.indices { await signal(index, SIGKILL) }
        generation += 1
        for index in members.indices {
            let initial = members.indices.map { "e\($0)=\(peer($0))" }
            let result = try await run(
                [
                    "etcdctl", "snapshot", "restore", snapshot, "--name", "e\(index)",
                    "--data-dir", data(index), "--initial-cluster",
                    initial.joined(separator: ","), "--initial-cluster-token",
                    "test\(generation)", "--initial-advertise-peer-urls", peer(index),
                ], environment: ["ETCDCTL_API": "3"])
            guard result.status == 0 else { throw Failure(result.errors) }
        }
        try await start()
    }

    func stop() async {
        for member in members.compactMap({ $0 }) {
            member.signal(SIGCONT)
            member.signal(SIGKILL)
            _ = await member.finished()
        }
        for relay in relays { relay.close() }
    }
}
