import Farm
import Foundation
import RoleSchedulerCore
import TestSupport
import Testing

@testable import RoleScheduler

/// What a control node leaves of a run is bounded, can be read at any time, and costs a full disk nothing.
@Suite struct TraceWriterTests {
    private let id = SmurfID("s01")

    private func fill(_ writer: TraceWriter, seconds: Int, from start: Int = 0) {
        for second in start..<(start + seconds) {
            let now = Moment(seconds: Double(second))
            var demand = Demand()
            demand.note("a", Double(second), at: now)
            var state = FarmState()
            if let id { state.smurfs[id] = SmurfRecord(addresses: [], since: now) }
            writer.note(
                demand, state, down: second % 10 == 9 ? Set([id].compactMap { $0 }) : [], [],
                now: now, ms: Int64(second) * 1000)
        }
    }

    @Test func whatIsWrittenIsReadInOrder() throws {
        let directory = try TemporaryDirectory()
        let writer = TraceWriter(directory: directory.path)
        fill(writer, seconds: 20)
        let trace = try RecordedTrace(directory: directory.path)
        #expect(trace.lines.filter { $0.signal == "a" }.map(\.value) == (0..<20).map(Double.init))
        #expect(trace.lines.compactMap(\.down).count == 2)
        #expect(trace.lines.compactMap(\.up).count == 1)
        #expect(trace.lines.compactMap(\.machines) == [1])
        // Another process goes on in the same file.
        fill(TraceWriter(directory: directory.path), seconds: 5, from: 20)
        #expect(try RecordedTrace(directory: directory.path).lines.last?.ms == 24_000)
    }

    /// Who is a hole or has labels is said once; a new file says it again, because the old one will go.
    @Test func holesAndLabelsAreWritten() throws {
        let directory = try TemporaryDirectory()
        let writer = TraceWriter(directory: directory.path, longest: 600)
        let id = try #require(id)
        let label = try #require(Label("rack=b"))
        for second in 0..<40 {
            let now = Moment(seconds: Double(second))
            var demand = Demand()
            demand.note("a", Double(second), at: now)
            var state = FarmState()
            state.smurfs[id] = SmurfRecord(addresses: [], since: now)
            state.smurfs[id]?.labels = second < 35 ? [label] : []
            let holes = (10..<38).contains(second) ? [id: Moment(seconds: 4)] : [:]
            writer.note(
                demand, state, down: [], holes: holes, [], now: now, ms: Int64(second) * 1000)
            guard second == 12 || second == 39 else { continue }
            let trace = try RecordedTrace(directory: directory.path)
            if second == 12 {
                let hole = try #require(trace.lines.first { $0.hole == "s01" })
                #expect(hole.ms == 10_000 && hole.idle == 6000)
                #expect(trace.lines.count { $0.hole != nil } == 1)
                #expect(trace.lines.first { $0.smurf == "s01" }?.labels == ["rack=b"])
            } else {
                #expect(trace.lines.first?.ms ?? 0 > 12_000, "the first file is gone")
                let said = trace.lines.filter { $0.smurf == "s01" }.map(\.labels)
                #expect(said.first == ["rack=b"] && said.last == [], "\(said)")
                #expect(trace.lines.first { $0.hole == "s01" }?.idle ?? 0 > 6000)
                #expect(trace.lines.last { $0.well != nil }?.ms == 38_000)
            }
        }
    }

    @Test func theFilesAreBounded() throws {
        let directory = try TemporaryDirectory()
        let writer = TraceWriter(directory: directory.path, longest: 2000)
        fill(writer, seconds: 1000)
        for name in TraceWriter.names {
            let size = FileManager.default.contents(atPath: directory.file(name))?.count ?? 0
            #expect((1...2000).contains(size), "\(name) has \(size)")
        }
        let trace = try RecordedTrace(directory: directory.path)
        #expect(trace.lines.last?.ms == 999_000)
        #expect(trace.unreadable == 0)
    }

    @Test func tornLinesAreLeftOut() throws {
        let directory = try TemporaryDirectory()
        fill(TraceWriter(directory: directory.path), seconds: 3)
        let path = directory.file(TraceWriter.names[1])
        var text = try #require(FileManager.default.contents(atPath: path))
        text.removeLast(5)
        try text.write(to: URL(fileURLWithPath: path))
        #expect(try RecordedTrace(directory: directory.path).unreadable == 1)
    }

    @Test func aDirectoryThatIsGoneCostsTheTraceOnly() throws {
        let writer = TraceWriter(directory: "/nonexistent")
        fill(writer, seconds: 3)
        #expect(writer.trouble != nil)
    }
}
