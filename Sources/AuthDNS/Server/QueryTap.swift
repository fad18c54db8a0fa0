import AuthDNSCore
public import Farm
import Glibc
import Synchronization

/// One in so many queries of one thread, with what they were answered, on their way to somebody who logs them. The
/// thread that answers copies a query into memory that was made at the start, and goes on; another takes them out. When
/// that one is too slow, queries are dropped and counted: nothing here waits, allocates or counts references.
@safe public final class QueryTap: @unchecked Sendable {
    // @unchecked: a slot between `taken` and `filled` is the reader's, the others are the writer's, and each of the two
    // numbers has one writer.
    /// How queries came to the thread.
    public enum Transport: Sendable { case udp, tcp, tls }

    private static let slots = 512
    /// Longer queries and replies are told of without their octets.
    private static let queryRoom = 512
    private static let replyRoom = 1232

    private struct Head {
        var client: IPAddress?
        var port: UInt16
        var time: timespec
        var query: Int
        var reply: Int
    }

    public let transport: Transport
    /// Where the thread answers; nil when that is several addresses.
    public let address: IPAddress?
    public let port: UInt16?
    /// One in so many queries is kept.
    let interval: Int
    private let heads: UnsafeMutablePointer<Head>
    private let octets: UnsafeMutablePointer<UInt8>
    private let filled = Atomic<Int>(0)
    private let taken = Atomic<Int>(0)
    private let dropped = Atomic<UInt64>(0)
    private let told = Atomic<UInt64>(0)
    private let untold = Atomic<UInt64>(0)

    init(_ transport: Transport, _ address: IPAddress?, _ port: UInt16?, interval: Int) {
        self.transport = transport
        self.address = address
        self.port = port
        self.interval = max(interval, 1)
        unsafe heads = .allocate(capacity: QueryTap.slots)
        unsafe heads.initialize(
            repeating: Head(client: nil, port: 0, time: timespec(), query: 0, reply: 0),
            count: QueryTap.slots)
        let room = QueryTap.slots * (QueryTap.queryRoom + QueryTap.replyRoom)
        unsafe octets = .allocate(capacity: room)
        unsafe octets.initialize(repeating: 0, count: room)
    }

    deinit {
        unsafe heads.deallocate()
        unsafe octets.deallocate()
    }

    /// Keeps a query, for the one thread that answers.
    /// - Parameter reply: empty when there was none.
    func keep(
        _ query: Span<UInt8>, _ reply: Span<UInt8>, from client: IPAddress?, port: UInt16
    ) {
        let next = filled.load(ordering: .relaxed)
        guard next &- taken.load(ordering: .acquiring) < QueryTap.slots else {
            dropped.store(dropped.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
            return
        }
        let slot = next & (QueryTap.slots - 1)
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        let start = unsafe octets + slot * (QueryTap.queryRoom + QueryTap.replyRoom)
        // Safe: each part of the slot has room for what is copied there, and the slot is this thread's.
        unsafe heads[slot] = Head(
            client: client, port: port, time: time,
            query: QueryTap.copy(query, start, QueryTap.queryRoom),
            reply: QueryTap.copy(reply, start + QueryTap.queryRoom, QueryTap.replyRoom))
        filled.store(next &+ 1, ordering: .releasing)
    }

    /// - Returns: how many octets were copied: all or none.
    private static func copy(
        _ source: Span<UInt8>, _ target: UnsafeMutablePointer<UInt8>, _ room: Int
    ) -> Int {
        guard source.count <= room else { return 0 }
        unsafe source.withUnsafeBufferPointer { bytes in
            if let base = bytes.baseAddress {
                unsafe target.update(from: base, count: bytes.count)
            }
        }
        return source.count
    }

    /// The oldest that was kept, for the one thread that tells of them; nil when there is none.
    public func next() -> TappedQuery? {
        let next = taken.load(ordering: .relaxed)
        guard next != filled.load(ordering: .acquiring) else { return nil }
        let slot = next & (QueryTap.slots - 1)
        let start = unsafe octets + slot * (QueryTap.queryRoom + QueryTap.replyRoom)
        let head = unsafe heads[slot]
        let query = unsafe TappedQuery(
            client: head.client, port: head.port, seconds: UInt64(max(head.time.tv_sec, 0)),
            nanoseconds: UInt32(clamping: head.time.tv_nsec),
            query: Array(UnsafeBufferPointer(start: start, count: head.query)),
            reply: Array(
                UnsafeBufferPointer(start: start + QueryTap.queryRoom, count: head.reply)))
        taken.store(next &+ 1, ordering: .releasing)
        return query
    }

    /// Of those that were taken out, so many were told to whom they were for, or were not.
    public func note(told: Int, untold: Int) {
        self.told.add(UInt64(told), ordering: .relaxed)
        self.untold.add(UInt64(untold), ordering: .relaxed)
    }

    /// What became of the queries that were to be kept.
    var counted: (told: UInt64, untold: UInt64, dropped: UInt64) {
        (
            told.load(ordering: .relaxed), untold.load(ordering: .relaxed),
            dropped.load(ordering: .relaxed)
        )
    }
}

/// A query with its answer, as it was kept.
public struct TappedQuery: Hashable, Sendable {
    public let client: IPAddress?
    public let port: UInt16
    /// When it was answered, since 1970.
    public let seconds: UInt64
    public let nanoseconds: UInt32
    /// Empty when it was too long to be kept.
    public let query: [UInt8]
    /// Empty when there was none, or it was too long.
    public let reply: [UInt8]
}
