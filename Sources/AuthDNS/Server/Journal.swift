import AuthDNSCore
import Foundation

/// The history of the zone on disk: a step is appended for each new version. It only makes transfers smaller: a
/// journal that is lost, torn or behind costs secondaries one whole transfer, so that nothing waits for the disk
/// here. Called by one thread at a time.
final class Journal {
    private let path: String
    private var file: FileHandle?
    private var length = 0
    /// A file that has grown beyond so many octets is written anew from what is remembered.
    private static let longest = 32 << 20

    init(directory: String) { path = directory + "/zone.journal" }

    deinit { try? file?.close() }

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
        rewrite(history)
        return history
    }

    /// Adds the last step of `history`.
    /// - Throws: when the disk does not take it; the file is begun anew with the next step.
    func append(_ step: ZoneDifference, of history: ZoneHistory) throws {
        if file == nil || length > Journal.longest { return rewrite(history) }
        let bytes = step.saved
        do {
            try file?.write(contentsOf: Data(bytes))
            length += bytes.count
        } catch {
            try? file?.close()
            file = nil
            throw error
        }
    }

    private func rewrite(_ history: ZoneHistory) {
        try? file?.close()
        file = nil
        let bytes = history.steps.reduce(into: Data()) { $0.append(contentsOf: $1.saved) }
        guard (try? bytes.write(to: URL(fileURLWithPath: path), options: .atomic)) != nil else {
            return
        }
        file = FileHandle(forWritingAtPath: path)
        _ = try? file?.seekToEnd()
        length = bytes.count
    }
}
