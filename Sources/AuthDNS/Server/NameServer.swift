public import AuthDNSCore
public import Farm
import Foundation
public import Logging
import Synchronization

/// An authoritative server: sockets and threads around `respond`, and the zones that are answered from, the farm's
/// own and reverse zones beside it. It answers from the saved images as soon as it exists, before any membership is
/// known and without any other part of the farm.
///
/// Threads: all public members may be called from anywhere. `publish` and `reload` block on the disk.
public final class NameServer: Sendable {
    private let configuration: NameServerConfiguration
    let published: PublishedZones
    private let stopping = StopFlag()
    private let sockets: BoundSockets
    private let datagramWorkers: [DatagramWorker]
    private let streamWorker: StreamWorker
    let secureCounters = WorkerCounters()
    let secureTap: QueryTap?
    private let threads = Mutex<[WorkerThread]>([])
    /// The farm's own zone.
    public let zone: ServedZone
    private let reverseZones: [ServedZone]

    /// Loads the saved images; nothing is answered before `start`.
    /// - Parameters:
    ///   - zone: the static part; it replaces that of the saved image at the first publication.
    ///   - bound: where to answer; nil binds what the configuration says.
    /// - Throws: when an address cannot be had, or the state directory cannot be read or written.
    public init(
        configuration: NameServerConfiguration, zone: StaticZone, logger: Logger,
        on bound: BoundSockets? = nil
    ) throws(NameServerError) {
        self.configuration = configuration
        var found = [try SavedZone(configuration, zone, reverseOf: nil, logger)]
        for network in configuration.reverse {
            found.append(try SavedZone(configuration, zone, reverseOf: network, logger))
        }
        try NameServer.check(found.map(\.image.apex))
        var settings = try NameServer.answerSettings(configuration)
        settings.takesNotify = configuration.isSecondary
        settings.isServing = !configuration.isSecondary || found[0].source.hasCome
        let published = PublishedZones(
            found.map { .init(image: $0.image, history: $0.source.history) },
            configuration.peers, settings)
        self.published = published
        let stopping = stopping
        let zones = found.enumerated().map { number, found in
            ServedZone(
                found, number: number, in: published, configuration, stopping: stopping, logger)
        }
        self.zone = zones[0]
        reverseZones = Array(zones.dropFirst())
        if let bound { sockets = bound } else { sockets = try BoundSockets(configuration) }
        let interval = configuration.tapInterval
        secureTap = interval.map { QueryTap(.tls, nil, nil, interval: $0) }
        datagramWorkers = sockets.all.filter { $0.kind == .datagram }.map {
            DatagramWorker(
                socket: $0.socket.descriptor, isWildcard: $0.address.isUnspecified,
                published: published, stopping: stopping, limit: configuration.settings.rateLimit,
                tap: NameServer.tap(.udp, [$0], interval))
        }
        let listeners = sockets.all.filter { $0.kind == .stream }
        streamWorker = StreamWorker(
            listeners: listeners.map { $0.socket.descriptor }, published: published,
            stopping: stopping, configuration: configuration,
            tap: NameServer.tap(.tcp, listeners, interval))
    }

    /// - Parameter sockets: of the thread.
    private static func tap(
        _ transport: QueryTap.Transport, _ sockets: [BoundSocket], _ interval: Int?
    ) -> QueryTap? {
        guard let interval else { return nil }
        let only = sockets.count == 1 && !sockets[0].address.isUnspecified
        return QueryTap(
            transport, only ? sockets[0].address : nil, sockets.first?.socket.port,
            interval: interval)
    }

    /// - Throws: when a zone lies within another: a name belongs to one of them.
    private static func check(_ zones: [DomainName]) throws(NameServerError) {
        for (index, zone) in zones.enumerated() {
            for (place, other) in zones.enumerated() where place != index {
                guard !zone.isWithin(other) else {
                    throw NameServerError("\(zone) lies within \(other): serve one of them")
                }
            }
        }
    }

    private static func answerSettings(
        _ configuration: NameServerConfiguration
    ) throws(NameServerError) -> AnswerSettings {
        let settings = configuration.settings
        for text in [settings.identity, settings.version]
        where text.utf8.count > AnswerSettings.longestText {
            throw NameServerError(
                "'\(text)' is too long: at most \(AnswerSettings.longestText) octets")
        }
        let tenths = min(max(configuration.idleTimeout.inSeconds * 10, 0), 65_535)
        return AnswerSettings(
            identity: Array(settings.identity.utf8), version: Array(settings.version.utf8),
            cookies: try serverCookies(settings.cookies), keepalive: UInt16(tenths))
    }

    private static func serverCookies(
        _ settings: ServerSettings.Cookies
    ) throws(NameServerError) -> ServerCookies? {
        guard settings.isOn else { return nil }
        guard let path = settings.secretsFile else {
            let drawn = CookieSecret(
                .random(in: 0...UInt64.max), .random(in: 0...UInt64.max))
            return ServerCookies(active: drawn, isRequired: settings.isRequired)
        }
        let secrets = try CookieSecretsFile.read(path)
        return ServerCookies(
            active: secrets[0], other: secrets.count > 1 ? secrets[1] : nil,
            isRequired: settings.isRequired)
    }

    /// Reads the file of cookie secrets again, when there is one.
    /// - Throws: when it is faulty; the secrets stay as they were.
    public func rereadCookieSecrets() throws(NameServerError) {
        guard configuration.settings.cookies.secretsFile != nil else { return }
        let fresh = try NameServer.serverCookies(configuration.settings.cookies)
        published.change { $0.cookies = fresh }
    }

