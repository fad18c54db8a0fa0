public import AuthDNSCore
import Farm
import Synchronization

/// What one thread has counted. Only its thread writes; anyone may read.
final class WorkerCounters: Sendable {
    private let cells = InlineArray<128, Atomic<UInt64>> { _ in Atomic(0) }

    /// Where each counter is kept: first response codes, then types, then the rest.
    enum Cell: Int, CaseIterable {
        case queries = 100
        case silent, truncated, overIPv6, withOPT, wantingDNSSEC
        case cookieClient, cookieValid, cookieInvalid
        case limitDropped, limitTruncated
        case connections, connectionsRefused, connectionsIdle, connectionsSlow
        case upTo512, upTo1232, upTo4096, over4096

        /// By octets of a reply.
        static func size(_ octets: Int) -> Cell {
            switch octets {
            case ...512: .upTo512
            case ...1_232: .upTo1232
            case ...4_096: .upTo4096
            default: .over4096
            }
        }
    }

    private static let codes = 0..<25
    private static let types = 25..<100

    /// Notes one query and what came of it.
    func note(_ outcome: Outcome, from client: IPAddress?) {
        add(.queries)
        if case .v6 = client { add(.overIPv6) }
        guard outcome.length > 0 else { return add(.silent) }
        add(Cell.size(outcome.length))
        add(min(Int(outcome.code), WorkerCounters.codes.upperBound - 1))
        if outcome.type.rawValue != 0 { add(WorkerCounters.cell(of: outcome.type)) }
        if outcome.isTruncated { add(.truncated) }
        if outcome.hasOPT { add(.withOPT) }
        if outcome.wantsDNSSEC { add(.wantingDNSSEC) }
        switch outcome.cookie {
        case .none: break
        case .client: add(.cookieClient)
        case .valid: add(.cookieValid)
        case .invalid: add(.cookieInvalid)
        }
    }

    func add(_ cell: Cell) { add(cell.rawValue) }

    /// One writer: a load and a store are enough.
    private func add(_ index: Int) {
        cells[index].store(cells[index].load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }

    /// Types 0…65 and 251…257 have cells of their own, the others share the last.
    private static func cell(of type: RecordType) -> Int {
        let number = Int(type.rawValue)
        if number <= 65 { return types.lowerBound + number }
        if (251...257).contains(number) { return types.lowerBound + 66 + number - 251 }
        return types.upperBound - 1
    }

    private static func type(of cell: Int) -> RecordType {
        let index = cell - types.lowerBound
        if index <= 65 { return RecordType(rawValue: UInt16(index)) }
        return RecordType(rawValue: index < 73 ? UInt16(index - 66 + 251) : 0)
    }

    /// - Parameter isTCP: whether the thread serves TCP.
    func counted(isTCP: Bool) -> NameServerCounters {
        var sum = NameServerCounters()
        func value(_ cell: Cell) -> UInt64 { cells[cell.rawValue].load(ordering: .relaxed) }
        sum.queries = value(.queries)
        sum.tcpQueries = isTCP ? sum.queries : 0
        sum.ipv6Queries = value(.overIPv6)
        sum.silent = value(.silent)
        sum.truncated = value(.truncated)
        sum.queriesWithOPT = value(.withOPT)
        sum.queriesWantingDNSSEC = value(.wantingDNSSEC)
        sum.cookies = .init(
            clientOnly: value(.cookieClient), valid: value(.cookieValid),
            invalid: value(.cookieInvalid))
        sum.rateLimit = .init(dropped: value(.limitDropped), truncated: value(.limitTruncated))
        sum.connections = .init(
            accepted: value(.connections), refused: value(.connectionsRefused),
            endedIdle: value(.connectionsIdle), endedSlow: value(.connectionsSlow))
        sum.repliesBySize = [
            512: value(.upTo512), 1_232: value(.upTo1232), 4_096: value(.upTo4096),
            65_535: value(.over4096),
        ]
        for code in WorkerCounters.codes {
            let count = cells[code].load(ordering: .relaxed)
            if count > 0 { sum.repliesByCode[UInt16(code)] = count }
        }
        for cell in WorkerCounters.types {
            let count = cells[cell].load(ordering: .relaxed)
            if count > 0 { sum.repliesByType[WorkerCounters.type(of: cell), default: 0] += count }
        }
        return sum
    }
}

/// What a name server, or one of its threads, has counted since it started: plain numbers that only grow.
public struct NameServerCounters: Hashable, Sendable {
    /// Messages received; of which by TCP, and from IPv6 addresses.
    public var queries: UInt64 = 0
    public var tcpQueries: UInt64 = 0
    public var ipv6Queries: UInt64 = 0
    /// Messages with an OPT record, and with the DO bit in it.
    public var queriesWithOPT: UInt64 = 0
    public var queriesWantingDNSSEC: UInt64 = 0
    /// Replies by response code with its upper bits; 24 stands for all above 23.
    public var repliesByCode: [UInt16: UInt64] = [:]
    /// Replies by the type that was asked for; 0 stands for those that are counted together.
    public var repliesByType: [RecordType: UInt64] = [:]
    /// Replies by their octets: up to each of these and more than the one before. A transfer counts as small.
    public var repliesBySize: [Int: UInt64] = [:]
    /// Replies with TC set, and messages without a reply.
    public var truncated: UInt64 = 0
    public var silent: UInt64 = 0
    public var cookies = Cookies()
    public var rateLimit = Limited()
    public var connections = Connections()

