import Glibc

/// A resolver's sockets, as plain as they can be: one connected socket to a server on 127.0.0.0/8,
/// which hears nobody but the address it asked.
public final class LoopbackClient {
    private let descriptor: Int32
    private let isStream: Bool

    /// - Parameters:
    ///   - port: of the server.
    ///   - host: the last octet of its address, 127.0.0.host.
    ///   - receiveBuffer: octets that wait in the kernel, so that a client can be slow; nil for many.
    public init?(port: UInt16, host: UInt8 = 1, stream: Bool, receiveBuffer: Int32? = nil) {
        isStream = stream
        let type = stream ? SOCK_STREAM : SOCK_DGRAM
        descriptor = socket(AF_INET, Int32(type.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        if var room = receiveBuffer {
            setsockopt(
                descriptor, SOL_SOCKET, SO_RCVBUF, &room, socklen_t(MemoryLayout<Int32>.size))
        }
        var patience = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = (0x7F00_0000 | UInt32(host)).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { return nil }
    }

    deinit { close(descriptor) }

    /// Sends the octets as they are.
    public func send(_ bytes: [UInt8]) {
        _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    /// One datagram, or one message behind its length; nil when none comes within 10 s or at the end.
    public func receive() -> [UInt8]? {
        guard isStream else {
            var bytes = [UInt8](repeating: 0, count: 65_535)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            return count > 0 ? Array(bytes[..<count]) : nil
        }
        guard let head = exactly(2) else { return nil }
        return exactly(Int(head[0]) << 8 | Int(head[1]))
    }

    private func exactly(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = recv(descriptor, &bytes, count, Int32(MSG_WAITALL))
        return got == count ? bytes : nil
    }
}

/// Queries in wire form.
public enum Question {
    /// - Parameter options: of an OPT record; nil for none.
    public static func bytes(
        _ name: String, _ type: UInt8, id: UInt16 = 1, options: [UInt8]? = nil
    ) -> [UInt8] {
        var message: [UInt8] = [UInt8(id >> 8), UInt8(id & 255), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        for label in name.split(separator: ".") {
            message.append(UInt8(label.utf8.count))
            message += Array(label.utf8)
        }
        message += [0, 0, type, 0, 1]
        guard let options else { return message }
        message[11] = 1
        return message + [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, UInt8(options.count)] + options
    }

    public static func framed(_ message: [UInt8]) -> [UInt8] {
        [UInt8(message.count >> 8), UInt8(message.count & 255)] + message
    }
}
