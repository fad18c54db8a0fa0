import Foundation
import TestSupport
import Testing

extension ControlInteropTests {
    /// Another policy for three control nodes on an etcd of three members: applied once, followed by all, whoever leads,
    /// whatever is killed, and whatever their own files say.
    @Suite(.serialized) struct ClusterPolicyTests {
        private static let zone = ClusterFixture.zone

        /// Three members in `web`, of which an answer holds two, under a second name, for seven seconds.
        private static let applied = ClusterFixture.policy.replacing(
            "web: {names: {web: A}, min: 2, service: none}",
            with: "web: {names: {web: A, www: A}, min: 3, ttl: 7s, answer: 2, service: none}")

        @Test(.timeLimit(.minutes(5)))
        func anAppliedPolicyIsEverybodysAndStays() async throws {
            let farm = try ClusterFixture()
            try await farm.use { farm in
                try await applyByWayOfAFollower(farm)
                try await whoDoesNotFollowItsFileSaysSo(farm)
                try await rereadingFilesChangesNothing(farm)
                try await whatIsWrongChangesNothing(farm)
                try await killTheLeader(farm)
                try await restartAll(farm)
                try await applyTwoAtOnce(farm)
                try await applyWithoutQuorum(farm)
                try await aBackupsOlderPolicyIsNotTaken(farm)
                try await releaseIt(farm)
            }
        }

        private func apply(
            _ text: String, at index: Int, _ farm: ClusterFixture, file: String = "new.yml",
            _ options: String...
        ) async throws -> Finished {
            let path = try farm.directory.write(file, text)
            return try await farm.smurf(
                index, ["policy", "apply", path, "--yes", "--no-simulation"] + options)
        }

        /// The policy's text as one node has it.
        private func shown(_ index: Int, _ farm: ClusterFixture) async throws -> String {
            try await farm.smurf(index, "policy", "show").output
        }

        /// Waits until the name servers of all that run answer by the applied policy: its second name, its TTL, its `answer`.
        private func isAnswered(
            by indices: [Int] = [0, 1, 2], _ farm: ClusterFixture
        ) async throws {
            for index in indices {
                try await eventually("\(ClusterFixture.names[index]) answers by it") {
                    let reply = try await Dig.full(
                        "www.\(ClusterPolicyTests.zone)", "A", at: "127.0.0.1",
                        port: farm.dnsPort(index), options: ["+noall", "+answer"])
                    let lines = reply.split(separator: "\n")
                    return lines.count == 2 && lines.allSatisfy { $0.contains("\t7\tIN\tA\t") }
                }
            }
        }

        private func applyByWayOfAFollower(_ farm: ClusterFixture) async throws {
            let leader = try await farm.leader()
            let follower = farm.others(leader)[0]
            let name = ClusterFixture.names[leader]
            let refused = try await apply(ClusterPolicyTests.applied, at: follower, farm)
            #expect(refused.status == 2, "\(refused.output)")
            #expect(refused.errors.contains("'\(name)' leads: say it there"), "\(refused.errors)")
            #expect(refused.output.contains("  roles.web.min: 2 → 3"), "\(refused.output)")

            let done = try await apply(
                ClusterPolicyTests.applied, at: leader, farm, "--reason", "more clicks")
            #expect(done.status == 0, "\(done.errors)")
            #expect(done.output.contains("all control nodes follow it"), "\(done.output)")
            try await isAnswered(farm)
            for index in 0..<3 {
                try await eventually("node \(index) has it") {
                    try await shown(index, farm) == ClusterPolicyTests.applied
                }
            }
            let history = try await farm.smurf(follower, "history", "--json")
            #expect(
                history.output.contains("more clicks: roles.web.answer: "), "\(history.output)")
            #expect(history.output.contains("\"who\":\"\(NSUserName())\""), "\(history.output)")
            let again = try await apply(ClusterPolicyTests.applied, at: leader, farm)
            #expect(again.output.hasPrefix("no difference to the farm's policy"), "\(again)")
        }

        private func whoDoesNotFollowItsFileSaysSo(_ farm: ClusterFixture) async throws {
            let note = "the file of --policy says something else and is not followed"
            for index in 0..<3 {
                let board = try await farm.smurf(index, "roles")
                #expect(board.output.contains("! " + note), "\(board.output)")
                let policy = try await farm.cluster(index)?["policy"] as? [String: Any]
                #expect(policy?["fileDiffers"] as? Bool == true, "\(String(describing: policy))")
                #expect(policy?["reason"] as? String == "more clicks")
                #expect(try await farm.gauges(index)["policy_file_differs"] == 1)
                #expect(farm.nodes[index]?.log.contains(note) == true)
                let diff = try await farm.smurf(
                    index, "policy", "diff", farm.directory.file("policy.yml"))
                #expect(diff.output.contains("  roles.web.min: 3 → 2"), "\(diff.output)")
                #expect(diff.errors.contains("followed is the farm's policy"), "\(diff.errors)")
                #expect(diff.errors.contains("says something else and is not followed"))
            }
        }

