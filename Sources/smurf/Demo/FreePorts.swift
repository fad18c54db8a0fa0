import Farm
import Foundation

/// Ports that nobody listens on now, for processes that are about to be started.
enum FreePorts {
    /// - Returns: `count` different ports below the range that the system takes client ports from, free for TCP
    ///   and UDP on every address.
    /// - Throws: when there are not enough.
    static func find(_ count: Int, on addresses: [IPAddress]) throws -> [UInt16] {
        var found: [UInt16] = []
        for port in UInt16(20_000)...UInt16(31_000) where found.count < count {
            let isFreeEverywhere = addresses.allSatisfy { address in
                isFree(port, address, SOCK_STREAM) && isFree(port, address, SOCK_DGRAM)
            }
            if isFreeEverywhere { found.append(port) }
        }
        guard found.count == count else {
            throw Report.failure(
                "not enough free ports on \(addresses.map(\.description).joined(separator: ", "))")
        }
        return found
    }

    private static func isFree(_ port: UInt16, _ address: IPAddress, _ type: __socket_type) -> Bool
    {
        guard case .v4(let value) = address else { return false }
        let file = socket(AF_INET, Int32(type.rawValue), 0)
        guard file >= 0 else { return false }
        defer { close(file) }
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = port.bigEndian
        place.sin_addr.s_addr = value.bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        // Safe: the address outlives the call.
        return unsafe withUnsafePointer(to: &place) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(file, $0, size)
            }
        } == 0
    }
}
