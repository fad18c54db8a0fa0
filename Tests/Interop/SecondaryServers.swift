import Foundation
import TestSupport

/// Name servers that keep a copy of our zone: NSD, Knot, BIND and our own, each on a port of its own, told of
/// changes and served by TSIG; the last over TLS.
enum SecondaryKind: String, CaseIterable, Sendable { case nsd, knot, bind, own, ownTLS }

struct SecondaryServer {
    static let zone = "smurf.example.test"
    static let secret = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="

    let kind: SecondaryKind
    let port: UInt16
    private let primary: UInt16
    let directory: TemporaryDirectory
    private(set) var daemon: Daemon

    /// Starts it; it fetches the zone from `primary` by itself.
    init(
        _ kind: SecondaryKind, primary: UInt16, port: UInt16, directory: TemporaryDirectory
    ) throws {
        self.kind = kind
        self.primary = primary
        self.port = port
        self.directory = directory
        let home = directory.file(kind.rawValue)
        try FileManager.default.createDirectory(
            atPath: home, withIntermediateDirectories: true)
        let settings = Self.settings(kind, primary: primary, port: port, home: home)
        try directory.write("\(kind.rawValue)/\(kind.rawValue).conf", settings)
        daemon = try Self.launch(
            kind, primary: primary, port: port, home: home, directory: directory)
    }

    private static func launch(
        _ kind: SecondaryKind, primary: UInt16, port: UInt16, home: String,
        directory: TemporaryDirectory
    ) throws -> Daemon {
        let file = "\(home)/\(kind.rawValue).conf"
        let command: [String] =
            switch kind {
            case .nsd: ["nsd", "-d", "-c", file]
            case .knot: ["knotd", "-c", file]
            case .bind: ["named", "-g", "-c", file, "-n", "1"]
            case .own, .ownTLS:
                [
                    Product.smurf, "secondary", "--zone", zone, "--data", home, "--dns",
                    "127.0.0.1:\(port)", "--primary", "127.0.0.1:\(primary)=xfr",
                    "--tsig-keys", directory.file("keys"), "--secondary", "127.0.0.0/8",
                    "--workers", "1",
                ]
                    + (kind == .own
                        ? []
                        : ["--primary-tls", "--primary-tls-ca", directory.file("primary.pem")])
            }
        return try Daemon(kind.rawValue, command, directory: directory)
    }

    /// Ends it and starts it again with what it has on disk.
    mutating func restart() async throws {
        await daemon.stop()
        daemon = try Self.launch(
            kind, primary: primary, port: port, home: directory.file(kind.rawValue),
            directory: directory)
    }

    func serial() async throws -> UInt32? {
        let soa = try await Dig.short(Self.zone, "SOA", at: "127.0.0.1", port: port)
        return soa.first?.split(separator: " ").dropFirst(2).first.flatMap { UInt32($0) }
    }

    /// The zone as it has it: its records as text, without order.
    func records() async throws -> Set<String> { try await Self.records(at: port) }

    static func records(at port: UInt16, key: Bool = false) async throws -> Set<String> {
        let signature = key ? ["-y", "hmac-sha256:xfr:\(secret)"] : []
        let result = try await run(
            ["dig", "@127.0.0.1", "-p", "\(port)", "+tcp", "+onesoa", "+nostats", "+nocmd"]
                + signature + [zone, "AXFR"])
        let lines = result.output.split(separator: "\n").filter {
            !$0.hasPrefix(";") && !$0.contains("TSIG")
        }
        return Set(lines.map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") })
    }

    private static func settings(
        _ kind: SecondaryKind, primary: UInt16, port: UInt16, home: String
    ) -> String {
        switch kind {
        case .own, .ownTLS: ""
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
              xfrd-reload-timeout: 0
            remote-control:
              control-enable: no
            key:
              name: "xfr"
              algorithm: hmac-sha256
              secret: "\(secret)"
            zone:
              name: "\(zone)"
              zonefile: "zone.txt"
              request-xfr: 127.0.0.1@\(primary) xfr
              allow-notify: 127.0.0.1 xfr
              provide-xfr: 127.0.0.1 NOKEY

            """
        case .knot:
            """
            server:
              listen: 127.0.0.1@\(port)
              rundir: "\(home)"
            log:
              - target: stderr
                any: info
            database:
              storage: "\(home)/db"
            key:
              - id: xfr
                algorithm: hmac-sha256
                secret: "\(secret)"
            remote:
              - id: primary
                address: 127.0.0.1@\(primary)
                key: xfr
            acl:
              - id: told
                address: 127.0.0.1
                key: xfr
                action: notify
              - id: shown
                address: 127.0.0.1
                action: transfer
            zone:
              - domain: \(zone)
                storage: "\(home)"
                master: primary
                acl: [told, shown]

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
              allow-transfer { 127.0.0.1; };
              notify no;
              dnssec-validation no;
              serial-query-rate 1000;
              max-records-per-type 0;
            };
            controls { };
            key "xfr" { algorithm hmac-sha256; secret "\(secret)"; };
            zone "\(zone)" {
              type secondary;
              file "zone.db";
              masterfile-format text;
              primaries { 127.0.0.1 port \(primary) key "xfr"; };
              allow-notify { key "xfr"; };
              min-refresh-time 1; min-retry-time 1;
            };

            """
        }
    }
}
