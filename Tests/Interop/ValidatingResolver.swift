import Foundation
import TestSupport

/// Unbound on loopback, which trusts what the parent of the zone `smurf.example.test` would say and asks one name server of
/// it.
struct ValidatingResolver {
    let daemon: Daemon
    let port: UInt16

    /// - Parameters:
    ///   - anchor: DS records of the zone.
    ///   - child: port of the name server on loopback.
    ///   - name: of its files in `directory`.
    static func start(
        anchor: String, child: UInt16, in directory: TemporaryDirectory, name: String = "unbound"
    ) async throws -> ValidatingResolver {
        let port = try Product.freePort()
        try directory.write(name + ".anchor", anchor)
        try directory.write(
            name + ".conf",
            """
            server:
              interface: 127.0.0.1
              port: \(port)
              username: ""
              chroot: ""
              directory: "\(directory.path)"
              pidfile: ""
              use-syslog: no
              val-log-level: 2
              module-config: "validator iterator"
              trust-anchor-file: "\(directory.file(name + ".anchor"))"
              do-not-query-localhost: no
              access-control: 127.0.0.0/8 allow
              num-threads: 1
              aggressive-nsec: yes
              harden-below-nxdomain: yes
              local-zone: "test." nodefault
            remote-control:
              control-enable: no
            stub-zone:
              name: "smurf.example.test"
              stub-addr: 127.0.0.1@\(child)
            """)
        let unbound = try Daemon(
            name, ["unbound", "-d", "-c", directory.file(name + ".conf")], directory: directory)
        try await unbound.ready {
            try await !Dig.short(
                "smurf.example.test", "SOA", at: "127.0.0.1", port: port
            ).isEmpty
        }
        return ValidatingResolver(daemon: unbound, port: port)
    }

    /// Status and flags of what it says to each of several questions, by one `dig`.
    func asked(
        _ questions: [(name: String, type: String)]
    ) async throws -> [(status: String, isSecure: Bool)] {
        let words = questions.flatMap { [$0.name, $0.type] }
        let text = try await run(
            ["dig", "@127.0.0.1", "-p", "\(port)", "+dnssec", "+time=2", "+tries=1"] + words
        ).output
        return text.split(separator: "->>HEADER<<-").dropFirst().map { reply in
            let status = reply.firstMatch(of: /status: ([A-Z]+)/).map { String($0.1) }
            let flags = reply.firstMatch(of: /flags: ([a-z ]+);/).map { String($0.1) } ?? ""
            return (status ?? "none", flags.split(separator: " ").contains("ad"))
        }
    }
}
