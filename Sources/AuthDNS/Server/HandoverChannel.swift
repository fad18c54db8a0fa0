import Glibc

/// A connection between a running server and the process that is to replace it, over a unix socket that keeps
/// messages apart (SOCK_SEQPACKET): short texts, and descriptors beside them (SCM_RIGHTS). Blocking; one thread at a
/// time.
public final class HandoverChannel: Sendable {
    private static let mostOctets = 256
    private let descriptor: Int32

    /// - Parameter descriptor: connected; closed with this value.
    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Connects to a server.
    /// - Parameter path: of its socket.
    /// - Returns: nil when nobody listens there.
    /// - Throws: when somebody does and cannot be reached.
    public convenience init?(connectingTo path: String) throws(NameServerError) {
        let handle = try HandoverChannel.socket()
        let status = try unsafe HandoverChannel.withAddress(path) { name, length in
            unsafe connect(handle, __CONST_SOCKADDR_ARG(__sockaddr__: name), length)
        }
        let code = errno
        guard status == 0 else {
            close(handle)
            if [ENOENT, ECONNREFUSED].contains(code) { return nil }
            throw HandoverChannel.fault("cannot reach the running server at \(path)", code)
        }
        self.init(descriptor: handle)
    }

    deinit { close(descriptor) }

    /// Sends a text, and a descriptor of this process, which stays open here.
    /// - Throws: when the other side is gone.
    public func send(_ text: String, with passed: Int32? = nil) throws(NameServerError) {
        var octets = Array(text.utf8.prefix(HandoverChannel.mostOctets))
        // cmsghdr: length, level, type; then the descriptor.
        var control: [Int] = [20, Int(SOL_SOCKET) | HandoverChannel.rights << 32, Int(passed ?? 0)]
        let sent = unsafe HandoverChannel.withMessage(&octets, &control) { message in
            if passed == nil { unsafe message.pointee.msg_controllen = 0 }
            return unsafe sendmsg(descriptor, message, Int32(MSG_NOSIGNAL))
        }
        guard sent == octets.count else {
            throw HandoverChannel.fault("the other process is gone", errno)
        }
    }

    /// Waits for a message.
    /// - Parameter seconds: how long at most.
    /// - Returns: the text, and the descriptor that came with it, which is the caller's to close; nil when none comes
    ///   in time or the other side is gone.
    public func receive(within seconds: Int) -> (text: String, passed: Int32?)? {
        guard HandoverChannel.isReadable(descriptor, milliseconds: Int32(clamping: seconds * 1000))
        else { return nil }
        var octets = [UInt8](repeating: 0, count: HandoverChannel.mostOctets)
        var control = [0, 0, 0]
        let count = unsafe HandoverChannel.withMessage(&octets, &control) { message in
            unsafe recvmsg(descriptor, message, Int32(MSG_CMSG_CLOEXEC))
        }
        guard count > 0 else { return nil }
        let isPassed =
            control[0] == 20 && control[1] == Int(SOL_SOCKET) | HandoverChannel.rights << 32
        return (
            String(decoding: octets[..<count], as: UTF8.self),
            isPassed ? Int32(truncatingIfNeeded: control[2]) : nil
        )
    }

    /// SCM_RIGHTS, which Swift's Glibc module leaves out.
    private static let rights = 1

    private static func withMessage(
        _ octets: inout [UInt8], _ control: inout [Int],
        _ body: (UnsafeMutablePointer<msghdr>) -> Int
    ) -> Int {
        // Safe: the buffers outlive the call, and the lengths are theirs.
        unsafe octets.withUnsafeMutableBytes { text in
            unsafe control.withUnsafeMutableBytes { beside in
                var vector = unsafe iovec(iov_base: text.baseAddress, iov_len: text.count)
                return unsafe withUnsafeMutablePointer(to: &vector) { vectors in
                    var message = unsafe msghdr()
                    unsafe message.msg_iov = vectors
                    unsafe message.msg_iovlen = 1
                    unsafe message.msg_control = beside.baseAddress
                    unsafe message.msg_controllen = beside.count
                    return unsafe body(&message)
                }
            }
        }
    }

    static func socket() throws(NameServerError) -> Int32 {
        let type = Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue)
        let handle = Glibc.socket(AF_UNIX, type, 0)
        guard handle >= 0 else { throw fault("cannot open a socket", errno) }
        return handle
    }

    static func isReadable(_ descriptor: Int32, milliseconds: Int32) -> Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&waiting, 1, milliseconds) > 0
    }

    static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(NameServerError) -> Int32 {
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        let octets = Array(path.utf8)
        guard octets.count < MemoryLayout.size(ofValue: name.sun_path) else {
            throw NameServerError("\(path) is too long for the name of a socket (107 octets)")
        }
        return unsafe withUnsafeMutableBytes(of: &name) { bytes -> Int32 in
            // Safe: the path fits behind the family, and the rest is zero.
            for (index, octet) in octets.enumerated() { unsafe bytes[2 + index] = octet }
            guard let base = bytes.baseAddress else { return -1 }
            return unsafe body(
                base.assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }

    static func fault(_ what: String, _ code: Int32) -> NameServerError {
        NameServerError("\(what): \(unsafe String(cString: strerror(code)))")
    }
}

/// Where a process that is to replace a running server finds it.
public final class HandoverListener: Sendable {
    private let path: String
    private let descriptor: Int32

    /// - Parameter path: of the socket, which is made for its owner alone; one that is there already is nobody's.
    /// - Throws: when it cannot be made.
    public init(at path: String) throws(NameServerError) {
        self.path = path
        descriptor = try HandoverChannel.socket()
        _ = unsafe unlink(path)
        let handle = descriptor
        let status = try unsafe HandoverChannel.withAddress(path) { name, length in
            unsafe bind(handle, __CONST_SOCKADDR_ARG(__sockaddr__: name), length)
        }
        guard status == 0, unsafe chmod(path, 0o600) == 0, listen(descriptor, 1) == 0 else {
            throw HandoverChannel.fault("cannot listen at \(path)", errno)
        }
    }

    deinit { close(descriptor) }

    /// Nobody finds it any more.
    public func hide() { _ = unsafe unlink(path) }

    /// - Parameter milliseconds: how long to wait at most.
    /// - Returns: nil when nobody came.
    public func accept(within milliseconds: Int32) -> HandoverChannel? {
        guard HandoverChannel.isReadable(descriptor, milliseconds: milliseconds) else { return nil }
        var length: socklen_t = 0
        let handle = unsafe accept4(
            descriptor, __SOCKADDR_ARG(), &length, Int32(SOCK_CLOEXEC.rawValue))
        return handle < 0 ? nil : HandoverChannel(descriptor: handle)
    }
}
