public import AuthDNSCore
public import Farm
import Foundation
public import Logging
import Synchronization

/// An authoritative server for one zone: sockets and threads around `respond`, and the one place where
/// a new image is built, saved and published. It answers from the saved image as soon as it exists,
/// before any membership is known and without any other part of the farm.
///
/// Threads: all public members may be called from anywhere. `publish` and `reload` block on the disk.
public final class NameServer: Sendable {
    private let configuration: NameServerConfiguration
    private let logger: Logger
    let store: ImageStore
    let published: PublishedImage
    private let stopping = StopFlag()
    private let sockets: BoundSockets
    private let datagramWorkers: [DatagramWorker]
    private let streamWorker: StreamWorker
    private let notifyWorker: NotifyWorker
    let secureCounters = WorkerCounters()
    private let threads = Mutex<[WorkerThread]>([])
    let source: Mutex<ZoneSource>
    private let window: Mutex<ChangeWindow>
    /// Whether another process may write what this one has on disk.
    let isPaused = Atomic<Bool>(false)
    /// Whether the disk did not take what is served.
    private let isUnsaved = Atomic<Bool>(false)

    /// Loads the saved image; nothing is answered before `start`.
    /// - Parameters:
    ///   - zone: the static part; it replaces that of the saved image at the first publication.
    ///   - bound: where to answer; nil binds what the configuration says.
    /// - Throws: when an address cannot be had, or the state directory cannot be read or written.
    public init(
        configuration: NameServerConfiguration, zone: StaticZone, logger: Logger,
        on bound: BoundSockets? = nil
    ) throws(NameServerError) {
        self.configuration = configuration
        self.logger = logger
        window = Mutex(ChangeWindow(length: configuration.coalescing))
        store = ImageStore(directory: configuration.stateDirectory)
        let (first, image) = try NameServer.firstImage(configuration, zone, store, logger)
        var settings = try NameServer.answerSettings(configuration)
        settings.takesNotify = configuration.isSecondary
        settings.isServing = !configuration.isSecondary || first.hasCome
        published = PublishedImage(image, first.history, configuration.peers, settings)
        source = Mutex(first)
        if let bound { sockets = bound } else { sockets = try BoundSockets(configuration) }
        let (published, stopping) = (published, stopping)
        datagramWorkers = sockets.all.filter { $0.kind == .datagram }.map {
            DatagramWorker(
                socket: $0.socket.descriptor, isWildcard: $0.address.isUnspecified,
                published: published, stopping: stopping, limit: configuration.settings.rateLimit)
        }
        streamWorker = StreamWorker(
            listeners: sockets.all.filter { $0.kind == .stream }.map { $0.socket.descriptor },
            published: published, stopping: stopping, configuration: configuration)
        let keys = configuration.peers.keys
        notifyWorker = NotifyWorker(
            targets: configuration.notified.map { told in
                NotifyWorker.Target(
                    address: told.address, port: told.port,
                    key: keys.first { $0.name == told.key })
            }, listening: configuration.listen.map(\.address), published: published,
            stopping: stopping)
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

    /// The saved image if it is of this zone, else one of the zone file alone; and what comes after it.
    private static func firstImage(
        _ configuration: NameServerConfiguration, _ zone: StaticZone, _ store: ImageStore,
        _ logger: Logger
    ) throws(NameServerError) -> (ZoneSource, ZoneImage) {
        var saved: ZoneImage?
        do throws(NameServerError) {
            saved = try store.load()
            if saved?.apex != zone.apex { saved = nil }
        } catch {
            logger.error("the saved image is unreadable; starting from the zone file: \(error)")
        }
        // What was published counts, not what the file says: on a circle either can seem newer.
        let reserved = reservedSerial(store, logger)
        let last = reserved ?? saved?.serial ?? SOAData(zone.soa.data)?.serial ?? 0
        // The last run may have published more than it could save, under serials that are gone.
        let isLast = saved != nil && reserved == saved?.serial
        let signing = try configuration.signing.map { settings throws(NameServerError) in
            try ZoneSigning(settings, zone: zone.apex)
        }
        var source = try ZoneSource(
            zone, saved: saved, serial: last,
            journal: Journal(directory: configuration.stateDirectory),
            challenges: Challenges(directory: configuration.stateDirectory), signing: signing)
        // A saved image may be behind what signing demands now.
        if configuration.isSecondary, let saved { return (source, saved) }
        let made = try source.image(
            unixTime: Clock.unixTime(), after: saved, isSameEnough: isLast)
        guard let image = made ?? saved else {
            throw NameServerError("there is nothing to answer with")
        }
        if made != nil, !configuration.isSecondary {
            try saveFirst(image, hasSaved: saved != nil, store, logger)
        }
        if made != nil, let saved, !configuration.peers.peers.isEmpty {
            source.remember(ZoneDifference(from: saved, to: image), logger)
        }
        return (source, image)
    }

    /// - Throws: when nothing was ever saved, and cannot be. Otherwise a full disk is no reason not to answer.
    private static func saveFirst(
        _ image: ZoneImage, hasSaved: Bool, _ store: ImageStore, _ logger: Logger
    ) throws(NameServerError) {
        do throws(NameServerError) {
            try store.reserve(image.serial)
            try store.save(image)
        } catch {
            guard hasSaved else { throw error }
            logger.error("the zone cannot be saved: \(error)")
        }
    }

    private static func reservedSerial(_ store: ImageStore, _ logger: Logger) -> UInt32? {
        do throws(NameServerError) {
            return try store.reservedSerial()
        } catch {
            logger.error("the saved serial is unreadable; going on from the clock: \(error)")
            return nil
        }
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
        if !configuration.notified.isEmpty {
            let worker = notifyWorker
            started.append(WorkerThread(core: nil) { worker.run() })
            // Secondaries may have missed what the last run published.
            worker.changed(to: serial)
        }
        started.append(WorkerThread(core: nil) { [self] in maintain() })
        threads.withLock { $0 = started }
    }

    /// Goes on answering and changes nothing any more: another process is about to take over what is on disk. A
    /// change that is under way is finished first.
    public func pause() {
        isPaused.store(true, ordering: .relaxed)
        source.withLock { _ in close() }
    }

    /// Leaves the disk as it is to be when nothing more will be published.
    private func close() {
        if isUnsaved.load(ordering: .relaxed) { save(published.current) }
        guard !isUnsaved.load(ordering: .relaxed) else { return }
        // When it fails, a restart goes on with a newer serial than it had to.
        try? store.close(with: published.current)
    }

    /// Takes changes again: nobody took over. Serials go on behind those that the other process may have written.
    public func resume() {
        let saved = try? store.load()?.serial
        source.withLock { if let saved { $0.skip(to: saved) } }
        isPaused.store(false, ordering: .relaxed)
    }

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
        source.withLock { _ in if !isPaused.load(ordering: .relaxed) { close() } }
    }

