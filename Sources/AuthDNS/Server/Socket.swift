import Farm
import Glibc

/// A socket of this server with its address: made, bound and closed here, so that every failure names
/// the address it concerns.
struct Socket: ~Copyable {
    enum Kind { case datagram, stream }

    let descriptor: Int32

    /// Binds, and listens on streams. Datagram sockets share their port among threads.
    /// - Parameter isShared: whether a stream's port may be bound by a second process too.
    init(
        _ kind: Kind, _ address: IPAddress, _ port: UInt16, isShared: Bool = false
    ) throws(NameServerError) {
        let family = Socket.family(of: address)
        let type = kind == .datagram ? SOCK_DGRAM : SOCK_STREAM
        let flags = Int32(SOCK_CLOEXEC.rawValue | (kind == .stream ? SOCK_NONBLOCK.rawValue : 0))
        descriptor = socket(family, Int32(type.rawValue) | flags, 0)
        guard descriptor >= 0 else { throw Socket.fault("cannot open a socket", address, port) }
        switch kind {
        case .datagram: set(SOL_SOCKET, SO_REUSEPORT, 1)
        case .stream: set(SOL_SOCKET, SO_REUSEADDR, 1)
        }
        if isShared { set(SOL_SOCKET, SO_REUSEPORT, 1) }
        if family == AF_INET6 { set(Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
        if kind == .datagram {
            set(SOL_SOCKET, SO_RCVBUF, 4 << 20)
            set(SOL_SOCKET, SO_SNDBUF, 4 << 20)
            // Answers are at most 1,232 octets, which every path takes whole: a forged "packet too big"
            // must not make fragments of them (RFC 9715). 5 is IP_PMTUDISC_OMIT in both families.
            switch address {
            case .v4: set(Int32(IPPROTO_IP), IP_MTU_DISCOVER, 5)
            case .v6: set(Int32(IPPROTO_IPV6), IPV6_MTU_DISCOVER, 5)
            }
        }
        if kind == .datagram, address.isUnspecified {
            // For `AskedAddresses`.
            switch address {
            case .v4: set(Int32(IPPROTO_IP), IP_PKTINFO, 1)
            case .v6: set(Int32(IPPROTO_IPV6), IPV6_RECVPKTINFO, 1)
            }
        }
        let handle = descriptor
        let bound = unsafe Socket.withSocketAddress(address, port) { name, length in
            unsafe bind(handle, __CONST_SOCKADDR_ARG(__sockaddr__: name), length)
        }
        guard bound == 0 else { throw Socket.fault("cannot listen on", address, port) }
        guard kind == .datagram || listen(descriptor, 512) == 0 else {
            throw Socket.fault("cannot listen on", address, port)
        }
    }

    /// - Parameter descriptor: of a socket that another process bound.
    init(adopting descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// The port that was bound.
    var port: UInt16 {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, __SOCKADDR_ARG(__sockaddr__: $0), &length)
            }
        }
        guard status == 0 else { return 0 }
        // The port stands at the same place in both families.
        return unsafe withUnsafeBytes(of: &storage) {
            unsafe UInt16($0[2]) << 8 | UInt16($0[3])
        }
    }

    /// The address in `name`, without its port; nil for other families. Allocates nothing.
    static func address(of name: UnsafePointer<sockaddr_storage>) -> IPAddress? {
        let start = unsafe UnsafeRawPointer(name)
        // Safe: every offset lies within sockaddr_storage.
        switch Int32(unsafe name.pointee.ss_family) {
        case AF_INET:
            return .v4(
                UInt32(bigEndian: unsafe start.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
        case AF_INET6:
            return .v6(
                high: UInt64(
                    bigEndian: unsafe start.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                low: UInt64(
                    bigEndian: unsafe start.loadUnaligned(fromByteOffset: 16, as: UInt64.self)))
        default: return nil
        }
    }

    private func set(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        _ = unsafe setsockopt(
            descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// The port in a name that the kernel wrote.
    static func port(of name: UnsafePointer<sockaddr_storage>) -> UInt16 {
        // Safe: IPv4 and IPv6 have it at the same place, behind the family.
        UInt16(bigEndian: unsafe UnsafeRawPointer(name).load(fromByteOffset: 2, as: UInt16.self))
    }

    private static func family(of address: IPAddress) -> Int32 {
        switch address {
        case .v4: AF_INET
        case .v6: AF_INET6
        }
    }

    static func withSocketAddress(
        _ address: IPAddress, _ port: UInt16,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var storage = sockaddr_storage()
        let octets = address.octets
        return unsafe withUnsafeMutableBytes(of: &storage) { bytes -> Int32 in
            // Safe: both layouts lie within sockaddr_storage.
            let family = UInt16(Socket.family(of: address))
            unsafe bytes.storeBytes(of: family, as: UInt16.self)
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

    private static func fault(
        _ what: String, _ address: IPAddress, _ port: UInt16
    ) -> NameServerError {
        let code = errno
        let reason = unsafe String(cString: strerror(code))
        let hint =
            switch code {
            case EADDRINUSE: "; another program has it: stop that or choose another port"
            case EACCES: "; ports below 1024 need root or CAP_NET_BIND_SERVICE"
            case EADDRNOTAVAIL: "; this machine does not have that address"
            default: ""
            }
        return NameServerError("\(what) \(address) port \(port): \(reason)\(hint)")
    }
}
