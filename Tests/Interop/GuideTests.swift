import Foundation
import TestSupport
import Testing

extension ControlInteropTests {
    /// The commands of the guides to operation, to signing and to the control API are typed as they stand there, by root, on a machine that has
    /// only policy and zone file.
    @Suite(.serialized, .enabled(if: geteuid() == 0, "ports and accounts of its own need root"))
    struct GuideTests {
        private static let policy = """
            version: 1
            zone: smurf.example.test
            defaults: {ttl: 1s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 1s}}
            movement: {max_inflight: 3, gap: 0s, min_dwell: 0s}
            roles:
              web: {names: {web: A}, min: 1, service: none}
            members:
              - {id: s01, address: 127.0.1.1, agent: false}
              - {id: s02, address: 127.0.1.2, agent: false}
              - {id: s03, address: 127.0.1.3, agent: false}
            """

        /// Writes what the reader has.
        private func files(nameServer: String) -> String {
            """
            cat > policy.yml <<'X'
            \(GuideTests.policy)
            X
            sed 's/127.0.0.1$/\(nameServer)/' Zones/smurf.example.test.zone > static.zone

            """
        }

        @Test(.timeLimit(.minutes(4))) func operationWorksAsItIsWritten() async throws {
            let guide = try TypedGuide("operation.md")
            #expect(guide.blocks.count == 8)
            let result = try await guide.type(
                within: 200, before: files(nameServer: "127.0.0.1"), isAlone: true)
            let said = "\(result.output)\n\(result.errors.suffix(6000))"
            #expect(result.status == 0, "\(said)")
            for line in [
                "roles.web.min: 1 → 2", "policy.yml was written and is followed",
                "fewer clicks at night", "s03 moves to web for 30 min", "s02 is drained and held",
                "s01 stays where it is", "s01 may take roles again", "smurf_dns_saved 1",
                "web.smurf.example.test/IN/A",
            ] { #expect(result.output.contains(line), "'\(line)' is missing in \(said)") }
        }

        @Test(.timeLimit(.minutes(4))) func signingWorksAsItIsWritten() async throws {
            let guide = try TypedGuide("signing.md")
            #expect(guide.blocks.count == 7)
            // Two servers of the parent, which load its zone anew when the operator has written it.
            let parent = """
                for address in 192.0.2.1 192.0.2.100 198.51.100.100; do ip address add $address/32 dev lo; done
                cat > example.test.zone <<'X'
                example.test. 3600 IN SOA ns.example.test. host.example.test. 1 3600 600 86400 60
                example.test. 3600 IN NS ns.example.test.
                ns.example.test. 3600 IN A 192.0.2.100
                X
                cat > parent.conf <<X
                server:
                  ip-address: 192.0.2.100
                  ip-address: 198.51.100.100
                  username: ""
                  zonesdir: "$PWD"
                  database: ""
                  pidfile: "$PWD/parent.pid"
                  xfrdfile: "$PWD/parent.state"
                  xfrdir: "$PWD"
                  zonelistfile: "$PWD/parent.list"
                  server-count: 1
                remote-control:
                  control-enable: no
                zone:
                  name: example.test
                  zonefile: example.test.zone
                X
                nsd -c parent.conf

                """
            let result = try await guide.type(
                within: 200, before: files(nameServer: "192.0.2.1") + parent,
                others: [
                    1: "cat delegation.txt >> example.test.zone; kill -HUP $(cat parent.pid)\n"
                ], isAlone: true)
            let said = "\(result.output)\n\(result.errors.suffix(6000))"
            #expect(result.status == 0, "\(said)")
            for line in [
                " IN DS ", "says of smurf.example.test what it ought to",
                "keys encrypted on disk: 2",
                "asked to remove its DS records", "asked for DS records in time",
            ] {
                #expect(result.output.contains(line), "'\(line)' is missing in \(said)")
            }
        }

        /// A program that knows nothing but the file of the service asks and orders.
        @Test(.timeLimit(.minutes(4))) func theControlNodeIsAskedFromPython() async throws {
            let guide = try TypedGuide("control-api.md")
            let result = try await guide.type(
                within: 200, before: files(nameServer: "127.0.0.1"), isAlone: true)
            let said = "\(result.output)\n\(result.errors.suffix(6000))"
            #expect(result.status == 0, "\(said)")
            for line in [
                "s03 is drained and held for 1 h", "web wants 1 has s0", "s03 inventory",
                "refused, as it should be",
            ] { #expect(result.output.contains(line), "'\(line)' is missing in \(said)") }
            #expect(result.errors.contains("FAILED_PRECONDITION: "), "\(said)")
        }
    }
}
