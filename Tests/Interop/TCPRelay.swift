import Foundation
import Synchronization
import TestSupport

/// A way through the network that a test can cut: it takes connections on one port of loopback and passes their octets
/// to another and back. While it is cut it passes nothing and closes nothing, as a network does that loses every packet.
final class TCPRelay: Sendable {
    let port: UInt16
    private let target: UInt16
    private let listener: Int32
    private let cut = Mutex<Cut>(.none)

    enum Cut: Sendable {
        case none
        case everybody
        /// Who says this at the head of a request, as etcd's members say who they are.
        case those(String)
    }

    init(to target: UInt16) throws {
        self.target = target
        (listener, port) = try TCPRelay.listen()
        Thread.detachNewThread { [self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { return }
                Thread.detachNewThread { [self] in serve(client) }
            }
        }
    }

    func cut(_ new: Cut) { cut.withLock { $0 = new } }

    func close() { shutdown(listener, Int32(SHUT_RDWR)) }

    private static func address(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private static func listen() throws -> (Int32, UInt16) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var own = address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let size = length
        let isBound = withUnsafeMutablePointer(to: &own) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && Glibc.listen(listener, 64) == 0
                    && getsockname(listener, $0, &length) == 0
            }
        }
        guard isBound else { throw Failure("the relay has no port") }
        return (listener, UInt16(bigEndian: own.sin_port))
    }

    private func connect() -> Int32 {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var other = TCPRelay.address(target)
        let isThere = withUnsafePointer(to: &other) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isThere else {
            Glibc.close(server)
            return -1
        }
        return server
    }

    private func isCut(_ head: String) -> Bool {
        switch cut.withLock({ $0 }) {
        case .none: false
        case .everybody: true
        case .those(let text): head.contains(text)
        }
    }

    private func serve(_ client: Int32) {
        defer { Glibc.close(client) }
        while isCut("") { usleep(20_000) }
        let server = connect()
        guard server >= 0 else { return }
        defer { Glibc.close(server) }
        pass(client, server)
    }

    /// Passes octets both ways until one side ends. What comes while it is cut is held back.
    private func pass(_ client: Int32, _ server: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        // Of the last request; a connection may be used for several.
        var head = ""
        while true {
            var polls = [client, server].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard !isCut(head) else {
                usleep(20_000)
                continue
            }
            guard poll(&polls, 2, 50) > 0 else { continue }
            for (from, to, found) in [
                (client, server, polls[0].revents), (server, client, polls[1].revents),
            ] where found != 0 {
                let count = recv(from, &buffer, buffer.count, 0)
                guard count > 0 else { return }
                if from == client, let new = TCPRelay.head(buffer[..<count]) { head = new }
                while isCut(head) { usleep(20_000) }
                guard TCPRelay.write(to, buffer[..<count]) else { return }
            }
        }
    }

    /// The head of a request by HTTP/1; nil when the octets begin with none.
    private static func head(_ octets: ArraySlice<UInt8>) -> String? {
        let text = String(decoding: octets.prefix(2_000), as: UTF8.self)
        return ["GET ", "POST "].contains { text.hasPrefix($0) } ? text : nil
    }

    private static func write(_ socket: Int32, _ octets: ArraySlice<UInt8>) -> Bool {
        octets.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return true }
            var done = 0
            while done < bytes.count {
                let count = send(
                    socket, start + done, bytes.count - done, Int32(MSG_NOSIGNAL))
                guard count > 0 else { return false }
                done += count
            }
            return true
        }
    }
}
