import Foundation
import TestSupport
import Testing

extension ControlInteropTests {
    /// What can happen to etcd and to the way there while three control nodes go on answering: networks that are cut, and
    /// an etcd that is full. Resolvers ask every node all the time, as in `ClusterTests`.
    @Suite(.serialized) struct ClusterFaultTests {
        /// The network between the leader and every member of etcd loses all packets; nothing is closed.
        @Test(.timeLimit(.minutes(3)))
        func aLeaderThatIsCutOffFromEtcdStepsDownAndComesBack() async throws {
            try await ClusterFixture(isRelayed: true).use { farm in
                let old = try await farm.leader()
                let rest = farm.others(old)
                let stale = try await farm.members("web", at: old)
                let began = ContinuousClock.now
                farm.cutOff(old)
                let held = try await farm.holdOne(at: rest)
                print("leader cut off; the next one's plan after \(ContinuousClock.now - began)")
                try await eventually("the old one says that it cannot reach etcd") {
                    let view = try await farm.cluster(old)
                    let trouble = view?["trouble"] as? String ?? ""
                    return view != nil && view?["leads"] as? Bool != true && !trouble.isEmpty
                }
                #expect(try await farm.members("web", at: old) == stale)
                let refused = try await farm.smurf(old, "hold", "s02", "--reason", "x")
                #expect(refused.status == 2, "\(refused.output)")
                #expect(refused.errors.contains("does not lead"), "\(refused.errors)")

                let healed = ContinuousClock.now
                farm.cutOff(old, false)
                try await farm.isSettled(web: 2)
                print("reached again; all answer the same after \(ContinuousClock.now - healed)")
                let board = try await farm.smurf(old, "roles")
                #expect(!board.output.contains("! etcd"), "\(board.output)")
                try await farm.order(["release", held])
                try await farm.isSettled(web: 2)
                // Terms never mix: what the old one may have wanted to write was not written.
                let history = try await farm.history()
                for (earlier, later) in zip(history, history.dropFirst()) {
                    #expect(earlier.term <= later.term, "\(earlier) before \(later)")
                }
            }
        }

        /// etcd's leader is alone: it does not notice at once, and clients still reach it.
        @Test(.timeLimit(.minutes(4)))
        func anEtcdLeaderThatIsCutOffFromItsPeersIsLeft() async throws {
            let etcd = try EtcdCluster(members: 3, isRelayed: true)
            try await ClusterFixture(etcd: etcd).use { farm in
                let member = try await etcd.leader()
                let moves = try await farm.historyAtRest().count
                let began = ContinuousClock.now
                try await etcd.cutOff(member)
                let held = try await farm.holdOne()
                print("etcd's leader cut off; a plan after \(ContinuousClock.now - began)")
                #expect(ContinuousClock.now - began < .seconds(20))
                try await farm.isSettled(web: 2)
                let other = try await etcd.leader()
                #expect(other != member)
                // Two machines at most: nobody was held to be dead for it.
                let touched = Set(try await farm.history().dropFirst(moves).map(\.smurf))
                #expect(touched.contains(held) && touched.count <= 2, "\(touched)")
                etcd.heal()
                try await eventually("the member is one of them again") {
                    let fields = try await etcd.fields(of: member)
                    let raft = try await etcd.fields(of: other)
                    return fields["\"Leader\""] == raft["\"Leader\""]
                        && fields["\"Leader\""] != "0"
                }
                try await farm.order(["release", held])
                try await farm.isSettled(web: 2)
            }
        }

        private static let quota = 4 << 20

        private func fill(_ etcd: EtcdCluster) async throws {
            let junk = String(repeating: "junk ", count: 20_000)
            for _ in 0..<200 {
                if try await etcd.control("put", "/junk", junk).status != 0 { return }
            }
            throw Failure("etcd does not become full")
        }

        /// What an operator types, as docs/guides/cluster.md says it.
        private func makeRoom(_ etcd: EtcdCluster) async throws {
            let revision = try #require(try await etcd.fields(of: 0)["\"Revision\""])
            let compacted = try await etcd.control("compact", revision)
            #expect(compacted.status == 0, "\(compacted.errors)")
            for url in etcd.urls {
                let done = try await etcd.control("defrag", at: [url])
                #expect(done.status == 0, "\(done.errors)")
            }
            let disarmed = try await etcd.control("alarm", "disarm")
            #expect(disarmed.status == 0, "\(disarmed.errors)")
        }

