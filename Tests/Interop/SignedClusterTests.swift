import Foundation
import TestSupport
import Testing

extension ControlInteropTests {
    /// Control nodes that share a signed zone through etcd. A validating resolver stands at every one, and all trust the same
    /// DS record; nodes lead in turn, are killed, and one begins on an empty disk.
    @Suite(.serialized) struct SignedClusterTests {
        private static let secure: [(name: String, type: String)] = [
            ("smurf.example.test", "SOA"), ("smurf.example.test", "DNSKEY"),
            ("web.smurf.example.test", "A"), ("nope.smurf.example.test", "A"),
            ("www.smurf.example.test", "A"),
        ]

        /// So that no key lingers longer than a test does.
        private static let policy = ClusterFixture.policy.replacing(
            "{ttl: 1s,", with: "{ttl: 1s, host_ttl: 2s,")

        private func farm(_ directory: TemporaryDirectory) throws -> ClusterFixture {
            try directory.write("pass", "correct horse battery staple\n")
            chmod(directory.file("pass"), 0o600)
            return try ClusterFixture(
                options: [
                    "--dnssec", "csk", "--keys-passphrase", directory.file("pass"), "--key-ttl",
                    "2s",
                    "--propagation", "1s", "--parent-ttl", "2s", "--signature-validity", "60s",
                ], policy: SignedClusterTests.policy,
                zone: ControlNodeFixture.zone.replacing("$TTL 3600", with: "$TTL 2")
                    + "www IN CNAME web\n")
        }

        private func expectSecure(
            _ resolvers: [ValidatingResolver], _ farm: ClusterFixture, _ when: String
        ) async throws {
            for (index, resolver) in resolvers.enumerated() where farm.nodes[index] != nil {
                let found = try await resolver.asked(SignedClusterTests.secure)
                try #require(found.count == SignedClusterTests.secure.count, "\(when)")
                for (question, reply) in zip(SignedClusterTests.secure, found) {
                    #expect(
                        reply.isSecure, "\(when), at node \(index): \(question): \(reply.status)")
                }
            }
        }

        private func startResolvers(
            _ farm: ClusterFixture, _ directory: TemporaryDirectory
        ) async throws -> [ValidatingResolver] {
            let anchor = try await farm.smurf(farm.leader(), "zone", "ds").output
            var resolvers: [ValidatingResolver] = []
            for index in farm.nodes.indices {
                resolvers.append(
                    try await ValidatingResolver.start(
                        anchor: anchor, child: farm.dnsPort(index), in: directory,
                        name: "unbound\(index)"))
            }
            return resolvers
        }

        private func keys(_ farm: ClusterFixture, _ index: Int) async throws -> String {
            try await farm.smurf(index, "zone", "keys").output
        }

        /// Waits until every node that runs has the same keys.
        private func haveSameKeys(
            _ farm: ClusterFixture, _ isSo: (String) -> Bool = { !$0.isEmpty }
        ) async throws {
            try await eventually("all nodes have the same keys") {
                var found: Set<String> = []
                for index in farm.nodes.indices where farm.nodes[index] != nil {
                    let said = try await Dig.short(
                        "smurf.example.test", "DNSKEY", at: "127.0.0.1", port: farm.dnsPort(index))
                    found.insert(said.sorted().joined(separator: "\n"))
                }
                return found.count == 1 && isSo(found.first ?? "")
            }
        }

        @Test(.timeLimit(.minutes(6)))
        func everyNodesAnswersAreSecureWhoeverLeads() async throws {
            let directory = try TemporaryDirectory()
            let farm = try farm(directory)
            try await farm.use { farm in
                try await haveSameKeys(farm)
                var resolvers = try await startResolvers(farm, directory)
                try await expectSecure(resolvers, farm, "at the start")
                try await rollUnderChangingLeaders(farm, directory, &resolvers)
                try await beginOnAnEmptyDisk(farm, resolvers)
                try await restoreABackup(farm, resolvers)
                for resolver in resolvers { await resolver.daemon.stop() }
            }
        }

