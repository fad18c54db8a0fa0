public import Farm
import Glibc

/// The listening sockets for DNS over TLS, bound before anything else is done, as `BoundSockets` are. A process that
/// replaces this one binds the same ports beside it.
public final class SecureSockets: Sendable {
    private let all: [BoundSocket]

    /// - Throws: naming the address that cannot be had.
    public init(_ addresses: [(address: IPAddress, port: UInt16)]) throws(NameServerError) {
        var bound: [BoundSocket] = []
        for (address, port) in addresses {
            bound.append(
                BoundSocket(.stream, address, try Socket(.stream, address, port, isShared: true)))
        }
        all = bound
    }

    public var isEmpty: Bool { all.isEmpty }

    /// Addresses and ports, as bound.
    public var endpoints: [(address: IPAddress, port: UInt16)] {
        all.map { ($0.address, $0.socket.port) }
    }

    /// The same sockets under descriptors that belong to the caller.
    public func duplicates() -> [Int32] {
        all.map { fcntl($0.socket.descriptor, F_DUPFD_CLOEXEC, 0) }.filter { $0 >= 0 }
    }
}
