import DeliveryCore
import TestSupport
import Testing

@Suite struct RowBatchSplitTests {
    /// Parts have all rows in their order, and only a row that is larger alone makes a part too large.
    @Test func splitsWithoutLosingRows() throws {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("row batch"))
        for _ in 0..<200 {
            var batch = RowBatch()
            let count = Int.random(in: 0...40, using: &random)
            for number in 0..<count {
                let value = [UInt8](
                    repeating: 65, count: Int.random(in: 0...400, using: &random))
                batch.append(
                    recipient: UInt32(number), address: "r\(number)@mail.example",
                    values: [value, []])
            }
            let limit = Int.random(in: 1...2000, using: &random)
            let parts = batch.split(octets: limit)
            #expect(parts.flatMap(\.bytes) == batch.bytes)
            #expect(parts.reduce(0) { $0 + $1.count } == count)
            #expect(parts.allSatisfy { $0.count == 1 || $0.bytes.count <= limit })
            #expect(parts.allSatisfy { $0.count > 0 })
            let rows = try parts.flatMap { try RowBatch.rows(in: $0.bytes) }
            #expect(rows.map(\.recipient) == (0..<count).map(UInt32.init))
        }
    }
}
