import Glibc

/// Which of this machine's addresses each query of a batch was sent to (IP_PKTINFO, IPV6_RECVPKTINFO), so that the
/// answer leaves from it (RFC 1122 §4.1.3.5): a resolver drops an answer from elsewhere. Only sockets bound to the
/// wildcard need it; the others answer from where they are bound.
@safe struct AskedAddresses: ~Copyable {
    /// Octets for the one control message of a datagram; the larger, IPv6's, takes 40.
    private static let room = 64
    /// Octets of a cmsghdr, behind which the address lies.
    private static let headerLength = 16

    private let controls: UnsafeMutableRawPointer

    /// - Parameter count: datagrams in a batch.
    init(count: Int) {
        unsafe controls = .allocate(
            byteCount: count * AskedAddresses.room, alignment: MemoryLayout<cmsghdr>.alignment)
        unsafe controls.initializeMemory(
            as: UInt8.self, repeating: 0, count: count * AskedAddresses.room)
    }

    deinit { unsafe controls.deallocate() }

    /// Makes room for what the kernel will tell of the datagram at `index`, which must be below `count`.
    func prepare(_ header: inout msghdr, _ index: Int) {
        unsafe header.msg_control = controls + index * AskedAddresses.room
        unsafe header.msg_controllen = AskedAddresses.room
    }

    /// Makes `reply` leave from the address that `query` was sent to.
    func answer(_ query: msghdr, with reply: inout msghdr) {
        unsafe reply.msg_control = query.msg_control
        unsafe reply.msg_controllen = query.msg_controllen
        guard let control = unsafe query.msg_control,
            unsafe query.msg_controllen >= AskedAddresses.headerLength
        else { return }
        // The way back is the routing table's to choose: without this the reply would leave by the interface
        // that the query came in by. Safe: both layouts lie within `room`.
        let data = unsafe control + AskedAddresses.headerLength
        switch unsafe control.load(fromByteOffset: 8, as: Int32.self) {
        case Int32(IPPROTO_IP):
            unsafe data.storeBytes(of: 0, as: Int32.self)
        case Int32(IPPROTO_IPV6):
            // Link-local addresses mean something on one link only.
            let isLinkLocal = unsafe data.load(as: UInt8.self) == 0xFE
            if !isLinkLocal { unsafe data.storeBytes(of: 0, toByteOffset: 16, as: Int32.self) }
        default: unsafe reply.msg_controllen = 0
        }
    }
}
