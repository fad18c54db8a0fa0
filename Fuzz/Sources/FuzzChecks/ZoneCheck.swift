import AuthDNSCore
import Farm
import Glibc
import ZoneFile

/// Any octets as the text of a zone: it is read or refused with a reason, and what is read makes an image that
/// answers for its apex.
enum ZoneCheck {
    private static let path = "/dev/shm/fuzz-zone-\(getpid())"

    static func run(_ bytes: [UInt8]) {
        guard let file = fopen(path, "w") else { fatalError("cannot write \(path)") }
        _ = bytes.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
        fclose(file)
        defer { unlink(path) }
        let zone: StaticZone
        do {
            zone = try loadZone(at: path, origin: FuzzZone.apex).zone
        } catch {
            precondition(!error.description.isEmpty)
            return
        }
        guard let image = try? ZoneImage(zone: zone, membership: Membership(version: 1), serial: 7)
        else { return }
        let reply = QueryCheck.askApex(of: image)
        precondition(reply[7] == 1 && reply[3] & 15 == 0, "no SOA record at the apex")
    }
}
