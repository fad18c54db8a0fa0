import AuthDNSCore
import Farm
import Glibc
import Synchronization

/// The thread that tells secondaries of new versions by UDP and waits for their answers. It sleeps while there is
/// nothing to tell.
final class NotifyWorker: Sendable {
    /// A server that is told of changes.
    struct Target: Sendable {
        var address: IPAddress
        var port: UInt16
        /// Signs what it is told.
        var key: TSIGKey?
    }

    private struct State {
        var schedule: NotifySchedule
        /// Signed messages under way, to judge their answers by.
        var exchanges: [Int: TSIGExchange] = [:]
    }

    private let targets: [Target]
    /// Addresses to speak from: secondaries know this server by them.
    private let sources: [IPAddress]
    private let published: PublishedZones
    /// Which of its zones is told of.
    private let number: Int
    private let stopping: StopFlag
    private let state: Mutex<State>

    /// - Parameter listening: addresses that are answered on. Of each family the first is spoken from that can reach
    ///   the targets.
    init(
        targets: [Target], listening: [IPAddress], published: PublishedZones, zone number: Int,
        stopping: StopFlag
    ) {
        self.number = number
        self.targets = targets
        sources = listening.filter { own in
            !own.isUnspecified && targets.allSatisfy { $0.address.isLoopback == own.isLoopback }
        }
        self.published = published
        self.stopping = stopping
        state = Mutex(State(schedule: NotifySchedule(count: targets.count)))
    }

    /// A new version is served. Any thread.
    func changed(to serial: UInt32) {
        state.withLock { $0.schedule.changed(to: serial, now: Clock.milliseconds()) }
    }

    /// Works until `stopping` is set; returns soon after.
    func run() {
        let sockets = [open(AF_INET, octets: 4), open(AF_INET6, octets: 16)]
        defer { for descriptor in sockets where descriptor >= 0 { close(descriptor) } }
        while !stopping.isSet {
            var polled = sockets.map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            // A change is noticed within 20 ms: sooner than any secondary can have asked.
            _ = unsafe poll(&polled, nfds_t(polled.count), 20)
            for (descriptor, entry) in zip(sockets, polled) where entry.revents != 0 {
                receive(descriptor)
            }
            let soa = published.current(number).soa
            for (target, message) in messages(soa) {
                let descriptor = sockets[targets[target].address.octets.count == 4 ? 0 : 1]
                _ = unsafe Socket.withSocketAddress(
                    targets[target].address, targets[target].port
                ) { name, length in
                    let sent = unsafe sendto(
                        descriptor, message, message.count, Int32(MSG_NOSIGNAL),
                        __CONST_SOCKADDR_ARG(__sockaddr__: name), length)
                    return Int32(truncatingIfNeeded: sent)
                }
            }
        }
    }

    /// A datagram socket of a family, whose addresses have so many octets.
    private func open(_ family: Int32, octets: Int) -> Int32 {
        let kind = Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, kind, 0)
        if let source = sources.first(where: { $0.octets.count == octets }) {
            // When it fails, the system chooses as it would have.
            _ = unsafe Socket.withSocketAddress(source, 0) { name, length in
                unsafe bind(descriptor, __CONST_SOCKADDR_ARG(__sockaddr__: name), length)
            }
        }
        return descriptor
    }

    private func messages(_ soa: ResourceRecord) -> [(Int, [UInt8])] {
        let now = Clock.milliseconds()
        let unixTime = UInt64(Clock.unixSeconds())
        return state.withLock { state in
            state.schedule.due(now: now) { .random(in: 0...UInt16.max) }.map { target, id in
                var message = NotifyMessage.request(id: id, soa: soa)
                if let key = targets[target].key {
                    var exchange = TSIGExchange(key)
                    exchange.sign(&message, unixTime: unixTime)
                    state.exchanges[target] = exchange
                }
                return (target, message)
            }
        }
    }

    /// Takes what has come on a socket. Answers from elsewhere, or that are not signed as they must be, do not
    /// count.
    private func receive(_ descriptor: Int32) {
        var buffer = [UInt8](repeating: 0, count: 2048)
        while true {
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let count = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe recvfrom(
                        descriptor, &buffer, buffer.count, 0, __SOCKADDR_ARG(__sockaddr__: $0),
                        &length)
                }
            }
            guard count > 0 else { return }
            guard let client = unsafe Socket.address(of: &storage) else { continue }
            take(Array(buffer[..<count]), from: client)
        }
    }

    private func take(_ message: [UInt8], from client: IPAddress) {
        guard let id = NotifyMessage.answeredID(message) else { return }
        let unixTime = UInt64(Clock.unixSeconds())
        state.withLock { state in
            for (index, target) in targets.enumerated() where target.address == client {
                if target.key != nil {
                    guard var exchange = state.exchanges[index],
                        exchange.verify(message, unixTime: unixTime) != nil
                    else { continue }
                }
                state.schedule.answered(target: index, id: id, now: Clock.milliseconds())
            }
        }
    }
}
