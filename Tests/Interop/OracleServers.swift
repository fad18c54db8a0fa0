import Foundation
import TestSupport

/// Whose answers ours are held against.
enum Oracle: String, CaseIterable, Sendable { case nsd, knot, bind }

/// NSD, Knot and BIND as primaries of a zone in a file, each on a port of its own: what they answer is held against
/// what we answer from the same records.
struct OracleServers {
    private let daemons: [Daemon]
    private let ports: [(name: String, port: UInt16)]

    /// - Parameters:
    ///   - zone: text of the zone, as a transfer brings it.
    ///   - directory: where each has a directory of its own.
    init(zone: String, origin: String, directory: TemporaryDirectory) throws {
        var daemons: [Daemon] = []
        var ports: [(name: String, port: UInt16)] = []
        for kind in Oracle.allCases {
            let name = kind.rawValue
            let home = directory.file("oracle-\(name)")
            try FileManager.default.createDirectory(
                atPath: home, withIntermediateDirectories: true)
            try zone.write(toFile: home + "/zone.txt", atomically: true, encoding: .utf8)
            let port = try Product.freePort()
            let settings = OracleServers.settings(kind, origin: origin, port: port, home: home)
            let file = home + "/\(name).conf"
            try settings.write(toFile: file, atomically: true, encoding: .utf8)
            let command: [String] =
                switch kind {
                case .nsd: ["nsd", "-d", "-c", file]
                case .knot: ["knotd", "-c", file]
                case .bind: ["named", "-g", "-c", file, "-n", "1"]
                }
            daemons.append(try Daemon("oracle-\(name)", command, directory: directory))
            ports.append((name, port))
        }
        self.daemons = daemons
        self.ports = ports
    }

    /// `name=port` of each.
    var arguments: [String] { ports.map { "\($0.name)=\($0.port)" } }

    func ready(_ origin: String) async throws {
        for (daemon, server) in zip(daemons, ports) {
            try await daemon.ready {
                try await !Dig.short(origin, "SOA", at: "127.0.0.1", port: server.port).isEmpty
            }
        }
    }

    func stop() async { for daemon in daemons { await daemon.stop() } }

    private static func settings(
        _ kind: Oracle, origin: String, port: UInt16, home: String
    ) -> String {
        switch kind {
        case .nsd:
            """
            server:
              ip-address: 127.0.0.1
              port: \(port)
              username: ""
              zonesdir: "\(home)"
              database: ""
              zonelistfile: "\(home)/zone.list"
              xfrdfile: "\(home)/xfrd.state"
              xfrdir: "\(home)"
              pidfile: ""
              server-count: 1
              minimal-responses: yes
              refuse-any: no
              rrl-ratelimit: 0
              ipv4-edns-size: 1232
            remote-control:
              control-enable: no
            zone:
              name: "\(origin)"
              zonefile: "zone.txt"

            """
        case .knot:
            """
            server:
              listen: 127.0.0.1@\(port)
              rundir: "\(home)"
              udp-workers: 1
              tcp-workers: 1
              background-workers: 1
              udp-max-payload: 1232
            log:
              - target: stderr
                any: info
            database:
              storage: "\(home)/db"
            zone:
              - domain: \(origin)
                storage: "\(home)"
                file: zone.txt
                zonefile-load: whole
                semantic-checks: off

            """
        case .bind:
            """
            options {
              directory "\(home)";
              listen-on port \(port) { 127.0.0.1; };
              listen-on-v6 { none; };
              pid-file none;
              session-keyfile none;
              recursion no;
              notify no;
              dnssec-validation no;
              minimal-responses yes;
              minimal-any yes;
              zero-no-soa-ttl no;
              answer-cookie no;
              max-udp-size 1232; edns-udp-size 1232; nocookie-udp-size 1232;
              check-names primary ignore;
            };
            controls { };
            zone "\(origin)" { type primary; file "zone.txt"; check-integrity no; };

            """
        }
    }
}
