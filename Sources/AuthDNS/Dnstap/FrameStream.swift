import Glibc

/// One connection to a collector by Frame Streams, with its handshake: frames are octets behind their length, control
/// frames have length 0 before that. libfstrm speaks it too, but its writer waits without end for a collector that
/// does not read, and its own thread wants each frame in memory of its own; what is needed is no more than this.
@safe final class FrameStream {
    /// Longest time that the collector may let the writer wait, in milliseconds.
    private static let patience: Int32 = 2_000
    private static let longestControl = 512

    private enum Control: UInt32 {
        case accept = 1
        case start = 2
        case stop = 3
        case ready = 4
        case finish = 5
    }

    private static let contentType = Array("protobuf:dnstap.Dnstap".utf8)
    private let descriptor: Int32

    /// Why there is no connection.
    struct Fault: Error { let description: String }

    /// Connects to a unix socket and agrees upon what is sent.
    init(to path: String) throws(Fault) {
        descriptor = socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0
        )
        guard descriptor >= 0 else { throw FrameStream.fault("cannot make a socket") }
        guard FrameStream.connect(descriptor, path) else {
            throw FrameStream.fault("cannot connect")
        }
        guard send(FrameStream.control(.ready)) else {
            throw FrameStream.fault("it does not take the handshake")
        }
        guard let answer = receiveControl(), FrameStream.agrees(answer),
            send(FrameStream.control(.start))
        else {
            throw Fault(description: "it does not answer as a collector of dnstap does")
        }
    }

    deinit { close(descriptor) }

    /// A data frame.
    static func frame(_ octets: [UInt8]) -> [UInt8] { number(UInt32(octets.count)) + octets }

    /// Sends whole frames.
    /// - Returns: false when the collector is gone or does not read; the connection is of no use then.
    func send(_ octets: [UInt8]) -> Bool {
        var sent = 0
        while sent < octets.count {
            let count = unsafe octets.withUnsafeBytes { bytes in
                unsafe Glibc.send(
                    descriptor, bytes.baseAddress?.advanced(by: sent), bytes.count - sent,
                    Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else if !((errno == EAGAIN && waits(for: POLLOUT)) || errno == EINTR) {
                return false
            }
        }
        return true
    }

    /// Says that nothing more comes, and waits a moment for the collector to have it all.
    func finish() {
        if send(FrameStream.number(0) + FrameStream.number(4) + FrameStream.number(3)) {
            _ = receiveControl()
        }
    }

    private static func connect(_ descriptor: Int32, _ path: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let octets = Array(path.utf8)
        guard octets.count < MemoryLayout.size(ofValue: address.sun_path) else {
            errno = ENAMETOOLONG
            return false
        }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: octets) }
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(
                    descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }

    private static func control(_ type: Control) -> [UInt8] {
        let field = number(1) + number(UInt32(contentType.count)) + contentType
        return number(0) + number(UInt32(4 + field.count)) + number(type.rawValue) + field
    }

    /// Whether a control frame accepts what is sent: by name, or anything.
    private static func agrees(_ control: [UInt8]) -> Bool {
        guard number(control, 0) == Control.accept.rawValue else { return false }
        var (offset, isNamed) = (4, false)
        while let field = number(control, offset), let length = number(control, offset + 4) {
            let end = offset + 8 + Int(length)
            guard field == 1, end <= control.count else { return false }
            if control[(offset + 8)..<end].elementsEqual(contentType) { return true }
            (offset, isNamed) = (end, true)
        }
        return !isNamed
    }

    private func receiveControl() -> [UInt8]? {
        guard let head = receive(8), FrameStream.number(head, 0) == 0,
            let length = FrameStream.number(head, 4), (4...512).contains(length)
        else { return nil }
        return receive(Int(length))
    }

    private func receive(_ count: Int) -> [UInt8]? {
        var octets = [UInt8](repeating: 0, count: count)
        var received = 0
        while received < count {
            let more = unsafe octets.withUnsafeMutableBytes { bytes in
                unsafe Glibc.recv(
                    descriptor, bytes.baseAddress?.advanced(by: received), count - received, 0)
            }
            if more > 0 {
                received += more
            } else if more == 0 || !((errno == EAGAIN && waits(for: POLLIN)) || errno == EINTR) {
                return nil
            }
        }
        return octets
    }

    private func waits(for event: Int32) -> Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        return unsafe poll(&waiting, 1, FrameStream.patience) > 0
    }

    private static func number(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    private static func number(_ octets: [UInt8], _ offset: Int) -> UInt32? {
        guard octets.count >= offset + 4 else { return nil }
        return octets[offset..<(offset + 4)].reduce(0) { $0 << 8 | UInt32($1) }
    }

    private static func fault(_ what: String) -> Fault {
        Fault(description: "\(what): \(unsafe String(cString: strerror(errno)))")
    }
}
