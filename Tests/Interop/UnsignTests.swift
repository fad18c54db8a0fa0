import Foundation
import TestSupport
import Testing

extension ControlInteropTests {
    /// A zone leaves DNSSEC under the eyes of a validating resolver. NSD is the parent, BIND and Knot judge what is
    /// published for it.
    @Suite(.serialized) struct UnsignTests {
        private static let parentTTL = 4

        private final class Parent {
            private(set) var daemon: Daemon
            let port: UInt16
            let directory: TemporaryDirectory

            private static func write(_ ds: String, in directory: TemporaryDirectory) throws {
                try directory.write(
                    "parent.zone",
                    """
                    $TTL \(UnsignTests.parentTTL)
                    example.test. IN SOA ns.example.test. host.example.test. 1 60 60 600 5
                    example.test. IN NS ns.example.test.
                    ns.example.test. IN A 127.0.0.1
                    smurf.example.test. IN NS ns1.smurf.example.test.
                    ns1.smurf.example.test. IN A 127.0.0.1
                    \(ds)

                    """)
            }

            init(in directory: TemporaryDirectory, ds: String) async throws {
                let port = try Product.freePort()
                (self.directory, self.port) = (directory, port)
                try directory.write(
                    "nsd.conf",
                    """
                    server:
                      ip-address: 127.0.0.1
                      port: \(port)
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
                      name: "example.test"
                      zonefile: "parent.zone"

                    """)
                daemon = try await Parent.started(in: directory, port, ds)
            }

            private static func started(
                in directory: TemporaryDirectory, _ port: UInt16, _ ds: String
            ) async throws -> Daemon {
                try write(ds, in: directory)
                let nsd = try Daemon(
                    "nsd", ["nsd", "-d", "-c", directory.file("nsd.conf")], directory: directory)
                try await nsd.ready {
                    try await !Dig.short("example.test", "SOA", at: "127.0.0.1", port: port).isEmpty
                }
                return nsd
            }

            /// Publishes another DS set.
            func set(_ ds: String) async throws {
                daemon.signal(SIGKILL)
                _ = await daemon.finished()
                daemon = try await Parent.started(in: directory, port, ds)
            }
        }

        /// That a parent finds what it is asked for signed by the key that its DS records point at (`dnssec-cds` of BIND
        /// 9.18 says so, though it knows no removal), and that the zone is well formed and signed with it.
        private func expectAsked(_ farm: SignedFarm, now ds: String) async throws {
            var child = ""
            for type in ["DNSKEY", "CDS", "CDNSKEY"] {
                child += try await Dig.full(
                    "smurf.example.test", type, at: "127.0.0.1", port: farm.child,
                    options: ["+dnssec", "+noall", "+answer"])
            }
            try farm.directory.write("child.keys", child)
            try farm.directory.write("dsset-smurf.example.test.", ds)
            let zone = try await farm.transferred()
            for words in [
                [
                    "dnssec-cds", "-s", "-86400", "-f", farm.directory.file("child.keys"),
                    "-d", farm.directory.path, "smurf.example.test",
                ],
                ["named-checkzone", "smurf.example.test", zone],
                ["dnssec-verify", "-z", "-o", "smurf.example.test", zone],
                ["kzonecheck", "-d", "on", "-o", "smurf.example.test", zone],
            ] {
                let judged = try await run(words)
                #expect(judged.status == 0, "\(words[0]): \(judged.output)\(judged.errors)")
            }
        }

        private func records(_ farm: SignedFarm, _ type: String) async throws -> [String] {
            try await Dig.short(
                "smurf.example.test", type, at: "127.0.0.1", port: farm.child)
        }

        /// - Parameter unless: whether the resolver's trust anchor, which the parent has no more, came to its end meanwhile.
        private func expectSecure(
            _ resolver: ValidatingResolver, _ when: String,
            unless isOver: () async throws -> Bool = { false }
        ) async throws {
            let replies = try await resolver.asked([
                ("web.smurf.example.test", "A"), ("nope.smurf.example.test", "A"),
                ("smurf.example.test", "DNSKEY"),
            ])
            guard try await !isOver() else { return }
            for reply in replies {
                #expect(reply.isSecure, "\(when): \(reply)")
            }
        }