    /// Queries with a COOKIE option, by what it proved.
    public struct Cookies: Hashable, Sendable {
        public var clientOnly: UInt64 = 0
        public var valid: UInt64 = 0
        public var invalid: UInt64 = 0
    }

    /// Replies over the rate limit; those sent all the same were BADCOOKIE or truncated.
    public struct Limited: Hashable, Sendable {
        public var dropped: UInt64 = 0
        public var truncated: UInt64 = 0
    }

    /// TCP connections: taken, refused for want of room, closed for idleness or for slow reading.
    public struct Connections: Hashable, Sendable {
        public var accepted: UInt64 = 0
        public var refused: UInt64 = 0
        public var endedIdle: UInt64 = 0
        public var endedSlow: UInt64 = 0
    }

    public init() {}

    /// Replies by the codes that matter most.
    public var answers: UInt64 { repliesByCode[0] ?? 0 }
    public var formatErrors: UInt64 { repliesByCode[1] ?? 0 }
    public var nameErrors: UInt64 { repliesByCode[3] ?? 0 }
    public var refusals: UInt64 { repliesByCode[5] ?? 0 }

    /// Adds another thread's numbers.
    public static func += (left: inout NameServerCounters, right: NameServerCounters) {
        left.queries += right.queries
        left.tcpQueries += right.tcpQueries
        left.ipv6Queries += right.ipv6Queries
        left.queriesWithOPT += right.queriesWithOPT
        left.queriesWantingDNSSEC += right.queriesWantingDNSSEC
        left.repliesByCode.merge(right.repliesByCode, uniquingKeysWith: +)
        left.repliesByType.merge(right.repliesByType, uniquingKeysWith: +)
        left.repliesBySize.merge(right.repliesBySize, uniquingKeysWith: +)
        left.truncated += right.truncated
        left.silent += right.silent
        left.cookies.clientOnly += right.cookies.clientOnly
        left.cookies.valid += right.cookies.valid
        left.cookies.invalid += right.cookies.invalid
        left.rateLimit.dropped += right.rateLimit.dropped
        left.rateLimit.truncated += right.rateLimit.truncated
        left.connections.accepted += right.connections.accepted
        left.connections.refused += right.connections.refused
        left.connections.endedIdle += right.connections.endedIdle
        left.connections.endedSlow += right.connections.endedSlow
    }
}