    /// Publishes a membership: builds the image, lets the threads see it, and saves it durably. Every
    /// query that arrives after the return is answered from it, or from a newer one; a disk that does not
    /// take it is an alarm (`isSaved`), tried again until it does, and no reason not to serve what is true. A change soon
    /// after another waits for the end of the coalescing window, together with those behind it: the
    /// calling thread blocks so long.
    /// - Parameter serial: which the other name servers of the farm answer with too; the zone gets it, also when its
    ///   records are the same as before, unless it has a newer one already. nil: the zone gets the next one when its records
    ///   change.
    /// - Returns: the serial that is served now; unchanged when the records are the same as before.
    /// - Throws: when membership and zone contradict each other, or the disk takes no serial any more;
    ///   the old image stays.
    @discardableResult
    public func publish(
        _ membership: Membership, serial: UInt32? = nil
    ) throws(NameServerError) -> UInt32 {
        let own = window.withLock { $0.enter(.init(membership: membership, serial: serial)) }
        while true {
            switch window.withLock({ $0.turn(of: own, now: .now) }) {
            case .done: return self.serial
            case .wait(let pause): Thread.sleep(forTimeInterval: pause.inSeconds)
            case .publish(let newest, let ticket):
                let serial = try rebuild { source in
                    try source.take(newest.membership, serial: newest.serial)
                }
                window.withLock { $0.pass(ticket) }
                return serial
            }
        }
    }

