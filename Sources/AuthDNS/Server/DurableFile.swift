import Glibc

/// Files that are whole or not there: written beside their place, made durable, then renamed into it. Blocks on the
/// disk.
enum DurableFile {
    /// - Returns: nil when there is no such file.
    static func read(_ path: String) throws(NameServerError) -> [UInt8]? {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw fault("cannot read", path)
        }
        defer { close(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe Glibc.read(file, &piece, piece.count)
            if count == 0 { return bytes }
            guard count > 0 else { throw fault("cannot read", path) }
            bytes += piece[..<count]
        }
    }

    /// - Parameter mode: who may read it.
    /// - Throws: when the disk does not take it; what was there before stays.
    static func write(
        _ bytes: [UInt8], to path: String, mode: mode_t = 0o600
    ) throws(NameServerError) {
        let temporary = path + ".new"
        let file = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard file >= 0 else { throw fault("cannot write", temporary) }
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(file, $0.baseAddress?.advanced(by: written), $0.count - written)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            written += count
        }
        let isDurable = written == bytes.count && fsync(file) == 0
        let code = errno
        close(file)
        guard isDurable, unsafe rename(temporary, path) == 0 else {
            if !isDurable { errno = code }
            let fault = fault("cannot write", path)
            _ = unsafe unlink(temporary)
            throw fault
        }
        syncDirectory(of: path)
    }

    /// Makes the rename itself durable.
    private static func syncDirectory(of path: String) {
        let slash = path.lastIndex(of: "/")
        let directory = slash.map { path[...$0] } ?? "."
        let handle = unsafe open(String(directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { return }
        fsync(handle)
        close(handle)
    }

    private static func fault(_ what: String, _ path: String) -> NameServerError {
        NameServerError("\(what) \(path): \(unsafe String(cString: strerror(errno)))")
    }
}
