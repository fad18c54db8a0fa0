import Foundation
import TestSupport
import Testing

extension ControlInteropTests {
    /// Three control nodes on three members of etcd, and whatever can happen to them. Resolvers ask every control node
    /// all the time; what they may never see is silence of a node that runs, an empty answer, or a serial that went back.
    @Suite(.serialized)
    struct ClusterTests {
        /// What may pass between the loss of a leader and the next one's plan, by what was asked of it.
        private static let limit = Duration.seconds(ClusterFixture.leaderTTL + 2)

        @Test(.timeLimit(.minutes(5)))
        func leadersEtcdsLeadersQuorumLeasesAndBackupsComeAndGo() async throws {
            let farm = try ClusterFixture()
            try await farm.use { farm in
                try await askAFollower(farm)
                try await answerAChallenge(farm)
                let rounds = ProcessInfo.processInfo.environment["SMURF_SOAK"] == nil ? 1 : 8
                for _ in 0..<rounds { try await killTheLeader(farm) }
                try await stopTheLeaderForAWhile(farm)
                try await killEtcdsLeader(farm)
                try await loseTheQuorum(farm)
                try await loseEveryLease(farm)
                try await restoreABackup(farm)
                try await checkTheHistory(farm)
                print("asked \(farm.watches.map(\.asked))")
            }
        }

        /// Holds one, lets it go, and waits until all is as before.
        private func moveOnce(_ farm: ClusterFixture) async throws {
            let held = try await farm.holdOne()
            try await farm.order(["release", held])
            try await farm.isSettled(web: 2)
        }

        /// What a certificate authority wants to see is answered by every node, for it may ask any.
        private func answerAChallenge(_ farm: ClusterFixture) async throws {
            let words = ["zone", "challenge"]
            try await farm.order(words + ["add", "web", "token", "--for", "1h"])
            for index in farm.nodes.indices {
                try await eventually("node \(index) answers it", every: .milliseconds(20)) {
                    try await Dig.short(
                        "_acme-challenge.web.smurf.example.test", "TXT", at: "127.0.0.1",
                        port: farm.dnsPort(index)) == ["\"token\""]
                }
            }
            try await farm.order(words + ["remove", "web"])
        }

        /// Whoever does not lead says who does, and changes nothing.
        private func askAFollower(_ farm: ClusterFixture) async throws {
            let leader = try await farm.leader()
            let follower = farm.others(leader)[0]
            let name = "'\(ClusterFixture.names[leader])'"
            let letter = Product.root + "/Tests/Interop/letter.eml"
            let table = try farm.directory.write("readers.csv", RecipientRows.csv(3))
            for words in [
                ["hold", "s01", "--reason", "x"], ["cordon", "s01", "--reason", "x"],
                ["send", letter, table, "--name", "x"],
            ] {
                let said = try await farm.smurf(follower, words)
                #expect(said.status == 2 && said.errors.contains(name), "\(words): \(said.errors)")
            }
            let board = try await farm.smurf(follower, "roles")
            #expect(board.output.contains("follows (this one)"), "\(board.output)")
            #expect(board.output.contains("\(name) plans"), "\(board.output)")
            let history = try await farm.smurf(follower, "history")
            #expect(history.output.contains("scheduler on n"), "\(history.output)")
        }

        private func killTheLeader(_ farm: ClusterFixture) async throws {
            let old = try await farm.leader()
            let rest = farm.others(old)
            let term = try await farm.gaugesTell()
            let began = ContinuousClock.now
            await farm.signal(old, SIGKILL)
            let held = try await farm.holdOne(at: rest)
            let took = ContinuousClock.now - began
            print("leader killed; the next one's plan was answered after \(took)")
            #expect(took < ClusterTests.limit)
            try await farm.order(["release", held], at: rest)
            let next = try await farm.gaugesTell(of: rest)
            #expect(next > term)
            try farm.startNode(old)
            try await farm.isSettled(web: 2)
            try await farm.isBack(old)
        }

        private func stopTheLeaderForAWhile(_ farm: ClusterFixture) async throws {
            let old = try await farm.leader()
            let rest = farm.others(old)
            let began = ContinuousClock.now
            await farm.signal(old, SIGSTOP)
            let held = try await farm.holdOne(at: rest)
            let took = ContinuousClock.now - began
            print("leader stopped; the next one's plan was answered after \(took)")
            #expect(took < ClusterTests.limit)
            await farm.signal(old, SIGCONT)
            try await farm.isBack(old)
            try await farm.isSettled(web: 2)
            let view = try await farm.cluster(old)
            #expect(view?["leads"] as? Bool != true, "\(String(describing: view))")
            try await farm.order(["release", held])
        }