        /// A file that differs is said and not followed, by the one that leads either.
        private func rereadingFilesChangesNothing(_ farm: ClusterFixture) async throws {
            for index in 0..<3 {
                let node = try #require(farm.nodes[index])
                let before = node.log.components(separatedBy: "were read anew").count
                node.signal(SIGHUP)
                try await eventually("node \(index) has read its files") {
                    node.log.components(separatedBy: "were read anew").count > before
                }
            }
            try await Task.sleep(for: .seconds(1))
            try await isAnswered(farm)
            for index in 0..<3 {
                #expect(try await shown(index, farm) == ClusterPolicyTests.applied)
            }
        }

        private func whatIsWrongChangesNothing(_ farm: ClusterFixture) async throws {
            let leader = try await farm.leader()
            for index in [leader, farm.others(leader)[0]] {
                let faulty = try await apply(
                    ClusterPolicyTests.applied + "rolse: {}\n", at: index, farm)
                #expect(faulty.status == 2, "\(faulty.output)")
                #expect(
                    faulty.errors.contains("new.yml:18:1: error: unknown key 'rolse'"),
                    "\(faulty.errors)")
            }
            let other = ClusterPolicyTests.applied.replacing("smurf.example", with: "other.example")
            let elsewhere = try await apply(other, at: leader, farm)
            #expect(elsewhere.status == 2, "\(elsewhere.output)")
            #expect(elsewhere.errors.contains("serves 'smurf.example.test'"), "\(elsewhere.errors)")
            // What the zone file has already.
            let taken = ClusterPolicyTests.applied.replacing("www: A", with: "ns1: A, www: A")
            let file = farm.directory.file("static.zone")
            let zone = try String(contentsOfFile: file, encoding: .utf8)
            try farm.directory.write("static.zone", zone + "www IN CNAME ns1\n")
            let contradicts = try await apply(taken, at: leader, farm)
            try farm.directory.write("static.zone", zone)
            #expect(contradicts.status == 2, "\(contradicts.output)")
            #expect(contradicts.errors.contains("does not fit the zone"), "\(contradicts.errors)")
            let empty = ClusterPolicyTests.applied.replacing("min: 3", with: "min: 0, max: 0")
            let emptied = try await apply(empty, at: leader, farm)
            #expect(emptied.status == 2, "\(emptied.output)")
            for index in 0..<3 {
                #expect(try await shown(index, farm) == ClusterPolicyTests.applied)
            }
            try await isAnswered(farm)
        }

        private func killTheLeader(_ farm: ClusterFixture) async throws {
            let old = try await farm.leader()
            await farm.signal(old, SIGKILL)
            let new = try await farm.leader(among: farm.others(old))
            // It plans: someone it holds is replaced, by the applied policy's minimum of three.
            let held = try await farm.smurf(new, "hold", "s01", "--reason", "x", "--for", "1h")
            #expect(held.status == 0, "\(held.errors)")
            try await eventually("three others serve") {
                let board = try await farm.smurf(new, "roles")
                return board.output.split(separator: "\n").contains {
                    $0.hasPrefix("web ") && $0.contains(" 3 ")
                } && !board.output.contains("s01    127.0.1.1   web")
            }
            #expect(try await shown(new, farm) == ClusterPolicyTests.applied)
            try await isAnswered(by: farm.others(old), farm)
            _ = try await farm.smurf(new, "release", "s01")
            try farm.startNode(old)
            try await isAnswered(by: [old], farm)
            try await farm.isBack(old)
            try await eventually("the one that was killed has it") {
                try await shown(old, farm) == ClusterPolicyTests.applied
            }
        }

        private func restartAll(_ farm: ClusterFixture) async throws {
            for index in 0..<3 { await farm.signal(index, SIGKILL) }
            for index in 0..<3 { try farm.startNode(index) }
            _ = try await farm.leader()
            for index in 0..<3 { try await farm.isBack(index) }
            try await isAnswered(farm)
            for index in 0..<3 {
                try await eventually("node \(index) has it") {
                    try await shown(index, farm) == ClusterPolicyTests.applied
                }
            }
        }

        /// Both have seen the same policy before: the one that comes second is told to look again, or has seen the first.
        private func applyTwoAtOnce(_ farm: ClusterFixture) async throws {
            for round in 0..<3 {
                let leader = try await farm.leader()
                let texts = ["41\(round)", "42\(round)"].map {
                    ClusterPolicyTests.applied.replacing(
                        "dead_after: 10s", with: "dead_after: \($0)s")
                }
                async let first = apply(texts[0], at: leader, farm, file: "a.yml")
                async let second = apply(texts[1], at: leader, farm, file: "b.yml")
                let ends = try await [first, second]
                let landed = ends.filter { $0.status == 0 }
                #expect(!landed.isEmpty, "\(ends.map(\.errors))")
                for end in ends where end.status != 0 {
                    #expect(end.status == 2 && end.errors.contains("look again"), "\(end.errors)")
                }
                let last = try await shown(leader, farm)
                #expect(texts.contains(last))
                for index in 0..<3 {
                    try await eventually("node \(index) has the last") {
                        try await shown(index, farm) == last
                    }
                }
                // In order, each in the place of the one before.
                let said = try await farm.smurf(leader, "history", "--json", "--limit", "0")
                let lines = try JSONSerialization.jsonObject(with: Data(said.output.utf8))
                let all = ((lines as? [String: Any])?["lines"] as? [[String: Any]] ?? [])
                    .filter { ($0["to"] as? String)?.hasPrefix("policy ") == true }
                for (later, earlier) in zip(all, all.dropFirst()) {
                    #expect(later["from"] as? String == earlier["to"] as? String, "\(all)")
                }
                let sums = try await run(
                    ["sha256sum", farm.directory.file(last == texts[0] ? "a.yml" : "b.yml")])
                #expect(all.first?["to"] as? String == "policy \(sums.output.prefix(12))")
                print("two at once: \(landed.count) landed")
            }
        }

        private func applyWithoutQuorum(_ farm: ClusterFixture) async throws {
            let last = try await shown(farm.leader(), farm)
            for member in [0, 1] { await farm.etcd.signal(member, SIGKILL) }
            try await eventually("nobody leads any more") {
                for index in 0..<3 {
                    guard let cluster = try await farm.cluster(index) else { return false }
                    let trouble = cluster["trouble"] as? String ?? ""
                    if trouble.isEmpty || cluster["leads"] as? Bool == true { return false }
                }
                return true
            }
            for index in 0..<3 {
                let refused = try await apply(ClusterPolicyTests.applied, at: index, farm)
                #expect(refused.status == 2, "\(refused.output)")
                #expect(
                    refused.errors.contains("this control node does not lead"),
                    "\(refused.errors)")
                #expect(try await shown(index, farm) == last)
            }
            try await isAnswered(farm)
            for member in [0, 1] { try farm.etcd.start(member) }
            try await farm.etcd.isHealthy()
            _ = try await farm.leader()
            for index in 0..<3 { #expect(try await shown(index, farm) == last) }
        }

        /// etcd is restored from a backup of before the last policy: nodes that run know better, and write it down again.
        private func aBackupsOlderPolicyIsNotTaken(_ farm: ClusterFixture) async throws {
            let snapshot = farm.directory.file("snapshot")
            let saved = try await farm.etcd.control(
                "snapshot", "save", snapshot, at: [farm.etcd.url(0)])
            #expect(saved.status == 0, "\(saved.errors)")
            let new = ClusterPolicyTests.applied.replacing(
                "dead_after: 10s", with: "dead_after: 99s")
            let done = try await apply(new, at: farm.leader(), farm)
            #expect(done.status == 0, "\(done.errors)")
            for index in 0..<3 {
                try await eventually("node \(index) has it") {
                    try await shown(index, farm) == new
                }
            }
            try await farm.etcd.restore(snapshot)
            _ = try await farm.leader()
            try await eventually("it is in etcd again") {
                let key = "/smurf/\(ClusterPolicyTests.zone)/live/record"
                return try await farm.etcd.control("get", key).output.contains("dead_after: 99s")
            }
            for index in 0..<3 { #expect(try await shown(index, farm) == new) }
        }

        /// Every node goes by its file again, also after a restart, until a policy is applied anew.
        private func releaseIt(_ farm: ClusterFixture) async throws {
            let leader = try await farm.leader()
            func release(_ index: Int, _ options: String...) async throws -> Finished {
                try await farm.smurf(
                    index, ["policy", "release", "--reason", "files rule"] + options)
            }
            let last = try await shown(leader, farm)
            let name = "'\(ClusterFixture.names[leader])'"
            let elsewhere = try await release(farm.others(leader)[0], "--yes", "--force")
            #expect(elsewhere.status == 2, "\(elsewhere.output)")
            #expect(elsewhere.errors.contains("\(name) leads: say it there"), "\(elsewhere.errors)")
            let emptying = try await release(leader, "--yes")
            #expect(emptying.status == 2, "\(emptying.output)")
            #expect(emptying.output.contains("  roles.web.min: 3 → 2"), "\(emptying.output)")
            #expect(emptying.output.contains("www A: no role has this name any more"))
            #expect(emptying.errors.contains("refused: names would be left"), "\(emptying.errors)")
            let unasked = try await release(leader, "--force")
            #expect(unasked.status == 2, "\(unasked.output)")
            #expect(unasked.errors.contains("nothing was changed"), "\(unasked.errors)")
            // What no node has read yet is not what would be followed.
            try farm.directory.write(
                "policy.yml", ClusterFixture.policy.replacing("gap: 0s", with: "gap: 1s"))
            let unread = try await release(leader, "--force", "--yes")
            #expect(unread.status == 2 && unread.errors.contains("send SIGHUP"), "\(unread.errors)")
            try farm.directory.write("policy.yml", ClusterFixture.policy)
            for index in 0..<3 { #expect(try await shown(index, farm) == last) }

            let done = try await release(leader, "--force", "--yes")
            #expect(done.status == 0, "\(done.errors)")
            #expect(done.output.contains("every control node follows its own file"), "\(done)")
            for index in 0..<3 { try await followsItsFile(index, farm) }
            let history = try await farm.smurf(farm.others(leader)[0], "history", "--json")
            let why = "every node's own file again, files rule: "
            #expect(history.output.contains(why), "\(history.output)")
            let again = try await release(leader, "--yes")
            #expect(again.status == 0 && again.output.contains("has no policy"), "\(again)")
            for index in 0..<3 { await farm.signal(index, SIGKILL) }
            for index in 0..<3 { try farm.startNode(index) }
            for index in 0..<3 {
                try await farm.isBack(index)
                try await followsItsFile(index, farm)
            }
            let applied = try await apply(ClusterPolicyTests.applied, at: farm.leader(), farm)
            #expect(applied.status == 0, "\(applied.errors)")
            try await isAnswered(farm)
        }

        private func followsItsFile(_ index: Int, _ farm: ClusterFixture) async throws {
            try await eventually("node \(index) follows its file") {
                let said = try await farm.smurf(index, "policy", "show")
                return said.output == ClusterFixture.policy
                    && said.errors.contains("followed is the file")
            }
            let zone = ClusterPolicyTests.zone
            try await eventually("node \(index) answers by it") {
                let (new, old) = ("www.\(zone)", "web.\(zone)")
                let port = farm.dnsPort(index)
                let www = try await Dig.short(new, "A", at: "127.0.0.1", port: port)
                let web = try await Dig.short(old, "A", at: "127.0.0.1", port: port)
                return www.isEmpty && web.count == 2
            }
            let board = try await farm.smurf(index, "roles")
            #expect(!board.output.contains("says something else"), "\(board.output)")
            #expect(try await farm.gauges(index)["policy_file_differs"] == 0)
        }

        /// As a newer program may have written it: a node that cannot read the farm's policy plans by no other.
        @Test(.timeLimit(.minutes(3)))
        func whoCannotReadTheFarmsPolicyDoesNotLead() async throws {
            let farm = try ClusterFixture()
            do {
                try await farm.start()
                let leader = try await farm.leader()
                let done = try await apply(ClusterPolicyTests.applied, at: leader, farm)
                #expect(done.status == 0, "\(done.errors)")
                try await isAnswered(farm)
                for index in 0..<3 { await farm.signal(index, SIGKILL) }
                let key = "/smurf/\(ClusterPolicyTests.zone)/live/record"
                let good = try await farm.etcd.control("get", key, "--print-value-only").output
                let record = good.replacing("version: 1\\n", with: "version: 1\\nnovelty: 7\\n")
                #expect(record != good)
                #expect(try await farm.etcd.control("put", key, record).status == 0)

                for index in 0..<3 { try farm.startNode(index) }
                for index in 0..<3 {
                    try await farm.isBack(index)
                    try await eventually("node \(index) says so") {
                        try await farm.smurf(index, "roles").output.contains(
                            "! this node cannot follow the farm's policy and does not lead")
                    }
                    #expect(farm.nodes[index]?.log.contains("2:1: error: unknown key") == true)
                    let gauges = try await farm.gauges(index)
                    #expect(gauges["policy_unreadable"] == 1 && gauges["leads"] == 0, "\(gauges)")
                }
                try await Task.sleep(for: .seconds(4))
                for index in 0..<3 {
                    #expect(try await farm.cluster(index)?["leads"] as? Bool != true)
                }
                try await isAnswered(farm)

                #expect(try await farm.etcd.control("put", key, good).status == 0)
                _ = try await farm.leader()
                try await isAnswered(farm)
            } catch {
                for node in farm.nodes.compactMap({ $0 }) {
                    print(node.name, node.log.suffix(3_000))
                }
                await farm.stop()
                throw error
            }
            await farm.stop()
            for watch in farm.watches { #expect(watch.faults.isEmpty, "\(watch.faults.prefix(5))") }
        }
    }
}
