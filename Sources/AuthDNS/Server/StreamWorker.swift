import AuthDNSCore
import CEpoll
import Farm
import Glibc
import Synchronization

/// The TCP thread (RFC 7766): any number of queries per connection, pipelined; the answers of one read
/// leave in one write. Idle and slow connections are closed, and nobody may hold more than a share.
final class StreamWorker: @unchecked Sendable {
    // @unchecked: everything but `counters` and `stopping` is touched by the one thread of `run`.
    let counters = WorkerCounters()
    let tap: QueryTap?
    private let listeners: [Int32]
    private let published: PublishedZones
    private let stopping: StopFlag
    private let limits: (connections: Int, perClient: Int, idleSeconds: Int)
    private var connections: [Int32: StreamConnection] = [:]
    private var perClient: [IPAddress: Int] = [:]
    private let answerer: StreamAnswerer
    /// While descriptors are short: when to accept again, in milliseconds.
    private var pausedUntil: Int?
    /// No new query is read any more.
    private var isDraining = false
    /// How long a stop waits for clients that take their answers slowly, in milliseconds.
    private static let longestDrain = 2_000
    /// How long a stop goes on serving who is connected, in milliseconds.
    private let lingering = Atomic<Int>(0)
    /// A connection that is silent for so many seconds while the server lingers is closed.
    private static let silence = 2

    init(
        listeners: [Int32], published: PublishedZones, stopping: StopFlag,
        configuration: NameServerConfiguration, tap: QueryTap? = nil
    ) {
        self.tap = tap
        self.listeners = listeners
        self.published = published
        self.stopping = stopping
        answerer = StreamAnswerer(published, counters, tap)
        limits = (
            configuration.connections, configuration.connectionsPerClient,
            max(Int(configuration.idleTimeout.inSeconds), 1)
        )
    }

    /// Says how long whoever is connected is served after `stopping` is set, while nobody new is taken.
    func linger(_ time: Duration) {
        lingering.store(Int(time.inSeconds * 1000), ordering: .relaxed)
    }

    /// Serves until `stopping` is set.
    func run() {
        let poll = epoll_create1(Int32(SOCK_CLOEXEC.rawValue))
        guard poll >= 0 else { return }
        defer { close(poll) }
        for listener in listeners { watch(poll, listener, EPOLL_CTL_ADD, EPOLLIN.rawValue) }
        var view = PublishedZones.View(published)
        var events = unsafe [epoll_event](repeating: epoll_event(), count: 64)
        var lastSweep = seconds()
        while !stopping.isSet {
            unsafe turn(poll, &events, &view)
            resumeAccepting(poll)
            let now = seconds()
            if now > lastSweep {
                lastSweep = now
                sweep(now, limits.idleSeconds)
            }
        }
        for listener in listeners { watch(poll, listener, EPOLL_CTL_DEL, 0) }
        let deadline = milliseconds() + lingering.load(ordering: .relaxed)
        while !connections.isEmpty, milliseconds() < deadline {
            unsafe turn(poll, &events, &view)
            sweep(seconds(), StreamWorker.silence)
        }
        view.refresh(published)
        drain(poll, view)
        for descriptor in Array(connections.keys) { drop(descriptor) }
    }

    /// Waits for a while, and serves who has asked or comes.
    private func turn(
        _ poll: Int32, _ events: inout [epoll_event], _ view: inout PublishedZones.View
    ) {
        let count = unsafe epoll_wait(poll, &events, 64, 250)
        view.refresh(published)
        for index in 0..<max(Int(count), 0) {
            let event = unsafe events[index]
            let descriptor = unsafe event.data.fd
            if listeners.contains(descriptor) {
                accept(descriptor, poll)
            } else {
                serve(descriptor, poll, unsafe event.events, view)
            }
        }
    }

    /// Closes what was silent for too long.
    private func sweep(_ now: Int, _ longest: Int) {
        for (descriptor, connection) in connections where now - connection.lastActive > longest {
            counters.add(
                connection.conversation.unsent.isEmpty ? .connectionsIdle : .connectionsSlow)
            drop(descriptor)
        }
    }

    /// Answers what has arrived, sends what is owed and hangs up; nobody can make it last.
    private func drain(_ poll: Int32, _ view: PublishedZones.View) {
        isDraining = true
        // A close before everything is read would reset the connection and lose answers on the way.
        for descriptor in Array(connections.keys) {
            for _ in 0..<8 { serve(descriptor, poll, EPOLLIN.rawValue, view) }
            if connections[descriptor]?.conversation.unsent.isEmpty ?? false { drop(descriptor) }
        }
        let deadline = milliseconds() + StreamWorker.longestDrain
        var events = unsafe [epoll_event](repeating: epoll_event(), count: 64)
        while !connections.isEmpty, milliseconds() < deadline {
            let count = unsafe epoll_wait(poll, &events, 64, 50)
            for index in 0..<max(Int(count), 0) {
                let event = unsafe events[index]
                let descriptor = unsafe event.data.fd
                serve(descriptor, poll, unsafe event.events & ~EPOLLIN.rawValue, view)
                if connections[descriptor]?.conversation.unsent.isEmpty ?? false {
                    drop(descriptor)
                }
            }
        }
    }