        private func killEtcdsLeader(_ farm: ClusterFixture) async throws {
            let member = try await farm.etcd.leader()
            let moves = try await farm.historyAtRest().count
            let began = ContinuousClock.now
            await farm.etcd.signal(member, SIGKILL)
            let held = try await farm.holdOne()
            print("etcd's leader killed; a plan was answered after \(ContinuousClock.now - began)")
            try await farm.isSettled(web: 2)
            let touched = Set(try await farm.history().dropFirst(moves).map(\.smurf))
            #expect(touched.contains(held) && touched.count <= 2, "\(touched)")
            try farm.etcd.start(member)
            try await farm.etcd.isHealthy()
            try await farm.order(["release", held])
            try await farm.isSettled(web: 2)
        }

        private func loseTheQuorum(_ farm: ClusterFixture) async throws {
            let before = try await farm.historyAtRest().count
            let lost = [0, 1]
            for member in lost { await farm.etcd.signal(member, SIGKILL) }
            try await eventually("every node says that etcd cannot be reached") {
                for index in 0..<3 {
                    let trouble = try await farm.cluster(index)?["trouble"] as? String ?? ""
                    if trouble.isEmpty { return false }
                }
                return true
            }
            try await eventually("the gauges say that nobody leads, for etcd is not there") {
                for index in 0..<3 {
                    let gauges = try await farm.gauges(index)
                    if gauges["etcd_up"] != 0 || gauges["leads"] != 0 { return false }
                }
                return true
            }
            for index in 0..<3 {
                let said = try await farm.smurf(
                    index, ["hold", "s01", "--reason", "no quorum", "--for", "1h"])
                #expect(said.status != 0, "\(said.output)")
                #expect(try await farm.members("web", at: index).count == 2)
                #expect(try await farm.members("relay", at: index).count == 2)
            }
            let began = ContinuousClock.now
            for member in lost { try farm.etcd.start(member) }
            _ = try await farm.leader()
            print("quorum back; a node led after \(ContinuousClock.now - began)")
            try await farm.etcd.isHealthy()
            // Whoever leads has planned for a while: it must not have found anything to move.
            try await Task.sleep(for: .seconds(1))
            let moves = try await farm.history().dropFirst(before)
            #expect(moves.isEmpty, "without quorum: \(moves)")
            try await moveOnce(farm)
        }

        private func loseEveryLease(_ farm: ClusterFixture) async throws {
            let before = try await farm.historyAtRest().count
            let serials = farm.watches.map(\.serial)
            let term = try await farm.cluster(farm.leader())?["term"] as? String
            for line in try await farm.etcd.control("lease", "list").output.split(separator: "\n")
            where !line.contains("found") {
                try await farm.etcd.control("lease", "revoke", String(line))
            }
            try await eventually("another term has begun") {
                let now = try await farm.cluster(farm.leader())?["term"] as? String
                return now != nil && now != term
            }
            try await Task.sleep(for: .seconds(1))
            let moves = try await farm.history().dropFirst(before)
            #expect(moves.isEmpty, "a lost lease is no dead machine: \(moves)")
            #expect(farm.watches.map(\.serial) == serials)
            try await moveOnce(farm)
        }

        private func restoreABackup(_ farm: ClusterFixture) async throws {
            let snapshot = farm.directory.file("snapshot")
            let saved = try await farm.etcd.control(
                "snapshot", "save", snapshot, at: [farm.etcd.url(0)])
            #expect(saved.status == 0, "\(saved.errors)")
            let held = [try await farm.holdOne(), try await farm.holdOne()]
            try await farm.isSettled(web: 2)
            let members = try await farm.members("web", at: 0)
            let serial = try #require(farm.watches[0].serial)
            try await farm.etcd.restore(snapshot)
            _ = try await farm.leader()
            // The backup knows nothing of the two that are held; whoever has seen it does.
            try await Task.sleep(for: .seconds(2))
            #expect(try await farm.members("web", at: 0) == members)
            for id in held { try await farm.order(["release", id]) }
            try await moveOnce(farm)
            try await farm.isSettled(web: 2)
            for watch in farm.watches {
                let now = try #require(watch.serial)
                #expect(now == serial || now &- serial < 1 << 31, "\(serial) → \(now)")
            }

            // All nodes at once, whose disks alone know how far the serial was.
            let last = farm.watches.map(\.serial)
            for index in 0..<3 { await farm.signal(index, SIGKILL) }
            try await farm.etcd.restore(snapshot)
            for index in 0..<3 { try farm.startNode(index) }
            try await farm.isSettled(web: 2)
            for index in 0..<3 { try await farm.isBack(index) }
            try await moveOnce(farm)
            for (before, watch) in zip(last, farm.watches) {
                let (before, now) = (try #require(before), try #require(watch.serial))
                #expect(now == before || now &- before < 1 << 31, "\(before) → \(now)")
            }
        }

        /// Every write was made by the one that led: terms never mix, and each has one node.
        private func checkTheHistory(_ farm: ClusterFixture) async throws {
            let history = try await farm.history()
            #expect(history.count > 10)
            var nodes: [Int: String] = [:]
            for (earlier, later) in zip(history, history.dropFirst()) {
                #expect(earlier.term <= later.term, "\(earlier) before \(later)")
            }
            for entry in history {
                #expect(
                    nodes[entry.term] ?? entry.node == entry.node,
                    "two nodes wrote in term \(entry.term)")
                nodes[entry.term] = entry.node
            }
            print("\(history.count) entries of \(nodes.count) terms")
        }