    /// Replaces the static part of the zone.
    @discardableResult
    public func reload(_ zone: StaticZone) throws(NameServerError) -> UInt32 {
        guard zone.apex == published.current.apex else {
            throw NameServerError("the zone is \(published.current.apex), not \(zone.apex)")
        }
        return try rebuild { source in try source.take(zone) }
    }

    /// Changes what the zone is made of, and publishes it when it says something else now.
    @discardableResult
    func rebuild(
        _ change: (inout ZoneSource) throws -> Void
    ) throws(NameServerError) -> UInt32 {
        let result: Result<UInt32, NameServerError> = source.withLock { source in
            var next = source
            do {
                if isPaused.load(ordering: .relaxed) {
                    throw NameServerError.replaced
                }
                try change(&next)
                if let image = try next.image(
                    unixTime: Clock.unixTime(), after: published.current)
                {
                    try publish(image, &next)
                }
                settle(next, after: source)
                source = next
                return .success(next.serial)
            } catch {
                next.takeBack(to: source)
                return .failure(NameServerError("\(error)"))
            }
        }
        return try result.get()
    }

    private func settle(_ next: ZoneSource, after before: ZoneSource) {
        do throws(NameServerError) {
            try next.settle(after: before)
        } catch {
            logger.error("challenges will be those of before after a restart: \(error)")
        }
    }

    /// Does what time demands, until the server stops: signatures made anew before they end, keys moved on,
    /// challenges taken out.
    private func maintain() {
        var pause: UInt64 = 0
        while !stopping.isSet {
            Thread.sleep(forTimeInterval: 0.25)
            let now = Clock.unixTime()
            saveAgain()
            guard !isPaused.load(ordering: .relaxed),
                now >= max(source.withLock { $0.nextDue ?? .max }, pause)
            else { continue }
            do throws(NameServerError) {
                try rebuild { _ in }
            } catch {
                logger.error("records that should end or begin now cannot be published: \(error)")
                pause = now + 30
            }
        }
    }

    func publish(
        _ image: ZoneImage, _ next: inout ZoneSource
    ) throws(NameServerError) {
        if !configuration.isSecondary { try store.reserve(image.serial) }
        // Without peers there is nobody who could ask what has changed.
        if !configuration.peers.peers.isEmpty {
            next.remember(ZoneDifference(from: published.current, to: image), logger)
        }
        published.replace(with: image, next.history)
        notifyWorker.changed(to: image.serial)
        save(image)
    }

    /// Makes an image the one that a restart serves, or notes that it is not.
    private func save(_ image: ZoneImage) {
        do throws(NameServerError) {
            try store.save(image)
            if isUnsaved.exchange(false, ordering: .relaxed) {
                logger.notice("the zone is saved again, with serial \(image.serial)")
            }
        } catch {
            if !isUnsaved.exchange(true, ordering: .relaxed) {
                logger.error(
                    "what is served is not saved, and a restart would serve what was: \(error)")
            }
        }
    }

    private func saveAgain() {
        guard !isSaved, !isPaused.load(ordering: .relaxed) else { return }
        source.withLock { _ in save(published.current) }
    }

    /// Whether a restart would serve what is served now.
    public var isSaved: Bool { !isUnsaved.load(ordering: .relaxed) }

    /// The serial that is served.
    public var serial: UInt32 { published.current.serial }

    /// Whether there is a saved or published membership to answer by, and not the zone file alone, by which the
    /// names of roles would not exist.
    public var hasMembers: Bool { published.current.membershipVersion > 0 }

    /// What is served.
    public var image: ZoneImage { published.current }

    /// What has been counted since the start. It is put together when asked for; answering never waits.
    public var counters: NameServerCounters {
        countersByThread.reduce(into: NameServerCounters()) { $0 += $1 }
    }

    /// What each thread has counted: those of UDP, in the order of addresses, then that of TCP and that of TLS.
    public var countersByThread: [NameServerCounters] {
        datagramWorkers.map { $0.counters.counted(isTCP: false) }
            + [streamWorker.counters.counted(isTCP: true), secureCounters.counted(isTCP: true)]
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
