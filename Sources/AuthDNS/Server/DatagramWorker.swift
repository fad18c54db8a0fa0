import AuthDNSCore
import Farm
import Glibc
import Synchronization

/// One UDP thread: receives queries in batches on a socket of its own, answers each into a buffer of
/// its own and sends the batch. It takes no lock and allocates nothing while it runs.
@safe final class DatagramWorker: @unchecked Sendable {
    // @unchecked: everything below but `counters` and `stopping` is touched by the one thread that
    // `run` is called on.
    private static let batch = 32
    /// Larger queries are answered FORMERR: none of that size is honest.
    private static let queryRoom = 2048
    private static let replyRoom = 1232
    /// From one query to the next. With a power of two all of a batch would share a few lines of the processor's cache.
    private static let queryStride = queryRoom + 192

    let counters = WorkerCounters()
    let tap: QueryTap?
    private let socket: Int32
    private let published: PublishedZones
    private let stopping: StopFlag
    private let limit: RateLimit?
    private let queries: UnsafeMutablePointer<UInt8>
    private let replies: UnsafeMutablePointer<UInt8>
    private let names: UnsafeMutablePointer<sockaddr_storage>
    private let incoming: UnsafeMutablePointer<mmsghdr>
    private let outgoing: UnsafeMutablePointer<mmsghdr>
    private let vectors: UnsafeMutablePointer<iovec>
    /// Of a socket that is bound to the wildcard.
    private let asked: AskedAddresses?

    /// - Parameters:
    ///   - socket: stays the caller's to close, after `run` has returned.
    ///   - isWildcard: whether it was bound to all addresses of its family.
    ///   - limit: nil for none.
    ///   - tap: of queries that are told to others; nil for none.
    init(
        socket: Int32, isWildcard: Bool, published: PublishedZones, stopping: StopFlag,
        limit: RateLimit?, tap: QueryTap? = nil
    ) {
        self.tap = tap
        self.socket = socket
        asked = isWildcard ? AskedAddresses(count: DatagramWorker.batch) : nil
        self.limit = limit
        self.published = published
        self.stopping = stopping
        let count = DatagramWorker.batch
        unsafe queries = .allocate(capacity: count * DatagramWorker.queryStride)
        unsafe queries.initialize(repeating: 0, count: count * DatagramWorker.queryStride)
        unsafe replies = .allocate(capacity: count * DatagramWorker.replyRoom)
        unsafe replies.initialize(repeating: 0, count: count * DatagramWorker.replyRoom)
        unsafe names = .allocate(capacity: count)
        unsafe names.initialize(repeating: sockaddr_storage(), count: count)
        unsafe incoming = .allocate(capacity: count)
        unsafe incoming.initialize(repeating: mmsghdr(), count: count)
        unsafe outgoing = .allocate(capacity: count)
        unsafe outgoing.initialize(repeating: mmsghdr(), count: count)
        unsafe vectors = .allocate(capacity: count * 2)
        unsafe vectors.initialize(repeating: iovec(), count: count * 2)
        for index in 0..<count {
            unsafe vectors[index] = iovec(
                iov_base: queries + index * DatagramWorker.queryStride,
                iov_len: DatagramWorker.queryRoom)
            unsafe incoming[index].msg_hdr.msg_iov = vectors + index
            unsafe incoming[index].msg_hdr.msg_iovlen = 1
            unsafe incoming[index].msg_hdr.msg_name = UnsafeMutableRawPointer(names + index)
            unsafe outgoing[index].msg_hdr.msg_iov = vectors + count + index
            unsafe outgoing[index].msg_hdr.msg_iovlen = 1
        }
    }

    deinit {
        // Safe: the thread has ended, nobody holds these.
        unsafe queries.deallocate()
        unsafe replies.deallocate()
        unsafe names.deallocate()
        unsafe incoming.deallocate()
        unsafe outgoing.deallocate()
        unsafe vectors.deallocate()
    }

