public import AuthDNS
public import AuthDNSCore
public import Farm
import Glibc
public import Logging
import NIOCore

/// Keeps the zone of a secondary as new as its primaries have it: fetches it by TCP or TLS when one of them tells of a
/// new version (RFC 1996), and at the times that the zone's SOA record says (RFC 1034 §4.3.5). When none has answered
/// for as long as the zone is good, SERVFAIL is answered until one does.
public struct ZoneFetcher: Sendable {
    /// A server that the zone is fetched from.
    public struct Primary: Sendable {
        public var address: IPAddress
        public var port: UInt16
        /// Address of this machine to ask from; nil: whichever the system takes.
        public var source: IPAddress?
        /// Signs what is asked, and what is answered.
        public var key: TSIGKey?
        /// nil: by TCP.
        public var tls: PrimaryTLS?

        public init(
            address: IPAddress, port: UInt16, source: IPAddress? = nil, key: TSIGKey? = nil,
            tls: PrimaryTLS? = nil
        ) {
            self.source = source
            self.address = address
            self.port = port
            self.key = key
            self.tls = tls
        }
    }

    private let server: NameServer
    private let apex: DomainName
    private let primaries: [Primary]
    private let logger: Logger

    /// - Parameter primaries: at least one; the first that answers is taken.
    public init(
        _ server: NameServer, of apex: DomainName, from primaries: [Primary], logger: Logger
    ) {
        self.server = server
        self.apex = apex
        self.primaries = primaries
        self.logger = logger
    }

    /// Works until the task is cancelled.
    public func run() async {
        // Clocks may be set; only what passed before this run is told by them.
        var lastContact = ContinuousClock.now - server.silence
        while !Task.isCancelled {
            // Told of again while it is fetched, it is fetched once more.
            let told = server.notifications
            let isCurrent = await refresh()
            if isCurrent {
                lastContact = .now
                server.noteContact()
            }
            let times = server.secondarySOA.flatMap { SOAData($0.data) }
            judge(isCurrent, lastContact.duration(to: .now), times)
            await wait(
                isCurrent ? ZoneFetcher.pause(times?.refresh) : ZoneFetcher.pause(times?.retry),
                orMoreThan: told)
        }
    }

    /// Between a second and a day; without a zone every second.
    private static func pause(_ seconds: UInt32?) -> Duration {
        .seconds(min(max(seconds ?? 1, 1), 86_400))
    }

    /// Stops answering when the zone is too old, and begins again when it is not.
    private func judge(_ isCurrent: Bool, _ silence: Duration, _ times: SOAData?) {
        guard let times else { return }
        if isCurrent {
            server.setServing(true)
            return
        }
        guard silence > .seconds(times.expire), server.setServing(false) else { return }
        logger.error("the zone has expired: no primary has answered for \(times.expire) s")
    }

    /// Returns when the time is over, or sooner when somebody told of a new version.
    private func wait(_ time: Duration, orMoreThan told: UInt64) async {
        let deadline = ContinuousClock.now + time
        while ContinuousClock.now < deadline, server.notifications == told, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Asks one primary after the other.
    /// - Returns: whether one said what is newest, and that is served now.
    private func refresh() async -> Bool {
        for primary in primaries {
            do {
                try await fetch(from: primary)
                return true
            } catch {
                logger.warning("the zone cannot be had from \(primary.address): \(error)")
            }
        }
        return false
    }

    private func fetch(from primary: Primary) async throws {
        let outcome = try await transfer(from: primary, since: server.secondarySOA)
        if try !isTaken(outcome) { try await fetchWhole(from: primary) }
    }

    /// Serves what came. It is apart from `fetch` because the compiler's optimiser (Swift 6.3) does not survive both in
    /// one asynchronous function.
    /// - Returns: false when the whole zone has to be fetched.
    private func isTaken(_ outcome: IncomingTransfer.State) throws(NameServerError) -> Bool {
        switch outcome {
        case .more, .current: return true
        case .notIncremental: return false
        case .whole(let content):
            try take(content)
            return true
        case .steps(let steps):
            do throws(NameServerError) {
                try server.take(steps)
                return true
            } catch {
                // Steps that do not fit say that the two have drifted apart: the whole zone will tell.
                logger.warning("fetching the whole zone: \(error)")
                return false
            }
        }
    }

    private func fetchWhole(from primary: Primary) async throws {
        guard case .whole(let content) = try await transfer(from: primary, since: nil) else {
            throw NameServerError("the primary does not send the zone")
        }
        try take(content)
    }

    private func take(_ content: ZoneContent) throws(NameServerError) {
        try server.take(content)
        logger.info("the zone came whole, with serial \(content.serial ?? 0)")
    }

    private func transfer(
        from primary: Primary, since known: ResourceRecord?
    ) async throws -> IncomingTransfer.State {
        var transfer = IncomingTransfer(of: apex, since: known, key: primary.key)
        let request = transfer.request(
            id: .random(in: 0...UInt16.max), unixTime: ZoneFetcher.unixTime)
        let channel = try await PrimaryConnection.open(primary)
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(PrimaryConnection.framed(request))
            var received = ByteBuffer()
            for try await piece in inbound {
                received.writeImmutableBuffer(piece)
                while let message = PrimaryConnection.nextMessage(in: &received) {
                    let state = try transfer.take(message, unixTime: ZoneFetcher.unixTime)
                    guard case .more = state else { return state }
                }
            }
            throw NameServerError("the connection ended before the transfer did")
        }
    }

    private static var unixTime: UInt64 {
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        return UInt64(max(now.tv_sec, 0))
    }
}
