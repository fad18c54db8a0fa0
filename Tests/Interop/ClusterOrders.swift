import Foundation
import TestSupport
import Testing

/// What tests of several control nodes say to them, whoever leads, and what must hold for all at the end.
extension ClusterFixture {
    /// Gives an order at whichever of the nodes takes it.
    func order(_ words: [String], at indices: [Int] = [0, 1, 2]) async throws {
        try await eventually("'\(words)' is taken", every: .milliseconds(20)) {
            for index in indices {
                if try await self.smurf(index, words).status == 0 { return true }
            }
            return false
        }
    }

    /// Holds a machine that is in the role `web`: a plan has to be made, saved, published and answered for it.
    /// - Parameter indices: nodes that may take the order; the first is asked for its effect.
    /// - Returns: the machine.
    func holdOne(at indices: [Int] = [0, 1, 2]) async throws -> String {
        let address = try #require(try await members("web", at: indices[0]).first)
        let id = "s0" + address.suffix(1)
        try await order(["hold", id, "--reason", "test", "--for", "1h"], at: indices)
        try await eventually("\(id) is not answered any more", every: .milliseconds(20)) {
            let members = try await self.members("web", at: indices[0])
            return !members.contains(address) && !members.isEmpty
        }
        return id
    }

    /// What a node tells Prometheus of the cluster, by what stands behind `smurf_cluster_`; empty while it does not answer.
    func gauges(_ index: Int) async throws -> [String: UInt64] {
        let said = try await smurf(index, "dns", "stats", "--prometheus")
        let pairs = said.output.split(separator: "\n").compactMap { line -> (String, UInt64)? in
            let words = line.split(separator: " ")
            guard words.count == 2, words[0].hasPrefix("smurf_cluster_"),
                let value = UInt64(words[1])
            else { return nil }
            return (String(words[0].dropFirst("smurf_cluster_".count)), value)
        }
        return Dictionary(uniqueKeysWithValues: pairs)
    }

    /// Waits until each of these nodes, and no other, is counted, one of them says that it leads, and all know its term,
    /// which is the revision in which etcd has made the leader's key.
    /// - Returns: the term.
    @discardableResult
    func gaugesTell(of indices: [Int] = [0, 1, 2]) async throws -> UInt64 {
        var (seen, term): ([[String: UInt64]], UInt64) = ([], 0)
        try await eventually("the gauges of \(indices) say how they stand") {
            let said = try await etcd.control(
                "get", "/smurf/\(ClusterFixture.zone)/live/leader", "--write-out", "json")
            guard said.status == 0 else { return false }
            let answer =
                try JSONSerialization.jsonObject(with: Data(said.output.utf8)) as? [String: Any]
            let pair = (answer?["kvs"] as? [[String: Any]])?.first
            term = UInt64(pair?["create_revision"] as? Int ?? 0)
            let leader = try await leader(among: indices)
            seen = []
            for index in indices { seen.append(try await gauges(index)) }
            return term > 0
                && zip(indices, seen).allSatisfy { index, gauges in
                    gauges["leads"] == (index == leader ? 1 : 0) && gauges["term"] == term
                        && gauges["nodes"] == UInt64(indices.count) && gauges["etcd_up"] == 1
                        && gauges["etcd_alarm"] == 0 && gauges["policy_unreadable"] == 0
                }
        }
        return term
    }

    func others(_ index: Int) -> [Int] { [0, 1, 2].filter { $0 != index } }

    /// Ends everything: nodes in good order, and resolvers that saw neither silence nor a serial that went back.
    func stopInOrder() async {
        #expect(await stop() == [0, 0, 0])
        for (name, watch) in zip(ClusterFixture.names, watches) {
            #expect(watch.faults.isEmpty, "\(name): \(watch.faults.prefix(5))")
            #expect(watch.asked > 500)
        }
    }
}
