import Farm
import Glibc

/// Sockets of the sink and the addresses they have.
enum SinkSocket {
    /// - Returns: the listening descriptor and the port that was bound.
    static func listen(
        _ address: IPAddress, _ port: UInt16
    ) throws(SinkError) -> (descriptor: Int32, port: UInt16) {
        let isV4 = address.octets.count == 4
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(isV4 ? AF_INET : AF_INET6, flags, 0)
        guard descriptor >= 0 else { throw fault("cannot open a socket for", address, port) }
        var one: Int32 = 1
        _ = unsafe setsockopt(
            descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        let status = unsafe withAddress(address, port) { name, length in
            unsafe bind(descriptor, __CONST_SOCKADDR_ARG(__sockaddr__: name), length)
        }
        guard status == 0, Glibc.listen(descriptor, 512) == 0 else {
            let error = fault("cannot listen on", address, port)
            close(descriptor)
            throw error
        }
        return (descriptor, boundPort(descriptor))
    }

    private static func boundPort(_ descriptor: Int32) -> UInt16 {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, __SOCKADDR_ARG(__sockaddr__: $0), &length)
            }
        }
        guard status == 0 else { return 0 }
        // The port stands at the same place in both families.
        return unsafe withUnsafeBytes(of: &storage) { unsafe UInt16($0[2]) << 8 | UInt16($0[3]) }
    }

    static func withAddress(
        _ address: IPAddress, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        let octets = address.octets
        var storage = sockaddr_storage()
        return unsafe withUnsafeMutableBytes(of: &storage) { bytes -> Int32 in
            // Safe: both layouts lie within sockaddr_storage.
            unsafe bytes.storeBytes(
                of: UInt16(octets.count == 4 ? AF_INET : AF_INET6), as: UInt16.self)
            unsafe bytes[2] = UInt8(port >> 8)
            unsafe bytes[3] = UInt8(port & 255)
            let start = octets.count == 4 ? 4 : 8
            for (index, octet) in octets.enumerated() { unsafe bytes[start + index] = octet }
            let length =
                octets.count == 4
                ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
            guard let base = bytes.baseAddress else { return -1 }
            return unsafe body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(length))
        }
    }

    static func fault(_ what: String, _ address: IPAddress, _ port: UInt16) -> SinkError {
        let code = errno
        let reason = unsafe String(cString: strerror(code))
        let hint = code == EADDRINUSE ? "; another program has it: choose another port" : ""
        return SinkError(description: "\(what) \(address) port \(port): \(reason)\(hint)")
    }
}

/// A thread of its own for work that blocks, which has no place on the cooperative pool.
enum SinkThread {
    private final class Work {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    static func start(_ body: @escaping @Sendable () -> Void) -> pthread_t {
        var thread = pthread_t()
        // Safe: the new thread takes over the one reference that is handed to it.
        let work = unsafe Unmanaged.passRetained(Work(body))
        let status = unsafe pthread_create(
            &thread, nil,
            { argument in
                if let argument = unsafe argument {
                    unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body()
                }
                return nil
            }, work.toOpaque())
        precondition(status == 0, "no thread can be started")
        return thread
    }
}
