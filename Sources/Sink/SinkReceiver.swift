import CEpoll
import Farm
import Glibc
import Synchronization

/// One thread that accepts connections and reads messages from them. Plain epoll and one read buffer for
/// all connections: the sink measures senders, so that its own cost per message must stay far below
/// theirs, and it must not share their network code.
@safe final class SinkReceiver: @unchecked Sendable {
    // Safe: the buffer lives as long as the object.
    // @unchecked: everything but `stopping` is touched by the one thread of `run`.
    private struct Connection {
        var session: SinkSession
        /// The end of a line that has begun.
        var carry: [UInt8] = []
        var unsent: [UInt8] = []
        var due = 0.0
        var waitsToSend = false
    }

    private static let bufferSize = 262_144
    private let listeners: [Int32]
    private let stopping: Atomic<Bool>
    private let delay: Double
    private let makeSession: @Sendable () -> SinkSession
    private let deliver: @Sendable ([SinkMessage]) -> Void
    private var connections: [Int32: Connection] = [:]
    private var delayed: [(due: Double, descriptor: Int32)] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: SinkReceiver.bufferSize, alignment: 64)

    /// - Parameters:
    ///   - delay: seconds before each reply.
    ///   - deliver: is called on the receiver's thread, before the replies are sent.
    init(
        listeners: [Int32], delay: Double, makeSession: @escaping @Sendable () -> SinkSession,
        deliver: @escaping @Sendable ([SinkMessage]) -> Void
    ) {
        self.listeners = listeners
        self.delay = delay
        self.makeSession = makeSession
        self.deliver = deliver
        stopping = Atomic(false)
    }

    deinit { unsafe buffer.deallocate() }

    /// Ends `run` within a quarter of a second; connections are closed.
    func stop() { stopping.store(true, ordering: .relaxed) }

    func run() {
        let poll = epoll_create1(Int32(SOCK_CLOEXEC.rawValue))
        guard poll >= 0 else { return }
        defer { close(poll) }
        for listener in listeners { watch(poll, listener, EPOLL_CTL_ADD, EPOLLIN.rawValue) }
        var events = unsafe [epoll_event](repeating: epoll_event(), count: 64)
        while !stopping.load(ordering: .relaxed) {
            let wait: Int32 = delayed.isEmpty ? 250 : 1
            let count = unsafe epoll_wait(poll, &events, 64, wait)
            for index in 0..<max(Int(count), 0) {
                let descriptor = unsafe events[index].data.fd
                if listeners.contains(descriptor) {
                    accept(descriptor, poll)
                } else {
                    serve(
                        descriptor, poll,
                        isReadable: unsafe events[index].events != EPOLLOUT.rawValue)
                }
            }
            if !delayed.isEmpty { sendDelayed(poll) }
        }
        for descriptor in connections.keys { close(descriptor) }
        connections = [:]
    }

    private func accept(_ listener: Int32, _ poll: Int32) {
        while true {
            let descriptor = unsafe accept4(
                listener, __SOCKADDR_ARG(__sockaddr__: nil), nil,
                Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
            guard descriptor >= 0 else { return }
            var one: Int32 = 1
            _ = unsafe setsockopt(
                descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one,
                socklen_t(MemoryLayout<Int32>.size))
            connections[descriptor] = Connection(session: makeSession())
            watch(poll, descriptor, EPOLL_CTL_ADD, EPOLLIN.rawValue)
            serve(descriptor, poll, isReadable: false)
        }
    }

    private func serve(_ descriptor: Int32, _ poll: Int32, isReadable: Bool) {
        guard var connection = connections.removeValue(forKey: descriptor) else { return }
        var keeps = true
        if isReadable { keeps = receive(descriptor, &connection) }
        if !connection.session.messages.isEmpty {
            deliver(connection.session.messages)
            connection.session.messages.removeAll(keepingCapacity: true)
        }
        if !connection.session.replies.isEmpty {
            connection.unsent += connection.session.replies
            connection.session.replies.removeAll(keepingCapacity: true)
            if delay > 0 {
                connection.due = SinkClock.now + delay
                delayed.append((connection.due, descriptor))
            }
        }
        if connection.due <= (delay > 0 ? SinkClock.now : 0) {
            keeps = keeps && flush(descriptor, poll, &connection)
        }
        if keeps {
            connections[descriptor] = connection
        } else {
            close(descriptor)
        }
    }

    /// - Returns: false when the other side has ended.
    private func receive(_ descriptor: Int32, _ connection: inout Connection) -> Bool {
        let before = connection.carry.count
        unsafe buffer.copyBytes(from: connection.carry)
        // Safe: the carry is never longer than one command line.
        let count = unsafe read(
            descriptor, buffer.baseAddress.map { unsafe $0 + before },
            SinkReceiver.bufferSize - before)
        guard count > 0 else { return count < 0 && (errno == EAGAIN || errno == EINTR) }
        let whole = before + count
        let used = unsafe connection.session.receive(
            UnsafeRawBufferPointer(rebasing: buffer[..<whole]))
        connection.carry.removeAll(keepingCapacity: true)
        if used < whole { unsafe connection.carry.append(contentsOf: buffer[used..<whole]) }
        return true
    }

    /// - Returns: false when the connection is over.
    private func flush(_ descriptor: Int32, _ poll: Int32, _ connection: inout Connection) -> Bool {
        while !connection.unsent.isEmpty {
            let count = unsafe connection.unsent.withUnsafeBytes { bytes in
                unsafe send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else {
                guard errno == EAGAIN else { return false }
                watch(poll, descriptor, EPOLL_CTL_MOD, EPOLLIN.rawValue | EPOLLOUT.rawValue)
                connection.waitsToSend = true
                return true
            }
            connection.unsent.removeFirst(count)
        }
        if connection.waitsToSend {
            watch(poll, descriptor, EPOLL_CTL_MOD, EPOLLIN.rawValue)
            connection.waitsToSend = false
        }
        return !connection.session.isClosed
    }

    private func sendDelayed(_ poll: Int32) {
        let now = SinkClock.now
        // Every delay is the same, so that the list is in order of time.
        let count = delayed.prefix { $0.due <= now }.count
        let ready = delayed.prefix(count)
        delayed.removeFirst(count)
        for entry in ready { serve(entry.descriptor, poll, isReadable: false) }
    }

    private func watch(_ poll: Int32, _ descriptor: Int32, _ operation: Int32, _ events: UInt32) {
        var event = unsafe epoll_event()
        unsafe event.events = events
        unsafe event.data.fd = descriptor
        _ = unsafe epoll_ctl(poll, operation, descriptor, &event)
    }
}

/// Seconds on the monotonic clock, from the start of the program.
enum SinkClock {
    private static let origin = ContinuousClock.now

    static var now: Double { (ContinuousClock.now - origin).inSeconds }
}
