import Foundation
import TestSupport
import Testing

extension InteropTests {
    /// Relays without agents behind one name. The control node looks at them as clients would: one that does not
    /// answer leaves the name, and comes back when it does; when most fail at once, all stay.
    @Suite(.serialized)
    struct CheckedRelaysTests {
        private static func policy(_ port: UInt16) -> String {
            """
            version: 1
            zone: smurf.example.test
            defaults: {ttl: 1s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 1s}}
            movement: {max_inflight: 5, gap: 0s, min_dwell: 0s, up_window: 0s, down_window: 0s}
            guards: {dead_after: 60s, panic_below: 40%}
            roles:
              smtp-out:
                names: {smtp-out: A}
                min: 3
                check: {smtp: \(port), every: 200ms, timeout: 2s, rise: 2, fall: 2}
            members:
              - {id: r1, address: 127.0.21.1, agent: false}
              - {id: r2, address: 127.0.21.2, agent: false}
              - {id: r3, address: 127.0.21.3, agent: false}

            """
        }

        @Test(.timeLimit(.minutes(3)))
        func aRelayThatDoesNotAnswerLeavesTheName() async throws {
            let node = try ControlNodeFixture()
            let port = try Product.freePort(on: "127.0.21.1")
            try node.directory.write(
                "policy.yml", Self.policy(port).replacing("dead_after: 60s", with: "dead_after: 6s")
            )
            let control = try Daemon("serve", node.arguments(), directory: node.directory)
            try await control.ready { FileManager.default.fileExists(atPath: node.socket) }
            // Nobody is answered before somebody has looked.
            try await Task.sleep(for: .seconds(2))
            #expect(try await node.members("smtp-out") == [])

            func relay(_ number: Int) throws -> Daemon {
                try Daemon(
                    "r\(number)",
                    [Product.smurf, "sink", "--listen", "127.0.21.\(number):\(port)"],
                    directory: node.directory)
            }
            var relays = try (1...3).map(relay)
            func members(_ expected: Set<Int>, _ what: String) async throws {
                try await eventually("\(what)", within: .seconds(60)) {
                    Set(try await node.members("smtp-out"))
                        == Set(expected.map { "127.0.21.\($0)" })
                }
            }
            try await members([1, 2, 3], "all relays are answered")
            await relays[1].stop()
            try await members([1, 3], "the dead relay has left")
            let board = try await node.smurf("roles")
            #expect(
                board.output.contains("r2 fails its check smtp \(port): connection refused")
                    || board.output.contains("r2"), "\(board.output)")
            relays[1] = try relay(2)
            try await members([1, 2, 3], "it is back")
            for relay in relays { await relay.stop() }
            // All at once: more likely the network than the machines.
            try await Task.sleep(for: .seconds(4))
            #expect(try await !node.members("smtp-out").isEmpty)
            #expect(await control.stop() == 0)
        }
    }
}