        @Test(.timeLimit(.minutes(2)))
        func withoutEtcdASavedViewIsServedAndANewNodeAnswersServfail() async throws {
            let farm = try ClusterFixture()
            try await farm.etcd.start()
            try farm.startNode(0)
            try await eventually("the first answers") {
                try await farm.members("web", at: 0).count == 2
            }
            let members = try await farm.members("web", at: 0)
            await farm.nodes[0]?.stop()
            for member in 0..<3 { await farm.etcd.signal(member, SIGKILL) }

            try farm.startNode(0)
            try farm.startNode(1)
            try await eventually("what was saved is answered") {
                try await farm.members("web", at: 0) == members
            }
            try await eventually("it says so") {
                try await farm.smurf(0, "roles").output.contains("! etcd cannot be reached")
            }
            let held = try await farm.smurf(0, "hold", "s01", "--reason", "x")
            #expect(held.status == 2 && held.errors.contains("does not lead"), "\(held.errors)")
            // Nothing is known here, and a resolver must not take it for "no such name".
            #expect(farm.nodes[1]?.log.contains("answers SERVFAIL") == true)
            let reply = try await Dig.full(
                "web." + ClusterFixture.zone, "A", at: "127.0.0.1", port: farm.dnsPort(1))
            #expect(reply.contains("SERVFAIL"), "\(reply)")

            for member in 0..<3 { try farm.etcd.start(member) }
            try await farm.etcd.isHealthy()
            try await eventually("both answer the same") {
                let first = try await farm.members("web", at: 0)
                let second = try await farm.members("web", at: 1)
                return first == members && second == members
            }
            await farm.stop()
        }

        @Test(arguments: [
            (["--etcd", "http://127.0.0.1"], "--node NAME"),
            (["--etcd", "http://192.0.2.1:2379", "--node", "n1"], "--etcd-plain"),
            (["--etcd", "https://192.0.2.1:2379", "--node", "n1"], "--etcd-cert"),
            (["--etcd", "192.0.2.1:2379", "--node", "n1"], "is no URL"),
            (["--etcd", "http://127.0.0.1", "--node", "N_1"], "one label"),
            (["--etcd", "http://127.0.0.1", "--node", "n1", "--leader-ttl", "1s"], "2s to 60s"),
            (
                ["--etcd", "http://127.0.0.1", "--node", "n1", "--dnssec", "csk"],
                "the same --keys-passphrase"
            ),
            (["--node", "n1"], "go with --etcd"),
            (["--etcd-user", "n1"], "go with --etcd"),
            (["--etcd", "http://127.0.0.1", "--node", "n1", "--etcd-user", "x"], "go together"),
            (
                [
                    "--etcd", "https://192.0.2.1:2379", "--node", "n1", "--etcd-user", "x",
                    "--etcd-password-file", "p",
                ], "--etcd-ca"
            ),
            (["--etcd", "http://127.0.0.1", "--node", "n1", "--etcd-ca", "x"], "go together"),
        ])
        func mistakesAreSaidAtTheStart(_ words: [String], _ said: String) async throws {
            let directory = try TemporaryDirectory()
            let result = try await run(
                [
                    Product.smurf, "serve", "--policy", "none", "--zone", "none", "--data",
                    directory.file("d"),
                ] + words)
            #expect(result.status == 64, "\(result.errors)")
            #expect(result.errors.contains(said), "\(result.errors)")
        }
    }
}
