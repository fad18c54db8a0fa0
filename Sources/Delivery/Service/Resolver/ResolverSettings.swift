import Farm
import Foundation

/// The unbound.conf(5) text that a resolver's engine runs with.
enum ResolverSettings {
    /// - Throws: `badUpstream` for a zone that is no host name or an upstream without servers.
    static func text(_ upstream: Resolver.Upstream) throws(ResolverError) -> String {
        switch upstream {
        case .system: return common + forward(systemServers())
        case .forward(let servers):
            try check(servers)
            return common + forward(servers)
        case .stub(let zone, let servers):
            try check(servers)
            guard !zone.isEmpty, zone.utf8.allSatisfy({ isHostByte($0) || $0 == 0x2E }) else {
                throw .badUpstream("'\(zone)' is no zone: write it as in smurf.example.org")
            }
            let stub = servers.map { "  stub-addr: \($0.address)@\($0.port)\n" }.joined()
            return common
                + "  local-zone: \"\(zone)\" transparent\n"
                + "stub-zone:\n  name: \"\(zone)\"\n  stub-no-cache: yes\n" + stub
                + forward(systemServers())
        }
    }

    /// Letters, digits, hyphen and underscore.
    static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
        default: false
        }
    }

    // A restarted server must be found again at once: what is known of servers is soon forgotten, and they
    // are asked again quickly. No validation and no minimised names: a trial's zone hangs from no root.
    // `test.` is blocked by default (RFC 6761) and is where trials live.
    private static let common = """
        server:
          module-config: "iterator"
          verbosity: 0
          use-syslog: no
          do-not-query-localhost: no
          do-ip6: yes
          unblock-lan-zones: yes
          insecure-lan-zones: yes
          local-zone: "test." nodefault
          prefetch: no
          serve-expired: no
          use-caps-for-id: no
          qname-minimisation: no
          aggressive-nsec: no
          rrset-roundrobin: no
          cache-max-negative-ttl: 1
          infra-host-ttl: 2
          infra-keep-probing: yes
          outbound-msg-retry: 3
          outgoing-range: 64
          num-queries-per-thread: 512

        """

    private static func forward(_ servers: [Resolver.Server]) -> String {
        "forward-zone:\n  name: \".\"\n  forward-no-cache: yes\n"
            + servers.map { "  forward-addr: \($0.address)@\($0.port)\n" }.joined()
    }

    private static func check(_ servers: [Resolver.Server]) throws(ResolverError) {
        guard !servers.isEmpty else {
            throw .badUpstream("no name server is given: write at least one address and port")
        }
    }

    /// As resolv.conf(5) says: at most three, and this machine when there is none.
    private static func systemServers() -> [Resolver.Server] {
        let text = (try? String(contentsOfFile: "/etc/resolv.conf", encoding: .utf8)) ?? ""
        let servers = text.split(whereSeparator: \.isNewline).compactMap {
            line -> Resolver.Server? in
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count > 1, words[0] == "nameserver" else { return nil }
            return IPAddress(String(words[1])).map { Resolver.Server(address: $0) }
        }
        return servers.isEmpty
            ? [Resolver.Server(address: .v4(0x7F00_0001))] : Array(servers.prefix(3))
    }
}
