import AuthDNSCore
import Foundation
import Synchronization

/// The history of the zone on disk: a step is appended for each new version. It only makes transfers smaller: a
/// journal that is lost, torn or behind costs secondaries one whole transfer, so that nothing waits for the disk
/// here. Any thread; what one writes, another waits for.
final class Journal: Sendable {
    private let path: String
    private let open = Mutex(Open())

    private struct Open {
        var file: FileHandle?
        /// Octets in it.
        var length = 0
    }

    /// A file that has grown beyond so many octets is written anew from what is remembered.
    private static let longest = 32 << 20

    init(directory: String) { path = directory + "/zone.journal" }

    deinit { open.withLock { try? $0.file?.close() } }

    /// What the file knows about how the zone came to this version; nothing when it ends elsewhere.
    func load(upTo serial: UInt32) -> ZoneHistory {
        var history = ZoneHistory()
        let bytes = FileManager.default.contents(atPath: path) ?? Data()
        for step in ZoneDifference.read(Array(bytes)) {
            history.append(step)
            // What the last run published and could not save is gone.
            if step.toSerial == serial { break }
        }
        guard history.leads(to: serial) else {
            try? FileManager.default.removeItem(atPath: path)
            return ZoneHistory()
        }
        // Torn octets at the end would hide what is appended behind them.
        open.withLock { rewrite(history, &$0) }
        return history
    }

    /// Adds the last step of `history`.
    /// - Throws: when the disk does not take it; the file is begun anew with the next step.
    func append(_ step: ZoneDifference, of history: ZoneHistory) throws {
        let bytes = Data(step.saved)
        try open.withLock { open in
            guard let file = open.file, open.length <= Journal.longest else {
                return rewrite(history, &open)
            }
            do {
                try file.write(contentsOf: bytes)
                open.length += bytes.count
            } catch {
                try? file.close()
                open.file = nil
                throw error
            }
        }
    }

    private func rewrite(_ history: ZoneHistory, _ open: inout Open) {
        try? open.file?.close()
        open.file = nil
        let bytes = history.steps.reduce(into: Data()) { $0.append(contentsOf: $1.saved) }
        guard (try? bytes.write(to: URL(fileURLWithPath: path), options: .atomic)) != nil else {
            return
        }
        open.file = FileHandle(forWritingAtPath: path)
        _ = try? open.file?.seekToEnd()
        open.length = bytes.count
    }
}
