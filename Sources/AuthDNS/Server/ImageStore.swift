import AuthDNSCore
import Farm
import Glibc
import Synchronization

/// The image on disk: written whole, made durable, then renamed into place, right behind its publication: a disk
/// takes longer than a change should. A file of its own holds the last serial that may have been published. It is
/// written ahead, once for many changes, so that whatever the disk has lost, the serial never goes back; when the
/// server ends in order it is the image's own.
final class ImageStore: Sendable {
    private let directory: String
    private let reserved = Mutex<UInt32?>(nil)
    /// How many serials are reserved at a time.
    private static let reserve: UInt32 = 1024
    private var imagePath: String { directory + "/zone.image" }
    private var serialPath: String { directory + "/zone.serial" }

    init(directory: String) { self.directory = directory }

    /// The saved image; nil when there is none.
    /// - Throws: when there is one and it cannot be read.
    func load() throws(NameServerError) -> ZoneImage? {
        guard let bytes = try DurableFile.read(imagePath) else { return nil }
        do throws(ZoneFault) {
            return try SavedImage.decode(bytes)
        } catch {
            throw NameServerError("\(imagePath): \(error)")
        }
    }

    /// A primary has said that the image is what it has: noted as the file's time.
    func touch() { _ = unsafe utimensat(AT_FDCWD, imagePath, nil, 0) }

    /// Seconds since the image was saved or touched; nil when there is none.
    func age(unixTime: UInt64) -> UInt64? {
        var status = stat()
        guard unsafe stat(imagePath, &status) == 0 else { return nil }
        let time = UInt64(max(status.st_mtim.tv_sec, 0))
        return unixTime > time ? unixTime - time : 0
    }

    /// The last serial that may have been published; nil when none ever was.
    func reservedSerial() throws(NameServerError) -> UInt32? {
        guard let bytes = try DurableFile.read(serialPath) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first ?? ""
        guard let serial = UInt32(text) else {
            throw NameServerError("\(serialPath): not a serial number")
        }
        return serial
    }

    /// Makes sure that `serial` may be published: the disk knows one that is not older.
    /// - Throws: when the disk does not take it; the serial must not be published then.
    func reserve(_ serial: UInt32) throws(NameServerError) {
        let known = reserved.withLock { $0 }
        if let known, !Serial.isNewer(serial, than: known) { return }
        try write(serial &+ ImageStore.reserve)
    }

    /// Makes `image` the one that a restart serves.
    /// - Throws: when the disk does not take it; what was saved before stays.
    func save(_ image: ZoneImage) throws(NameServerError) {
        try DurableFile.write(SavedImage.encode(image), to: imagePath)
        let known = reserved.withLock { $0 } ?? image.serial
        // Before the next change needs it.
        if known &- image.serial < ImageStore.reserve / 2 {
            try write(image.serial &+ ImageStore.reserve)
        }
    }

    /// Nothing behind `image`, which is saved, was published: a restart goes on with its very serial.
    func close(with image: ZoneImage) throws(NameServerError) {
        try write(image.serial)
        reserved.withLock { $0 = nil }
    }

    private func write(_ serial: UInt32) throws(NameServerError) {
        try DurableFile.write(Array("\(serial)\n".utf8), to: serialPath)
        reserved.withLock { $0 = serial }
    }
}
