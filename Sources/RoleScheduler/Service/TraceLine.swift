public import Farm
import Foundation
import Logging
import RoleSchedulerCore

/// One line of the trace that a control node leaves of what its farm saw: a number of demand, what was counted so far, a
/// machine that went down or came up, was found to be a black hole or works again, what its agent says of it, a move, or
/// that planning began. Times are of the wall clock, so that the lines of several runs fit together;
/// `smurf trace export` makes of them what `smurf policy simulate --trace` reads.
public struct TraceLine: Hashable, Sendable, Codable {
    /// Milliseconds since 1970.
    public var ms: Int64
    public var signal: String?
    public var value: Double?
    /// A machine's id.
    public var down: String?
    public var up: String?
    /// A machine that was found to be a black hole, and for how many milliseconds it had been one; one that works again.
    public var hole: String?
    public var idle: Int64?
    public var well: String?
    /// A machine that changed its state, and the new one; or its labels from then on.
    public var smurf: String?
    public var state: String?
    public var labels: [String]?
    /// Machines there were when planning began, or their number changed.
    public var machines: Int?
    /// What came in and was done since the ledger was made.
    public var counts: WorkCounts?

    public init(ms: Int64) { self.ms = ms }
}

/// Writes the trace down: numbers when they change, at most once a second each, and everything else as it happens. Two
/// files of at most 16 MB in the data directory, the older of which goes when the newer is full; a disk that takes
/// nothing costs the trace and nothing else. For one thread at a time.
final class TraceWriter {
    static let names = ["trace.1.jsonl", "trace.jsonl"]
    static let usualLength = 16 << 20

    private let directory: String
    private let longest: Int
    private var file: FileHandle?
    private var length = 0
    private var written: [String: Demand.Signal] = [:]
    /// What the file says of machines.
    private var told = Told()
    private var counted: WorkCounts?
    private(set) var trouble: String?
    private var last: Moment?

    private struct Told {
        var machines = -1
        var down: Set<SmurfID> = []
        var holes: Set<SmurfID> = []
        var labels: [SmurfID: [Label]] = [:]
    }

    /// - Parameter longest: octets after which another file is begun.
    init(directory: String, longest: Int = TraceWriter.usualLength) {
        self.directory = directory
        self.longest = longest
    }

    deinit { try? file?.close() }

    /// Notes what one plan was made of and what it did.
    /// - Parameter holes: machines that are black holes, and since when.
    func note(
        _ demand: Demand, _ state: FarmState, down: Set<SmurfID>, holes: [SmurfID: Moment] = [:],
        _ actions: [Plan.Action], now: Moment, ms: Int64
    ) {
        last = now
        var lines: [TraceLine] = []
        func add(_ fill: (inout TraceLine) -> Void) {
            var line = TraceLine(ms: ms)
            fill(&line)
            lines.append(line)
        }
        if state.smurfs.count != told.machines { add { $0.machines = state.smurfs.count } }
        told.machines = state.smurfs.count
        for (name, signal) in demand.signals.sorted(by: { $0.key < $1.key })
        where isNews(name, signal) {
            written[name] = signal
            add { ($0.signal, $0.value) = (name, signal.value) }
        }
        for id in down.subtracting(told.down).sorted() { add { $0.down = id.name } }
        for id in told.down.subtracting(down).sorted() { add { $0.up = id.name } }
        told.down = down
        for (id, since) in holes.sorted(by: { $0.key < $1.key }) where !told.holes.contains(id) {
            let idle = now.since(since).clampedNanoseconds / 1_000_000
            add { ($0.hole, $0.idle) = (id.name, idle) }
        }
        for id in told.holes.subtracting(holes.keys).sorted() { add { $0.well = id.name } }
        told.holes = Set(holes.keys)
        for id in state.ids {
            let labels = state.smurfs[id]?.labels ?? []
            guard labels != told.labels[id] ?? [] else { continue }
            told.labels[id] = labels
            add { ($0.smurf, $0.labels) = (id.name, labels.map(\.text)) }
        }
        for action in actions {
            add { ($0.smurf, $0.state) = (action.smurf.name, action.to.description) }
        }
        write(lines)
    }

