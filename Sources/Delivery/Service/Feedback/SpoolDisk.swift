import Foundation
import Synchronization

/// The files of a feedback spool: `feedback-<number of the first record>.log`, appended to, and
/// `feedback.done` with the highest acknowledged number. A file goes when all its records are acknowledged.
/// Called from one queue only, but for `open`.
final class SpoolDisk: Sendable {
    /// A new file is begun when one has grown beyond so many octets.
    private static let fileSize: UInt64 = 1 << 20

    private struct State {
        var files: [(path: String, last: UInt64)]
        var handle: FileHandle?
        var length: UInt64 = 0
        var next: UInt64
        var acknowledged: UInt64
    }

    private let directory: String
    private let state: Mutex<State>

    private init(_ directory: String, files: [(String, UInt64)], next: UInt64, acknowledged: UInt64)
    {
        self.directory = directory
        state = Mutex(
            State(
                files: files.map { (path: $0.0, last: $0.1) }, next: next,
                acknowledged: acknowledged))
    }

    /// - Returns: the disk and the items that are not acknowledged, by number.
    static func open(_ directory: String) throws -> (SpoolDisk, [SpooledFeedback]) {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory)
        } catch {
            throw SpoolError("cannot read '\(directory)': \(error.localizedDescription)")
        }
        let acknowledged = readMark(directory)
        var items: [SpooledFeedback] = []
        var files: [(String, UInt64)] = []
        let logs = names.filter { $0.hasPrefix("feedback-") && $0.hasSuffix(".log") }
        for name in logs {
            let path = directory + "/" + name
            guard let data = FileManager.default.contents(atPath: path) else {
                throw SpoolError("cannot read '\(path)'")
            }
            let found = SpoolRecord.decode(Array(data)).items
            files.append((path, found.map(\.sequence).max() ?? 0))
            items += found
        }
        // A file is called after its first number: no number below it is free, even where the mark is damaged.
        let begun = logs.compactMap { Int64($0.dropFirst(9).dropLast(4)) }.max() ?? 1
        let highest = max(items.map(\.sequence).max() ?? 0, acknowledged, UInt64(max(begun, 1)) - 1)
        let disk = SpoolDisk(
            directory, files: files, next: highest + 1, acknowledged: acknowledged)
        items.removeAll { $0.sequence <= acknowledged }
        return (disk, items.sorted { $0.sequence < $1.sequence })
    }

    /// Writes items with the next numbers; they are on disk when it returns. On failure none of them is.
    func write(_ feedback: [AgentFeedback]) throws -> [SpooledFeedback] {
        try state.withLock { state in
            let items = feedback.enumerated().map { index, item in
                SpooledFeedback(sequence: state.next + UInt64(index), feedback: item)
            }
            var bytes: [UInt8] = []
            for item in items { SpoolRecord.encode(item, into: &bytes) }
            let handle = try Self.handle(directory, &state)
            do {
                try handle.write(contentsOf: Data(bytes))
                try handle.synchronize()
            } catch {
                // What was half written must not stand before what comes later.
                try? handle.truncate(atOffset: state.length)
                state.handle = nil
                throw SpoolError("cannot keep feedback: \(error.localizedDescription)")
            }
            state.length += UInt64(bytes.count)
            state.next += UInt64(items.count)
            state.files[state.files.count - 1].last = state.next - 1
            return items
        }
    }

    /// The file to append to: never one of an earlier start, whose end may be torn.
    private static func handle(_ directory: String, _ state: inout State) throws -> FileHandle {
        if let handle = state.handle, state.length < fileSize { return handle }
        let path = "\(directory)/feedback-\(state.next).log"
        guard
            FileManager.default.createFile(
                atPath: path, contents: nil, attributes: [.posixPermissions: 0o600]),
            let handle = FileHandle(forWritingAtPath: path)
        else { throw SpoolError("cannot make '\(path)'") }
        try syncDirectory(directory)
        state.handle = handle
        state.length = 0
        state.files.removeAll { $0.path == path }
        state.files.append((path, 0))
        return handle
    }

    /// Makes new names in a directory last.
    static func syncDirectory(_ directory: String) throws {
        let file = unsafe Glibc.open(directory, O_RDONLY | O_DIRECTORY)
        guard file >= 0 else { throw SpoolError("cannot open '\(directory)'") }
        defer { close(file) }
        guard fsync(file) == 0 else { throw SpoolError("cannot sync '\(directory)'") }
    }

    /// Notes what is acknowledged and removes files that hold nothing else.
    /// - Parameter isEmpty: nothing waits: the current file goes too, once it is worth it.
    func forget(upTo sequence: UInt64, isEmpty: Bool) {
        state.withLock { state in
            state.acknowledged = max(state.acknowledged, sequence)
            let mark = Data("\(state.acknowledged)\n".utf8)
            do {
                try mark.write(
                    to: URL(fileURLWithPath: directory + "/feedback.done"), options: .atomic)
            } catch { return }
            let isWorthIt = isEmpty && state.length > Self.fileSize / 16
            if isWorthIt, state.next - 1 <= state.acknowledged { state.handle = nil }
            let current = state.handle == nil ? nil : state.files.last?.path
            let done = state.files.filter { $0.last <= state.acknowledged && $0.path != current }
            for file in done { try? FileManager.default.removeItem(atPath: file.path) }
            state.files.removeAll { file in done.contains { $0.path == file.path } }
        }
    }

    /// A damaged mark counts as none: items then come again, which the ledger is used to.
    private static func readMark(_ directory: String) -> UInt64 {
        let data = FileManager.default.contents(atPath: directory + "/feedback.done") ?? Data()
        let text = String(decoding: data, as: UTF8.self)
        let number = UInt64(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
        return number < UInt64(Int64.max) ? number : 0
    }
}
