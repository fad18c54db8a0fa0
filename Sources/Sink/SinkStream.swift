import Farm
import Glibc

/// A TCP connection of one worker thread: calls block, at most `patience` each. Closed with the value.
final class SinkStream {
    let address: IPAddress
    let port: UInt16
    private let descriptor: Int32

    private init(_ address: IPAddress, _ port: UInt16, _ descriptor: Int32) {
        self.address = address
        self.port = port
        self.descriptor = descriptor
    }

    /// - Parameter patience: seconds that connecting and each later call may take.
    /// - Throws: the reason, with address and port.
    static func connect(
        _ address: IPAddress, _ port: UInt16, patience: Int
    ) throws(SinkError) -> SinkStream {
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.octets.count == 4 ? AF_INET : AF_INET6, flags, 0)
        guard descriptor >= 0 else {
            throw SinkSocket.fault("cannot open a socket to", address, port)
        }
        var limit = timeval(tv_sec: patience, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        // The sending limit is that of connecting as well (socket(7)).
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        var one: Int32 = 1
        _ = unsafe setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one,
            socklen_t(MemoryLayout<Int32>.size))
        let status = unsafe SinkSocket.withAddress(address, port) { name, length in
            unsafe Glibc.connect(descriptor, __CONST_SOCKADDR_ARG(__sockaddr__: name), length)
        }
        guard status == 0 else {
            let error = SinkSocket.fault("cannot connect to", address, port)
            close(descriptor)
            throw error
        }
        return SinkStream(address, port, descriptor)
    }

    deinit { close(descriptor) }

    /// - Returns: false when the connection is broken.
    func write(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                // Safe: sent < bytes.count.
                unsafe send(
                    descriptor, buffer.baseAddress.map { unsafe $0 + sent }, buffer.count - sent,
                    Int32(MSG_NOSIGNAL))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// - Returns: what is there, at least one octet; nil at the end, by an error or when nothing came in time.
    func read() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { bytes in
                unsafe recv(descriptor, bytes.baseAddress, bytes.count, 0)
            }
            if count < 0 && errno == EINTR { continue }
            return count > 0 ? Array(buffer.prefix(count)) : nil
        }
    }
}