        private func alarm(_ index: Int, _ farm: ClusterFixture) async throws -> String {
            let counted = try await farm.smurf(index, "dns", "stats", "--prometheus")
            return counted.output.split(separator: "\n")
                .first { $0.hasPrefix("smurf_cluster_etcd_alarm ") }.map(String.init) ?? "none"
        }

        @Test(.timeLimit(.minutes(4)))
        func aFullEtcdIsSaidAndTheFarmGoesOnWhenThereIsRoom() async throws {
            let etcd = try EtcdCluster(
                members: 3, options: ["--quota-backend-bytes", "\(ClusterFaultTests.quota)"])
            try await ClusterFixture(etcd: etcd).use { farm in
                #expect(try await alarm(0, farm) == "smurf_cluster_etcd_alarm 0")
                let leader = try await farm.leader()
                let before = try await farm.historyAtRest().count
                let term = try await farm.cluster(leader)?["term"] as? String
                try await fill(etcd)
                for index in 0..<3 {
                    try await eventually("node \(index) says that etcd is full") {
                        let board = try await farm.smurf(index, "roles").output
                        let line = try await alarm(index, farm)
                        return board.contains("! etcd is full (alarm NOSPACE)")
                            && line == "smurf_cluster_etcd_alarm 1"
                    }
                    #expect(farm.nodes[index]?.log.contains("etcd is full") == true)
                }
                // Its lease is renewed all the same: it leads on, and cannot change anything.
                let refused = try await farm.smurf(leader, "hold", "s01", "--reason", "x")
                #expect(refused.status != 0, "\(refused.output)")
                #expect(refused.errors.contains("database space exceeded"), "\(refused.errors)")
                let policy = try farm.directory.write(
                    "new.yml", ClusterFixture.policy.replacing("gap: 0s", with: "gap: 1s"))
                let applied = try await farm.smurf(
                    leader, "policy", "apply", policy, "--yes", "--no-simulation")
                #expect(applied.status == 2, "\(applied.output)")
                #expect(applied.errors.contains("nothing was changed"), "\(applied.errors)")
                let serials = farm.watches.map(\.serial)
                try await Task.sleep(for: .seconds(5))
                let view = try await farm.cluster(leader)
                #expect(view?["leads"] as? Bool == true, "\(String(describing: view))")
                #expect(view?["term"] as? String == term, "no other term has begun")
                #expect(farm.watches.map(\.serial) == serials)
                #expect(try await farm.history().count == before)

                try await makeRoom(etcd)
                try await farm.order(["hold", "s01", "--reason", "x", "--for", "1h"])
                try await farm.isSettled(web: 2)
                for index in 0..<3 {
                    try await eventually("node \(index) is content") {
                        try await alarm(index, farm) == "smurf_cluster_etcd_alarm 0"
                    }
                    let board = try await farm.smurf(index, "roles").output
                    #expect(!board.contains("! etcd is full"), "\(board)")
                }
                try await loseTheLeaderWhileFull(farm)
            }
        }

        /// Nobody else can begin to lead, for that has to be written too; as soon as there is room, one does.
        private func loseTheLeaderWhileFull(_ farm: ClusterFixture) async throws {
            try await fill(farm.etcd)
            let old = try await farm.leader()
            let rest = farm.others(old)
            await farm.signal(old, SIGKILL)
            for index in rest {
                try await eventually("node \(index) says that nobody leads") {
                    let board = try await farm.smurf(index, "roles").output
                    return board.contains("! etcd is full") && !board.contains("leads, term")
                }
                #expect(try await farm.members("web", at: index).count == 2)
            }
            // One that starts now has its saved answers, and no lease.
            try farm.startNode(old)
            try await farm.isBack(old)
            try await makeRoom(farm.etcd)
            _ = try await farm.leader()
            try await farm.order(["release", "s01"])
            try await farm.isSettled(web: 2)
        }
    }
}
