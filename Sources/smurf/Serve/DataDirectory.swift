import Foundation

/// Makes sure that one process alone works in a data directory. The lock ends with the process, however it
/// ends; the file stays and says who had it.
final class DataDirectoryLock: Sendable {
    private let file: Int32

    /// - Parameter seconds: how long to wait for another process to give it up.
    /// - Throws: when another process has the directory, or the lock file cannot be made.
    init(_ directory: String, waiting seconds: Double = 0) throws {
        let path = directory + "/lock"
        file = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw ControlNodeError(description: "cannot make '\(path)': \(reason(errno))")
        }
        guard DataDirectoryLock.isTaken(file, within: seconds) else {
            let text = FileManager.default.contents(atPath: path) ?? Data()
            let holder = String(decoding: text, as: UTF8.self)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            close(file)
            throw ControlNodeError(
                description: "the data directory '\(directory)' is in use"
                    + (holder.isEmpty ? "" : " by process \(holder)") + ": give each its own --data"
            )
        }
        ftruncate(file, 0)
        let line = Data("\(getpid())\n".utf8)
        _ = unsafe line.withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
    }

    deinit { close(file) }

    /// Gives the directory up before the end.
    func release() { flock(file, LOCK_UN) }

    private static func isTaken(_ file: Int32, within seconds: Double) -> Bool {
        let end = ContinuousClock.now + .seconds(seconds)
        while flock(file, LOCK_EX | LOCK_NB) != 0 {
            guard ContinuousClock.now < end else { return false }
            Thread.sleep(forTimeInterval: 0.01)
        }
        return true
    }
}

/// The directory for what must survive a restart.
enum DataDirectory {
    /// Makes it, for its owner alone, unless it is there.
    /// - Throws: after a note on standard error.
    static func prepare(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
        } catch {
            throw Report.failure(
                "cannot make the data directory '\(path)': \(error.localizedDescription)")
        }
        guard FileManager.default.isWritableFile(atPath: path) else {
            throw Report.failure("the data directory '\(path)' is not writable")
        }
    }
}

/// What the C library calls an error number.
func reason(_ number: Int32) -> String { unsafe String(cString: strerror(number)) }