    /// Begins to answer, once.
    public func start() {
        guard threads.withLock({ $0.isEmpty }) else { return }
        let cores = max(ProcessInfo.processInfo.activeProcessorCount, 1)
        var started = datagramWorkers.enumerated().map { index, worker in
            WorkerThread(core: datagramWorkers.count >= cores ? index % cores : nil) {
                worker.run()
            }
        }
        let streams = streamWorker
        started.append(WorkerThread(core: nil) { streams.run() })
        for zone in zones { if let thread = zone.startNotifying() { started.append(thread) } }
        started.append(WorkerThread(core: nil) { [self] in maintain() })
        threads.withLock { $0 = started }
    }

    /// The farm's own zone, and then the reverse zones.
    public var zones: [ServedZone] { [zone] + reverseZones }

    /// Whether it signs its zones.
    public var isSigning: Bool { configuration.signing != nil }

    /// Does what time demands, until the server stops.
    private func maintain() {
        while !stopping.isSet {
            Thread.sleep(forTimeInterval: 0.25)
            for zone in zones { zone.maintain() }
        }
    }

    /// Goes on answering and changes nothing any more: another process is about to take over what is on disk. A
    /// change that is under way is finished first.
    public func pause() { for zone in zones { zone.pause() } }

    /// Takes changes again: nobody took over.
    public func resume() { for zone in zones { zone.resume() } }

    /// Passes the sockets to a process that is to replace this one, and goes on answering.
    /// - Throws: when it is gone.
    public func pass(over channel: HandoverChannel) throws(NameServerError) {
        try sockets.pass(over: channel)
    }

    /// Ends every thread. TCP clients get the answers they are owed; blocks for at most three seconds, and for
    /// `lingering` longer while TCP clients go on asking.
    public func stop(lingering: Duration = .zero) {
        streamWorker.linger(lingering)
        stopping.set()
        for thread in threads.withLock({ $0 }) { thread.join() }
        for zone in zones { zone.end() }
    }

    /// Publishes a membership: builds the images, lets the threads see them, and saves them durably. Every
    /// query that arrives after the return is answered from it, or from a newer one; a disk that does not
    /// take it is an alarm (`isSaved`), tried again until it does, and no reason not to serve what is true. A change soon
    /// after another waits for the end of the coalescing window, together with those behind it: the
    /// calling thread blocks so long.
    /// - Parameter serial: which the other name servers of the farm answer with too; the zone gets it, also when its
    ///   records are the same as before, unless it has a newer one already. nil: the zone gets the next one when its records
    ///   change.
    /// - Parameter keys: which the other name servers of the farm sign with too; nil: the zones keep those that they have.
    /// - Returns: the serial that is served now; unchanged when the records are the same as before.
    /// - Throws: when membership and zone contradict each other, or the disk takes no serial any more;
    ///   the old image stays.
    @discardableResult
    public func publish(
        _ membership: Membership, serial: UInt32? = nil, keys: SealedKeys? = nil
    ) throws(NameServerError) -> UInt32 {
        let served = try zone.publish(membership, serial: serial, keys: keys)
        // Machines have their names before addresses lead to them.
        for zone in reverseZones {
            _ = try zone.publish(membership, serial: serial, keys: keys)
        }
        return served
    }

    /// Replaces the static part of the zone.
    @discardableResult
    public func reload(_ fresh: StaticZone) throws(NameServerError) -> UInt32 {
        guard fresh.apex == image.apex else {
            throw NameServerError("the zone is \(image.apex), not \(fresh.apex)")
        }
        let served = try zone.rebuild { source in try source.take(fresh) }
        for zone in reverseZones { try zone.rebuild { source in try source.take(fresh) } }
        return served
    }

    /// Whether a restart would serve what is served now.
    public var isSaved: Bool { zones.allSatisfy(\.isSaved) }

    /// The serial that is served.
    public var serial: UInt32 { image.serial }

    /// Whether there is a saved or published membership to answer by, and not the zone file alone, by which the
    /// names of roles would not exist.
    public var hasMembers: Bool { image.membershipVersion > 0 }

    /// What is served.
    public var image: ZoneImage { zone.image }

    /// What has been counted since the start. It is put together when asked for; answering never waits.
    public var counters: NameServerCounters {
        countersByThread.reduce(into: NameServerCounters()) { $0 += $1 }
    }

    /// What each thread has counted: those of UDP, in the order of addresses, then that of TCP and that of TLS.
    public var countersByThread: [NameServerCounters] {
        datagramWorkers.map { $0.counters.counted(isTCP: false) }
            + [streamWorker.counters.counted(isTCP: true), secureCounters.counted(isTCP: true)]
    }

    /// Queries that are kept to be told of, by thread; empty when none are.
    public var queryTaps: [QueryTap] {
        (datagramWorkers.map(\.tap) + [streamWorker.tap, secureTap]).compactMap { $0 }
    }

    /// Addresses and ports that are answered on, as bound.
    public var endpoints: [(address: IPAddress, port: UInt16)] { sockets.endpoints }
}

/// A plain thread, perhaps kept on one core, that can be waited for.
final class WorkerThread: Sendable {
    private let ended = DispatchSemaphore(value: 0)

    init(core: Int?, _ body: @escaping @Sendable () -> Void) {
        let ended = ended
        Thread.detachNewThread {
            if let core { WorkerThread.pin(to: core) }
            body()
            ended.signal()
        }
    }

    func join() {
        ended.wait()
        // Whoever joins next shall not wait for ever.
        ended.signal()
    }

    private static func pin(to core: Int) {
        var set = cpu_set_t()
        guard core < MemoryLayout<cpu_set_t>.size * 8 else { return }
        unsafe withUnsafeMutableBytes(of: &set) { unsafe $0[core / 8] |= 1 << (core % 8) }
        _ = unsafe pthread_setaffinity_np(pthread_self(), MemoryLayout<cpu_set_t>.size, &set)
    }
}
