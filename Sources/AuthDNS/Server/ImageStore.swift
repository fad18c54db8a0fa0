import AuthDNSCore
import Glibc
import Synchronization

/// The image on disk: written whole, made durable, then renamed into place, before anybody is answered
/// from it. A file of its own holds a serial that none has reached, so that even a damaged image does not let it go
/// back; it is written once for many changes.
final class ImageStore: Sendable {
    private let directory: String
    private let reserved = Mutex<UInt32?>(nil)
    /// How many serials are reserved at a time.
    private static let reserve: UInt32 = 64
    private var imagePath: String { directory + "/zone.image" }
    private var serialPath: String { directory + "/zone.serial" }

    init(directory: String) { self.directory = directory }

    /// The saved image; nil when there is none.
    /// - Throws: when there is one and it cannot be read.
    func load() throws(NameServerError) -> ZoneImage? {
        guard let bytes = try read(imagePath) else { return nil }
        do throws(ZoneFault) {
            return try SavedImage.decode(bytes)
        } catch {
            throw NameServerError("\(imagePath): \(error)")
        }
    }

    /// A serial that is not older than the last that was published; nil when none ever was.
    func reservedSerial() throws(NameServerError) -> UInt32? {
        guard let bytes = try read(serialPath) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first ?? ""
        guard let serial = UInt32(text) else {
            throw NameServerError("\(serialPath): not a serial number")
        }
        return serial
    }

    /// Makes `image` the one that a restart serves.
    /// - Throws: when the disk does not take it; what was saved before stays.
    func save(_ image: ZoneImage) throws(NameServerError) {
        let isReserved = reserved.withLock { $0.map { Serial.isNewer($0, than: image.serial) } }
        if isReserved != true {
            let next = image.serial &+ ImageStore.reserve
            try write(Array("\(next)\n".utf8), to: serialPath)
            reserved.withLock { $0 = next }
        }
        try write(SavedImage.encode(image), to: imagePath)
    }

    private func read(_ path: String) throws(NameServerError) -> [UInt8]? {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw ImageStore.fault("cannot read", path)
        }
        defer { close(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe Glibc.read(file, &piece, piece.count)
            if count == 0 { return bytes }
            guard count > 0 else { throw ImageStore.fault("cannot read", path) }
            bytes += piece[..<count]
        }
    }

    private func write(_ bytes: [UInt8], to path: String) throws(NameServerError) {
        let temporary = path + ".new"
        let file = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw ImageStore.fault("cannot write", temporary) }
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
            let fault = ImageStore.fault("cannot write", path)
            _ = unsafe unlink(temporary)
            throw fault
        }
        syncDirectory()
    }

    /// Makes the rename itself durable.
    private func syncDirectory() {
        let handle = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { return }
        fsync(handle)
        close(handle)
    }

    private static func fault(_ what: String, _ path: String) -> NameServerError {
        NameServerError("\(what) \(path): \(unsafe String(cString: strerror(errno)))")
    }
}