    /// Serves until `stopping` is set; returns at most a quarter of a second later.
    func run() {
        var patience = timeval(tv_sec: 0, tv_usec: 250_000)
        _ = unsafe setsockopt(
            socket, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var memory = Memory(
            random: .random(in: 1...UInt64.max),
            limiter: limit.map { RateLimiter($0, seed: .random(in: 0...UInt64.max)) },
            untilTap: tap?.interval ?? .max)
        var waiting = 0
        while !stopping.isSet {
            // One view for as long as it holds: taking it costs reference counts, which no batch should.
            waiting = serve(with: PublishedZones.View(published), first: waiting, &memory)
        }
    }

    /// What passes from one query to the next. It is the caller's own variable, which the compiler need not watch.
    private struct Memory {
        var random: UInt64
        var limiter: RateLimiter?
        /// Queries up to the next that is kept.
        var untilTap: Int

        mutating func draw() -> UInt64 {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return random ^ random >> 31
        }
    }

    /// Answers until something else is to be served, or the end.
    /// - Parameter first: queries that were received already.
    /// - Returns: queries that were received, and are to be answered from what is served now.
    private func serve(
        with view: PublishedZones.View, first: Int, _ memory: inout Memory
    ) -> Int {
        if first > 0 { send(answer(first, view, &memory)) }
        while !stopping.isSet {
            let received = receive()
            guard received > 0 else { continue }
            guard view.isCurrent(published) else { return received }
            send(answer(received, view, &memory))
        }
        return 0
    }

    /// Waits for a batch.
    /// - Returns: how many queries came; 0 and less for none.
    private func receive() -> Int {
        for index in 0..<DatagramWorker.batch {
            unsafe incoming[index].msg_hdr.msg_namelen =
                socklen_t(MemoryLayout<sockaddr_storage>.size)
            unsafe asked?.prepare(&incoming[index].msg_hdr, index)
        }
        return Int(
            unsafe recvmmsg(
                socket, incoming, UInt32(DatagramWorker.batch), Int32(MSG_WAITFORONE), nil))
    }

    /// Answers the first `count` queries of the batch.
    /// - Returns: how many replies stand ready in `outgoing`.
    private func answer(
        _ count: Int, _ view: PublishedZones.View, _ memory: inout Memory
    ) -> Int {
        var ready = 0
        let now = (
            unix: Clock.unixSeconds(), monotonic: UInt32(truncatingIfNeeded: Clock.milliseconds())
        )
        for index in 0..<count {
            // Safe: `index` is below the batch's size and msg_len at most `queryRoom`.
            let query = unsafe Span(
                _unsafeStart: queries + index * DatagramWorker.queryStride,
                count: min(Int(incoming[index].msg_len), DatagramWorker.queryRoom))
            let start = unsafe replies + ready * DatagramWorker.replyRoom
            var reply = unsafe MutableSpan(
                _unsafeStart: start, count: DatagramWorker.replyRoom)
            let context = QueryContext(
                transport: .udp, random: memory.draw(),
                client: unsafe Socket.address(of: names + index), unixTime: now.unix,
                leavesPeers: true)
            var outcome = respond(
                to: query, context: context, settings: view.settings, from: view.image,
                beside: view.others, into: &reply)
            if outcome.isForPeer { outcome = answerPeer(query, context, &reply) }
            limit(&outcome, query, context, view, now.monotonic, &memory.limiter, &reply)
            counters.note(outcome, from: context.client)
            memory.untilTap -= 1
            if memory.untilTap == 0 {
                memory.untilTap = keep(query, reply.span, outcome.length, context, index)
            }
            guard outcome.length > 0 else { continue }
            unsafe vectors[DatagramWorker.batch + ready] = iovec(
                iov_base: start, iov_len: outcome.length)
            unsafe outgoing[ready].msg_hdr.msg_name = incoming[index].msg_hdr.msg_name
            unsafe outgoing[ready].msg_hdr.msg_namelen = incoming[index].msg_hdr.msg_namelen
            unsafe asked?.answer(incoming[index].msg_hdr, with: &outgoing[ready].msg_hdr)
            ready += 1
        }
        return ready
    }

    /// Keeps the query at `index` for whoever is told of queries.
    /// - Returns: after how many queries the next is kept.
    private func keep(
        _ query: Span<UInt8>, _ reply: Span<UInt8>, _ length: Int, _ context: QueryContext,
        _ index: Int
    ) -> Int {
        guard let tap else { return .max }
        tap.keep(
            query, reply.extracting(first: length), from: context.client,
            port: unsafe Socket.port(of: names + index))
        return tap.interval
    }

    /// Answers a transfer's or a signed query. It allocates: such queries are few.
    private func answerPeer(
        _ query: Span<UInt8>, _ context: QueryContext, _ reply: inout MutableSpan<UInt8>
    ) -> Outcome {
        var outcome = Outcome()
        let octets = (0..<query.count).map { query[$0] }
        let answer = published.responder(to: octets).answer(
            octets, context, unixTime: UInt64(context.unixTime))
        let message: [UInt8]
        switch answer {
        case .message(let reply): message = reply
        case .notified(let reply):
            published.noteNotify()
            message = reply
        case .none, .stream: return outcome
        }
        guard message.count <= reply.count else { return outcome }
        for (index, octet) in message.enumerated() { reply[index] = octet }
        outcome.length = message.count
        outcome.code = UInt16(message[3] & 15)
        return outcome
    }

    /// Takes a reply back that its asker must not have, or puts a shorter one in its place.
    private func limit(
        _ outcome: inout Outcome, _ query: Span<UInt8>, _ context: QueryContext,
        _ view: PublishedZones.View, _ now: UInt32, _ limiter: inout RateLimiter?,
        _ reply: inout MutableSpan<UInt8>
    ) {
        guard outcome.length > 0, let client = context.client,
            let verdict = limiter?.judge(outcome, to: client, now: now)
        else { return }
        switch verdict {
        case .send: return
        case .drop:
            counters.add(.limitDropped)
            outcome.length = 0
        case .truncate:
            counters.add(.limitTruncated)
            var limited = context
            limited.isLimited = true
            outcome = respond(
                to: query, context: limited, settings: view.settings, from: view.image,
                beside: view.others, into: &reply)
        }
    }

    private func send(_ count: Int) {
        var sent = 0
        while sent < count {
            let now = unsafe sendmmsg(socket, outgoing + sent, UInt32(count - sent), 0)
            if now > 0 {
                sent += Int(now)
            } else if errno != EINTR {
                // The first of the rest cannot be sent (its sender is gone): drop it, not all.
                sent += 1
            }
        }
    }
}

/// Tells threads to end.
final class StopFlag: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .relaxed) }
    func set() { flag.store(true, ordering: .relaxed) }
}

/// The clocks that threads read once for many queries.
enum Clock {
    /// Seconds since 1970 modulo 2^32.
    static func unixSeconds() -> UInt32 {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME_COARSE, &time)
        return UInt32(truncatingIfNeeded: time.tv_sec)
    }

    /// Seconds since 1970.
    static func unixTime() -> UInt64 {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(max(time.tv_sec, 0))
    }

    /// Milliseconds of a clock that is never set.
    static func milliseconds() -> Int {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }
}