    /// Notes what the delivery side counted: whoever reads it takes differences, and so misses nothing that came between
    /// two looks.
    func note(_ counts: WorkCounts, ms: Int64) {
        guard counts != counted else { return }
        counted = counts
        var line = TraceLine(ms: ms)
        line.counts = counts
        write([line])
    }

    func isDue(_ now: Moment) -> Bool { last.map { now.since($0) >= .seconds(1) } ?? true }

    /// Another value, and not within a second of the last; or the same after half a minute, so that a number that was
    /// seen is told from one that was not.
    private func isNews(_ name: String, _ signal: Demand.Signal) -> Bool {
        guard let last = written[name] else { return true }
        let age = signal.observed.since(last.observed)
        return last.value != signal.value ? age >= .seconds(1) : age >= .seconds(30)
    }

    private func write(_ lines: [TraceLine]) {
        guard !lines.isEmpty else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        do {
            var data = Data()
            for line in lines {
                data += try encoder.encode(line)
                data.append(0x0A)
            }
            try open(for: data.count).write(contentsOf: data)
            length += data.count
            trouble = nil
        } catch {
            trouble = error.localizedDescription
            try? file?.close()
            file = nil
        }
    }

    private func open(for count: Int) throws -> FileHandle {
        let path = directory + "/" + TraceWriter.names[1]
        if file != nil, length + count > longest {
            try? file?.close()
            file = nil
            let older = directory + "/" + TraceWriter.names[0]
            try? FileManager.default.removeItem(atPath: older)
            try FileManager.default.moveItem(atPath: path, toPath: older)
            // When this one is all that is left, it must say it too.
            (told, written) = (Told(), [:])
        }
        if let file { return file }
        if !FileManager.default.fileExists(atPath: path) {
            let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o600]
            _ = FileManager.default.createFile(atPath: path, contents: nil, attributes: attributes)
        }
        let opened = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        length = Int(clamping: try opened.seekToEnd())
        file = opened
        return opened
    }
}

extension RoleSchedulerService {
    /// At most once a second while nothing moves.
    func leaveTrace(_ plan: Plan, _ now: Moment) {
        guard !plan.actions.isEmpty || trace.isDue(now) else { return }
        leaveTrace {
            $0.note(
                demand, plan.state,
                down: Set(plan.state.smurfs.filter { $0.value.downSince != nil }.keys),
                holes: provenHoles.mapValues(\.since), plan.actions, now: now, ms: $1)
        }
    }

    /// Notes what the delivery side counted so far, for the trace: nothing is planned by it.
    public func note(_ counts: WorkCounts) { leaveTrace { $0.note(counts, ms: $1) } }

    private func leaveTrace(_ note: (TraceWriter, _ ms: Int64) -> Void) {
        let before = trace.trouble
        note(trace, Int64(Date().timeIntervalSince1970 * 1000))
        if let trouble = trace.trouble, before == nil {
            logger.warning("no trace of this run is left: \(trouble)")
        }
    }
}

/// What a control node left of what its farm saw.
public struct RecordedTrace: Sendable {
    /// In the order of time.
    public var lines: [TraceLine] = []
    /// Lines that cannot be read: torn by a crash, most likely.
    public var unreadable = 0

    /// Reads the files of a data directory, also while the node runs.
    /// - Throws: when there is none.
    public init(directory: String) throws {
        let contents = TraceWriter.names.compactMap {
            FileManager.default.contents(atPath: directory + "/" + $0)
        }
        guard !contents.isEmpty else {
            throw FarmStoreFault.unusable(
                "there is no \(TraceWriter.names[1]) in '\(directory)': name the data directory of a control "
                    + "node that has run")
        }
        let decoder = JSONDecoder()
        for text in contents.flatMap({ $0.split(separator: 0x0A) }) {
            if let line = try? decoder.decode(TraceLine.self, from: Data(text)) {
                lines.append(line)
            } else {
                unreadable += 1
            }
        }
        lines.sort { $0.ms < $1.ms }
    }
}