    /// Without a descriptor to accept with, the waiting client would wake this thread for ever.
    private func pauseAccepting(_ poll: Int32) {
        guard pausedUntil == nil else { return }
        pausedUntil = milliseconds() + 200
        for listener in listeners { watch(poll, listener, EPOLL_CTL_DEL, 0) }
    }

    private func resumeAccepting(_ poll: Int32) {
        guard let until = pausedUntil, milliseconds() >= until else { return }
        pausedUntil = nil
        for listener in listeners { watch(poll, listener, EPOLL_CTL_ADD, EPOLLIN.rawValue) }
    }

    /// Clients leave some descriptors to the rest of the process: files, other listeners, and Dispatch, which traps
    /// when it cannot look at its own threads.
    private static let reserve = 32

    /// Below which a client's descriptor must be, by the limit as it is now.
    private static var highestDescriptor: Int32 {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return .max
        }
        return Int32(clamping: limit.rlim_cur) - Int32(reserve)
    }

    private func accept(_ listener: Int32, _ poll: Int32) {
        while true {
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let descriptor = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe accept4(
                        listener, __SOCKADDR_ARG(__sockaddr__: $0), &length,
                        Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
                }
            }
            guard descriptor >= 0 else {
                if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(errno) { pauseAccepting(poll) }
                return
            }
            guard let client = unsafe Socket.address(of: &storage) else {
                close(descriptor)
                continue
            }
            guard connections.count < limits.connections,
                perClient[client, default: 0] < limits.perClient,
                descriptor < StreamWorker.highestDescriptor
            else {
                counters.add(.connectionsRefused)
                close(descriptor)
                continue
            }
            var one: Int32 = 1
            _ = unsafe setsockopt(
                descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one,
                socklen_t(MemoryLayout<Int32>.size))
            counters.add(.connections)
            perClient[client, default: 0] += 1
            connections[descriptor] = StreamConnection(
                client: client, port: unsafe Socket.port(of: &storage), now: seconds())
            watch(poll, descriptor, EPOLL_CTL_ADD, EPOLLIN.rawValue)
        }
    }

    private func serve(
        _ descriptor: Int32, _ poll: Int32, _ events: UInt32, _ view: PublishedZones.View
    ) {
        guard var connection = connections.removeValue(forKey: descriptor) else { return }
        var keeps = true
        if events & EPOLLIN.rawValue != 0 {
            keeps = connection.receive(from: descriptor)
        } else if events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 {
            keeps = false
        }
        // A transfer is made as fast as it is taken, in pieces; what was asked behind it waits.
        repeat {
            keeps = keeps && answerer.work(on: &connection.conversation, view)
            keeps =
                keeps && connection.flush(to: descriptor) && !connection.conversation.isMalformed
        } while keeps && connection.conversation.unsent.isEmpty
            && connection.conversation.transfer != nil
        // Octets alone do not count: who trickles them is idle (RFC 7766 section 6.2.3).
        if connection.conversation.hasMoved { connection.lastActive = seconds() }
        let wanted =
            (isDraining ? 0 : EPOLLIN.rawValue)
            | (connection.conversation.unsent.isEmpty ? 0 : EPOLLOUT.rawValue)
        if keeps && wanted != connection.watched {
            watch(poll, descriptor, EPOLL_CTL_MOD, wanted)
            connection.watched = wanted
        }
        connections[descriptor] = connection
        if !keeps { drop(descriptor) }
    }

    private func drop(_ descriptor: Int32) {
        guard let connection = connections.removeValue(forKey: descriptor) else { return }
        close(descriptor)
        let left = perClient[connection.conversation.client, default: 1] - 1
        perClient[connection.conversation.client] = left > 0 ? left : nil
    }

    private func watch(_ poll: Int32, _ descriptor: Int32, _ operation: Int32, _ events: UInt32) {
        var event = unsafe epoll_event()
        unsafe event.events = events
        unsafe event.data.fd = descriptor
        _ = unsafe epoll_ctl(poll, operation, descriptor, &event)
    }

    private func seconds() -> Int { milliseconds() / 1000 }

    private func milliseconds() -> Int { Clock.milliseconds() }
}

/// One TCP connection: its conversation, and what is known of its descriptor.
struct StreamConnection {
    var conversation: StreamConversation
    var lastActive: Int
    var watched = EPOLLIN.rawValue

    init(client: IPAddress, port: UInt16, now: Int) {
        conversation = StreamConversation(client: client, port: port, isEncrypted: false)
        lastActive = now
    }

    /// Reads what is there.
    /// - Returns: false at the end of the stream or on an error.
    mutating func receive(from descriptor: Int32) -> Bool {
        let count = unsafe conversation.receive(atMost: 16_384) { space in
            unsafe read(descriptor, space.baseAddress, space.count)
        }
        return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR))
    }

    /// Sends as much as the other side takes now.
    /// - Returns: false on an error.
    mutating func flush(to descriptor: Int32) -> Bool {
        while !conversation.unsent.isEmpty {
            let count = unsafe conversation.unsent.withUnsafeBytes { bytes in
                unsafe Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return errno == EAGAIN || errno == EINTR }
            conversation.sent(count)
        }
        return true
    }
}
