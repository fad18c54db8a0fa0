import Foundation
import TestSupport
import Testing

@testable import Delivery

@Suite struct FeedbackSpoolTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func open() throws -> FeedbackSpool { try FeedbackSpool(directory: directory.path) }

    private func item(_ number: UInt32) -> AgentFeedback {
        AgentFeedback(
            kind: number % 2 == 0 ? .bounce : .unsubscribe, mailing: 7, recipient: number,
            status: "5.1.1", diagnostic: "smtp; 550 nobody Nº\(number)", unixTime: 1_700_000_000)
    }

    private var log: URL {
        get throws {
            let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
            let name = try #require(names.first { $0.hasSuffix(".log") })
            return URL(fileURLWithPath: directory.file(name))
        }
    }

    @Test func keepsItemsOverRestartsUntilTheyAreAcknowledged() async throws {
        var spool = try open()
        for number in 1...5 as ClosedRange<UInt32> {
            #expect(try await spool.append(item(number)) == UInt64(number))
        }
        spool = try open()
        #expect(spool.pending(limit: 10).map(\.feedback) == (1...5).map(item))
        #expect(spool.pending(limit: 2).map(\.sequence) == [1, 2])
        spool.acknowledge(upTo: 3)
        #expect(spool.backlog == 2)
        #expect(try await spool.append(item(6)) == 6)
        spool = try open()
        #expect(spool.pending(limit: 10).map(\.sequence) == [4, 5, 6])
    }

    @Test func neverUsesANumberTwiceEvenWhenNothingIsLeft() async throws {
        var spool = try open()
        for number in 1...3 as ClosedRange<UInt32> { try await spool.append(item(number)) }
        spool.acknowledge(upTo: 3)
        try await eventually("the mark is written") {
            FileManager.default.fileExists(atPath: directory.file("feedback.done"))
        }
        spool = try open()
        #expect(spool.backlog == 0)
        #expect(try await spool.append(item(4)) == 4)
    }

    /// A damaged mark lets items come again; it must not let a number stand for two items.
    @Test(arguments: ["", "junk", "-7", "18446744073709551615", "2"])
    func neverUsesANumberTwiceWithADamagedMark(mark: String) async throws {
        var spool = try open()
        for number in 1...3 as ClosedRange<UInt32> { try await spool.append(item(number)) }
        spool = try open()
        #expect(try await spool.append(item(4)) == 4)
        spool.acknowledge(upTo: 3)
        try await eventually("the first file has gone") {
            !FileManager.default.fileExists(atPath: directory.file("feedback-1.log"))
        }
        // The last file ends in the middle of its first record, as after a loss of power.
        try Data([0, 0]).write(to: URL(fileURLWithPath: directory.file("feedback-4.log")))
        try directory.write("feedback.done", mark)
        for name in ["feedback-0.log", "feedback-x.log", "feedback--5.log"] {
            try directory.write(name, "")
        }
        spool = try open()
        #expect(try await spool.append(item(5)) == 4)
    }

    /// A crash may cut the file anywhere: whole records count, the torn one was promised to nobody.
    @Test func dropsATornRecordWhereverItIsCut() async throws {
        let spool = try open()
        for number in 1...3 as ClosedRange<UInt32> { try await spool.append(item(number)) }
        let whole = try Data(contentsOf: log)
        for length in 0...whole.count {
            try whole.prefix(length).write(to: log)
            let read = try open().pending(limit: 10).map(\.feedback)
            #expect(read == (1...3).map(item).prefix(length * 3 / whole.count).map { $0 })
        }
    }

    @Test func takesNoHarmFromWhateverIsInItsFiles() async throws {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("spool"))
        let spool = try open()
        for number in 1...3 as ClosedRange<UInt32> { try await spool.append(item(number)) }
        let whole = try Data(contentsOf: log)
        for _ in 0..<300 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
                    in: 0...255, using: &random)
            }
            try bytes.write(to: log)
            _ = try open()
        }
    }

    @Test func concurrentAppendsAllGetTheirOwnNumber() async throws {
        let spool = try open()
        let numbers = try await withThrowingTaskGroup(of: UInt64.self) { group in
            for number in 0..<200 as Range<UInt32> {
                group.addTask { try await spool.append(item(number)) }
            }
            return try await group.reduce(into: Set<UInt64>()) { $0.insert($1) }
        }
        #expect(numbers == Set(1...200))
        #expect(try open().pending(limit: 300).map(\.sequence) == Array(1...200))
    }

    @Test func saysSoWhenItCannotKeepAnItem() async throws {
        let spool = try open()
        try FileManager.default.removeItem(atPath: directory.path)
        await #expect(throws: SpoolError.self) { try await spool.append(item(1)) }
        #expect(spool.backlog == 0)
        try FileManager.default.createDirectory(
            atPath: directory.path, withIntermediateDirectories: true)
        #expect(try await spool.append(item(1)) == 1)
    }
}