        @Test(.timeLimit(.minutes(5)), arguments: ["csk", "split"])
        func aZoneLeavesAndComesBack(_ kind: String) async throws {
            let directory = try TemporaryDirectory()
            let parent = try await Parent(in: directory, ds: "")
            let farm = try SignedFarm([
                "--dnssec": kind, "--key-ttl": "2s", "--propagation": "1s",
                "--parent-ttl": "\(Self.parentTTL)s", "--parent": "127.0.0.1:\(parent.port)",
            ])
            var node = try await farm.start()
            try await node.ready { try await !records(farm, "CDS").isEmpty }
            let ds = try await farm.smurf("zone", "ds").output
            try await parent.set(ds)
            let check = ["zone", "check", "--parent", "127.0.0.1:\(parent.port)"]
            #expect(try await farm.smurf(check).status == 0)
            let resolver = try await farm.startResolver()
            try await expectSecure(resolver, "at the start")

            #expect(try await farm.smurf("zone", "unsign").status == 0)
            #expect(try await farm.smurf("zone", "unsign").status != 0)
            #expect(try await records(farm, "CDS") == ["0 0 0 00"])
            #expect(try await records(farm, "CDNSKEY") == ["0 3 0 AA=="])
            let refused = try await farm.smurf("zone", "ds")
            #expect(refused.status != 0 && refused.errors.contains("wants no DS"), "\(refused)")
            let differs = try await farm.smurf(check)
            #expect(differs.status == 1 && differs.output.contains("does not want"), "\(differs)")
            try await expectSecure(resolver, "while the parent is asked")
            // It is taken back, and begun again.
            #expect(try await farm.smurf("zone", "sign").status == 0)
            #expect(try await records(farm, "CDS").count == 1)
            #expect(try await records(farm, "CDS") != ["0 0 0 00"])
            #expect(try await farm.smurf("zone", "unsign").status == 0)
            // A restart goes on where it was.
            await node.stop()
            node = try await farm.start()
            #expect(try await records(farm, "CDS") == ["0 0 0 00"])

            try await expectAsked(farm, now: ds)
            try await parent.set("")
            let removed = ContinuousClock.now
            #expect(try await farm.smurf(check).status == 0)
            while try await !records(farm, "DNSKEY").isEmpty {
                try #require(ContinuousClock.now - removed < .seconds(90))
                try await expectSecure(resolver, "while caches are waited for") {
                    try await records(farm, "DNSKEY").isEmpty
                }
                try await Task.sleep(for: .milliseconds(200))
            }
            #expect(ContinuousClock.now - removed >= .seconds(Self.parentTTL))
            await resolver.daemon.stop()
            try await expectUnsigned(farm, "at the end")
            await node.stop()
            node = try await farm.start()
            try await expectUnsigned(farm, "after a restart")

            #expect(try await farm.smurf("zone", "sign").status == 0)
            try await expectVerified(farm)
            #expect(await node.stop() == 0)
            await parent.daemon.stop()
        }

        private func expectUnsigned(_ farm: SignedFarm, _ when: String) async throws {
            let zone = try await farm.transferred()
            let text = try String(contentsOfFile: zone, encoding: .utf8)
            for type in ["RRSIG", "NSEC", "DNSKEY", "CDS", "CDNSKEY"] {
                #expect(!text.contains("\t\(type)\t"), "\(when): \(type)")
            }
            #expect(text.contains("web.smurf.example.test."))
            let keys = try await farm.smurf("zone", "keys").output.split(separator: "\n")
            #expect(keys.dropFirst().allSatisfy { $0.contains("removed") }, "\(when): \(keys)")
        }

        private func expectVerified(_ farm: SignedFarm) async throws {
            let zone = try await farm.transferred()
            let bind = try await run(["dnssec-verify", "-z", "-o", "smurf.example.test", zone])
            #expect(bind.status == 0, "\(bind.output)\(bind.errors)")
        }
    }
}
