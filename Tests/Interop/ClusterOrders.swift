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
