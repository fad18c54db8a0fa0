import AuthDNSCore
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
        guard let bytes = try DurableFile.read(imagePath) else { return nil }
        do throws(ZoneFault) {
            return try SavedImage.decode(bytes)
        } catch {
            throw NameServerError("\(imagePath): \(error)")
        }
    }

    /// A serial that is not older than the last that was published; nil when none ever was.
    func reservedSerial() throws(NameServerError) -> UInt32? {
        guard let bytes = try DurableFile.read(serialPath) else { return nil }
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
            try DurableFile.write(Array("\(next)\n".utf8), to: serialPath)
            reserved.withLock { $0 = next }
        }
        try DurableFile.write(SavedImage.encode(image), to: imagePath)
    }
}
