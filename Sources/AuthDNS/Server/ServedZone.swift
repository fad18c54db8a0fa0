public import AuthDNSCore
import Farm
import Foundation
import Logging
import Synchronization

/// One zone of a name server, the farm's or a reverse zone beside it: the one place where a new image of it is built,
/// saved and published. It answers nothing itself: sockets and threads are the server's.
///
/// Threads: all members may be called from anywhere. What publishes blocks on the disk.
public final class ServedZone: Sendable {
    /// Its number among the published ones.
    let number: Int
    let store: ImageStore
    let published: PublishedZones
    let source: Mutex<ZoneSource>
    private let configuration: NameServerConfiguration
    private let logger: Logger
    private let notifyWorker: NotifyWorker
    private let window: Mutex<ChangeWindow>
    /// What this server has made of the keys that are shared, beside `source`, which is held while a disk is written.
    let settledKeys = Mutex<SettledKeys?>(nil)
    /// Whether another process may write what this one has on disk.
    let isPaused = Atomic<Bool>(false)
    /// Whether the disk did not take what is served.
    private let isUnsaved = Atomic<Bool>(false)
    /// Until when what time demands is not tried again, in seconds since 1970.
    private let rest = Atomic<UInt64>(0)

    /// - Parameter found: what `published` has under `number`.
    init(
        _ found: SavedZone, number: Int, in published: PublishedZones,
        _ configuration: NameServerConfiguration, stopping: StopFlag, _ logger: Logger
    ) {
        self.number = number
        self.published = published
        self.configuration = configuration
        self.logger = logger
        store = found.store
        source = Mutex(found.source)
        window = Mutex(ChangeWindow(length: configuration.coalescing))
        let keys = configuration.peers.keys
        notifyWorker = NotifyWorker(
            targets: configuration.notified.map { told in
                NotifyWorker.Target(
                    address: told.address, port: told.port,
                    key: keys.first { $0.name == told.key })
            }, listening: configuration.listen.map(\.address), published: published,
            zone: number, stopping: stopping)
    }

    /// What is served.
    public var image: ZoneImage { published.current(number) }

    /// Whether a restart would serve what is served now.
    var isSaved: Bool { !isUnsaved.load(ordering: .relaxed) }

    /// The thread that tells secondaries; nil when there are none.
    func startNotifying() -> WorkerThread? {
        guard !configuration.notified.isEmpty else { return nil }
        let worker = notifyWorker
        let thread = WorkerThread(core: nil) { worker.run() }
        // Secondaries may have missed what the last run published.
        worker.changed(to: image.serial)
        return thread
    }

    /// Changes nothing any more: another process is about to take over what is on disk. A change that is under way is
    /// finished first.
    func pause() {
        isPaused.store(true, ordering: .relaxed)
        source.withLock { _ in close() }
    }

    /// Takes changes again: nobody took over. Serials go on behind those that the other process may have written.
    func resume() {
        let saved = try? store.load()?.serial
        source.withLock { if let saved { $0.skip(to: saved) } }
        isPaused.store(false, ordering: .relaxed)
    }

    /// Leaves the disk as it is to be when the server ends.
    func end() { source.withLock { _ in if !isPaused.load(ordering: .relaxed) { close() } } }

    /// Leaves the disk as it is to be when nothing more will be published.
    private func close() {
        if isUnsaved.load(ordering: .relaxed) { save(image) }
        guard !isUnsaved.load(ordering: .relaxed) else { return }
        // When it fails, a restart goes on with a newer serial than it had to.
        try? store.close(with: image)
    }

    /// As `NameServer.publish`.
    func publish(
        _ membership: Membership, serial: UInt32?, keys: SealedKeys?
    ) throws(NameServerError) -> UInt32 {
        let keys = keys?.zones[name]
        if let keys {
            // Those of another that speaks for all may be newer: whatever is shared is to be held against them.
            settledKeys.withLock { if $0?.zone != keys { $0 = nil } }
            try prepare(keys)
        }
        let own = window.withLock {
            $0.enter(.init(membership: membership, serial: serial, keys: keys))
        }
        while true {
            switch window.withLock({ $0.turn(of: own, now: .now) }) {
            case .done: return image.serial
            case .wait(let pause): Thread.sleep(forTimeInterval: pause.inSeconds)
            case .publish(let newest, let ticket):
                let serial = try rebuild { source in
                    try source.take(newest)
                }
                window.withLock { $0.pass(ticket) }
                return serial
            }
        }
    }

    /// What the zone is called among keys that name servers share.
    public var name: String { image.apex.description.lowercased() }

    private func prepare(_ keys: SealedKeys.Zone) throws(NameServerError) {
        let result: Result<Void, NameServerError> = source.withLock { source in
            do throws(NameServerError) {
                return .success(try source.prepare(keys))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
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
                if let image = try next.image(unixTime: Clock.unixTime(), after: image) {
                    try publish(image, &next)
                }
                source = next
                return .success(next.serial)
            } catch {
                next.takeBack(to: source)
                return .failure(NameServerError("\(error)"))
            }
        }
        return try result.get()
    }

    /// Encrypts the keys that are in the clear on disk. It takes some tenths of a second for each. No new version comes
    /// of it, and none may fail because of it.
    /// - Returns: how many were.
    /// - Throws: when the zone is not signed, there is no passphrase, or the disk does not take them.
    public func encryptKeys() throws(NameServerError) -> Int {
        guard !keys.isEmpty else { throw NameServerError.unsigned }
        let result: Result<Int, NameServerError> = source.withLock { source in
            guard !isPaused.load(ordering: .relaxed) else { return .failure(.replaced) }
            do throws(NameServerError) {
                return .success(try source.encryptKeys())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Does what time demands: signatures made anew before they end, keys moved on, and what the disk did not
    /// take saved. To be called several times a second.
    func maintain() {
        guard !isPaused.load(ordering: .relaxed) else { return }
        if !isSaved { source.withLock { _ in save(image) } }
        let now = Clock.unixTime()
        let due = source.withLock { $0.nextDue ?? .max }
        guard now >= max(due, rest.load(ordering: .relaxed)) else { return }
        do throws(NameServerError) {
            try rebuild { _ in }
        } catch {
            logger.error("records that should end or begin now cannot be published: \(error)")
            rest.store(now + 30, ordering: .relaxed)
        }
    }

    func publish(_ image: ZoneImage, _ next: inout ZoneSource) throws(NameServerError) {
        if !configuration.isSecondary { try store.reserve(image.serial) }
        // Without peers there is nobody who could ask what has changed.
        if !configuration.peers.peers.isEmpty {
            next.remember(ZoneDifference(from: self.image, to: image), logger)
        }
        published.replace(number, with: .init(image: image, history: next.history))
        notifyWorker.changed(to: image.serial)
        save(image)
    }

    /// Makes an image the one that a restart serves, or notes that it is not.
    private func save(_ image: ZoneImage) {
        do throws(NameServerError) {
            try store.save(image)
            if isUnsaved.exchange(false, ordering: .relaxed) {
                logger.notice("\(image.apex) is saved again, with serial \(image.serial)")
            }
        } catch {
            if !isUnsaved.exchange(true, ordering: .relaxed) {
                logger.error(
                    "what is served is not saved, and a restart would serve what was: \(error)")
            }
        }
    }
}
