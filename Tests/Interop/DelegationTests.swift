import Foundation
import TestSupport
import Testing

extension InteropTests {
    /// The product as a parent zone and a resolver meet it: NSD serves the root and the parent, which
    /// delegates to our server on an address of its own and port 53; Unbound resolves from root hints.
    @Suite(.serialized, .enabled(if: geteuid() == 0, "binding port 53 needs root"))
    struct DelegationTests {
        static let parentAddress = "127.0.53.1"
        static let childAddress = "127.0.53.2"
        static let resolverAddress = "127.0.53.3"

        static let rootZone = """
            . 86400 IN SOA ns.root. host.root. 1 3600 600 86400 60
            . 86400 IN NS ns.root.
            ns.root. 86400 IN A \(parentAddress)
            test. 86400 IN NS ns.root.
            """
        static let testZone = """
            test. 86400 IN SOA ns.root. host.root. 1 3600 600 86400 60
            test. 86400 IN NS ns.root.
            example.test. 86400 IN NS ns.root.
            """
        static let parentZone = """
            example.test. 3600 IN SOA ns.root. host.root. 1 3600 600 86400 60
            example.test. 3600 IN NS ns.root.
            smurf.example.test. 3600 IN NS ns1.smurf.example.test.
            ns1.smurf.example.test. 3600 IN A \(childAddress)
            """
        static let childZone = """
            $ORIGIN smurf.example.test.
            $TTL 3600
            @ IN SOA ns1 hostmaster 1 60 15 604800 30
            @ IN NS ns1
            ns1 IN A \(childAddress)
            """
        static let policy = """
            version: 1
            zone: smurf.example.test
            defaults: {ttl: 3s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 5s}}
            movement: {max_inflight: 1, gap: 0s, min_dwell: 0s}
            roles:
              smtp-out:
                names: {smtp-out: A}
                priority: 1
                min: 1
              web:
                names: {web: A}
                priority: 2
                min: 1
            members:
              - {id: s01, address: 127.0.1.1, agent: false}
              - {id: s02, address: 127.0.1.2, agent: false}
              - {id: s03, address: 127.0.1.3, agent: false}
            """

        /// The three servers, started in order.
        struct Servers {
            let nsd: Daemon
            let smurf: Daemon
            let unbound: Daemon
            let socket: String
        }

        static func start(in directory: TemporaryDirectory) async throws -> Servers {
            try directory.write("root.zone", rootZone + "\n")
            try directory.write("test.zone", testZone + "\n")
            try directory.write("parent.zone", parentZone + "\n")
            try directory.write("child.zone", childZone + "\n")
            try directory.write("policy.yml", policy)
            try directory.write("nsd.conf", nsdConfiguration(directory))
            try directory.write("unbound.conf", unboundConfiguration(directory))
            try directory.write(
                "hints", ". 86400 IN NS ns.root.\nns.root. 86400 IN A \(parentAddress)\n")

            let nsd = try Daemon(
                "nsd", ["nsd", "-d", "-c", directory.file("nsd.conf")], directory: directory)
            try await nsd.ready {
                try await !Dig.short("example.test", "SOA", at: parentAddress, port: 53).isEmpty
            }
            let data = directory.file("data")
            let smurf = try Daemon(
                "serve",
                [
                    Product.smurf, "serve", "--policy", directory.file("policy.yml"),
                    "--zone", directory.file("child.zone"), "--data", data,
                    "--dns", "\(childAddress):53", "--agents",
                    "127.0.0.1:\(try Product.freePort())", "--feed-port",
                    "\(try Product.freePort())",
                ], directory: directory)
            try await smurf.ready {
                for name in ["web", "smtp-out"] {
                    let answer = try await Dig.short(
                        name + ".smurf.example.test", "A", at: childAddress, port: 53)
                    if answer.isEmpty { return false }
                }
                return true
            }
            let unbound = try Daemon(
                "unbound", ["unbound", "-d", "-c", directory.file("unbound.conf")],
                directory: directory
            )
            try await unbound.ready {
                try await !Dig.short("example.test", "SOA", at: resolverAddress, port: 53).isEmpty
            }
            return Servers(nsd: nsd, smurf: smurf, unbound: unbound, socket: data + "/control.sock")
        }

        static func nsdConfiguration(_ directory: TemporaryDirectory) -> String {
            """
            server:
              ip-address: \(parentAddress)
              username: ""
              zonesdir: "\(directory.path)"
              zonelistfile: "\(directory.file("zone.list"))"
              database: ""
              pidfile: ""
              xfrdfile: "\(directory.file("xfrd.state"))"
              xfrdir: "\(directory.path)"
              server-count: 1
            remote-control:
              control-enable: no
            zone:
              name: "."
              zonefile: "root.zone"
            zone:
              name: "test"
              zonefile: "test.zone"
            zone:
              name: "example.test"
              zonefile: "parent.zone"
            """
        }

        static func unboundConfiguration(_ directory: TemporaryDirectory) -> String {
            """
            server:
              interface: \(resolverAddress)
              port: 53
              username: ""
              chroot: ""
              directory: "\(directory.path)"
              pidfile: ""
              use-syslog: no
              root-hints: "\(directory.file("hints"))"
              module-config: "iterator"
              do-not-query-localhost: no
              local-zone: "test." nodefault
              access-control: 127.0.0.0/8 allow
              outgoing-interface: \(resolverAddress)
              num-threads: 1
            remote-control:
              control-enable: no
            """
        }

        @Test(.timeLimit(.minutes(3)))
        func roleChangeIsSeenThroughARecursiveResolver() async throws {
            let directory = try TemporaryDirectory()
            let servers = try await DelegationTests.start(in: directory)
            func resolved(_ name: String) async throws -> [String] {
                try await Dig.short(
                    name + ".smurf.example.test", "A", at: DelegationTests.resolverAddress, port: 53
                )
            }
            let before = try await resolved("web")
            #expect(before.count == 1)
            let other = try #require(
                ["127.0.1.1", "127.0.1.2", "127.0.1.3"].first { $0 != before[0] })
            let id = "s0" + other.suffix(1)

            let moved = try await run([
                Product.smurf, "move", id, "web", "--for", "1h", "--reason", "test", "--control",
                servers.socket,
            ])
            #expect(moved.status == 0, "\(moved.errors)")
            // From the moment our server answers with the new member, the resolver follows within TTL + 1 s.
            let authority = DelegationTests.childAddress
            var published: ContinuousClock.Instant?
            while published == nil {
                let now = try await Dig.short(
                    "web.smurf.example.test", "A", at: authority, port: 53)
                if now.contains(other) { published = .now }
                try await Task.sleep(for: .milliseconds(50))
            }
            let start = try #require(published)
            while try await !resolved("web").contains(other) {
                try #require(
                    ContinuousClock.now - start < .seconds(30), "the resolver never saw the change")
                try await Task.sleep(for: .milliseconds(100))
            }
            let lag = ContinuousClock.now - start
            print("role change seen through Unbound after \(lag), TTL 3 s")
            #expect(lag < .seconds(3 + 1))

            let refused = try await Dig.full("example.org", "A", at: authority, port: 53)
            #expect(refused.contains("status: REFUSED"))
            await servers.smurf.stop()
            await servers.unbound.stop()
            await servers.nsd.stop()
        }
    }
}