        /// A key is replaced by orders to three leaders, each of which is killed after its own.
        private func rollUnderChangingLeaders(
            _ farm: ClusterFixture, _ directory: TemporaryDirectory,
            _ resolvers: inout [ValidatingResolver]
        ) async throws {
            let first = try await farm.leader()
            let follower = (first + 1) % 3
            let refused = try await farm.smurf(follower, "zone", "roll")
            #expect(refused.status == 2 && refused.errors.contains("leads: say it there"))
            let old = try await farm.smurf(follower, "zone", "ds").output.split(separator: " ")[3]
            let asked = try await farm.smurf(first, "zone", "roll")
            #expect(asked.status == 0, "\(asked.errors)")
            try await haveSameKeys(farm) { $0.contains("\n") }
            try await expectSecure(resolvers, farm, "two keys")
            await farm.signal(first, SIGKILL)
            // The parent is this test: it has the old DS until CDS asks for another.
            try await eventually("CDS asks for the new key, by the next leader's clock") {
                try await expectSecure(resolvers, farm, "before the parent knows")
                let cds = try await Dig.short(
                    "smurf.example.test", "CDS", at: "127.0.0.1", port: farm.dnsPort(follower))
                return cds.first.map { !$0.hasPrefix(old) } ?? false
            }
            try farm.startNode(first)
            try await farm.isBack(first)
            try await haveSameKeys(farm)
            for resolver in resolvers { await resolver.daemon.stop() }
            resolvers = try await startResolvers(farm, directory)
            try await expectSecure(resolvers, farm, "as the parent changes")
            let second = try await farm.leader()
            #expect(try await farm.smurf(second, "zone", "roll", "--delegated").status == 0)
            try await eventually("the old key is removed") {
                try await expectSecure(resolvers, farm, "as the keys change")
                return try await keys(farm, second).contains("removed")
            }
            try await haveSameKeys(farm) { !$0.contains("\n") }
            let history = try await farm.smurf(second, "history").output
            #expect(history.contains("replace the key that the parent knows"), "\(history)")
        }

        /// What a node has on its disk is a copy: another brings it all.
        private func beginOnAnEmptyDisk(
            _ farm: ClusterFixture, _ resolvers: [ValidatingResolver]
        ) async throws {
            let leader = try await farm.leader()
            await farm.signal(leader, SIGKILL)
            try FileManager.default.removeItem(atPath: farm.data(leader))
            try farm.startNode(leader)
            try await farm.isBack(leader)
            try await haveSameKeys(farm)
            try await farm.isSettled(web: 2)
            try await expectSecure(resolvers, farm, "with a node that began on an empty disk")
            let files = try FileManager.default.contentsOfDirectory(
                atPath: farm.data(leader) + "/keys")
            for file in files where file.hasSuffix(".private") {
                let text = try String(
                    contentsOfFile: farm.data(leader) + "/keys/" + file, encoding: .utf8)
                #expect(text.contains("ENCRYPTED") && !text.contains("PrivateKey:"))
            }
        }

        /// A backup of before a key was replaced: its key is not taken up again by nodes that know better.
        private func restoreABackup(
            _ farm: ClusterFixture, _ resolvers: [ValidatingResolver]
        ) async throws {
            let snapshot = farm.directory.file("snapshot")
            let saved = try await farm.etcd.control(
                "snapshot", "save", snapshot, at: [farm.etcd.url(0)])
            #expect(saved.status == 0, "\(saved.errors)")
            let leader = try await farm.leader()
            #expect(try await farm.smurf(leader, "zone", "roll").status == 0)
            try await haveSameKeys(farm) { $0.contains("\n") }
            for index in 0..<3 { await farm.signal(index, SIGKILL) }
            try await farm.etcd.restore(snapshot)
            for index in 0..<3 { try farm.startNode(index) }
            for index in 0..<3 { try await farm.isBack(index) }
            try await farm.isSettled(web: 2)
            try await haveSameKeys(farm) { $0.contains("\n") }
            try await expectSecure(resolvers, farm, "after an old backup")
        }
    }
}
