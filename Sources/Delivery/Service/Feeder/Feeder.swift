public import Farm
import Foundation
import GRDB
import GRPCCore
public import Logging

/// The delivery core's sending side: looks the names up that smtp-out machines stand behind, keeps a stream
/// to each address as long as DNS says so, and takes back the leases of smurfs that are gone. It knows the
/// scheduler through DNS only.
public actor Feeder {
    public struct Configuration: Sendable {
        /// Names to look up, without trailing dot: "smtp-out.smurf.example.org".
        public var names: [String]
        /// Where agents listen for the feed.
        public var port: UInt16
        /// nil: plain text, and addresses beyond loopback are not fed.
        public var certificate: MachineCertificate?
        /// Time without a stream after which a smurf's leases go to others.
        public var leaseTime: Duration = .seconds(30)
        /// Name of this core.
        public var core: String
        /// The zone in which every smurf has a name of its own, without trailing dot.
        public var zone: String

        public init(
            names: [String], port: UInt16, certificate: MachineCertificate? = nil, core: String,
            zone: String
        ) {
            self.zone = zone
            self.names = names
            self.port = port
            self.certificate = certificate
            self.core = core
        }
    }

    private struct Link {
        var book: FeedBook
        var task: Task<Void, Never>
    }

    private let configuration: Configuration
    private var names: [String]
    private let ledger: SQLiteLedger
    private let resolver: Resolver
    private let journal: OutcomeJournal
    private let logger: Logger
    private let unixTime: @Sendable () -> Int64
    private var links: [IPAddress: Link] = [:]
    /// Which address feeds a smurf now.
    private var feeding: [String: IPAddress] = [:]
    private var lastSeen: [String: ContinuousClock.Instant] = [:]
    /// What the names said last.
    private var addresses: Set<IPAddress> = []
    /// Looks that were begun, and the latest that was followed.
    private var looks = 0
    private var followed = 0
    private let start = ContinuousClock.now

    public init(
        _ configuration: Configuration, ledger: SQLiteLedger, resolver: Resolver, logger: Logger
    ) {
        self.configuration = configuration
        names = configuration.names
        self.ledger = ledger
        self.resolver = resolver
        self.logger = logger
        unixTime = { Int64(Date().timeIntervalSince1970) }
        journal = OutcomeJournal(ledger: ledger, unixTime: unixTime)
    }

    /// Smurfs that are being fed.
    public var smurfs: [String] { feeding.keys.sorted() }

    /// Looks other names up from the next time on.
    public func follow(names: [String]) { self.names = names }

    /// Feeds until the task is cancelled; then streams are cut, and agents keep what they hold.
    public func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.followNames() }
            group.addTask { await self.reapLeases() }
        }
        for link in links.values { link.task.cancel() }
        for link in links.values { await link.task.value }
    }

    // MARK: Names

    /// Looks the names up again whenever their TTL is over.
    private func followNames() async {
        while !Task.isCancelled {
            let next = await look(isFresh: false).next
            try? await Task.sleep(for: max(next, .milliseconds(250)))
        }
    }

    /// Asks for the names anew, whatever their TTL.
    /// - Returns: addresses that this core hands rows to or has rows at; nil when the names could not be asked for.
    public func lookAgain() async -> Set<IPAddress>? {
        guard await look(isFresh: true).isComplete else { return nil }
        return Set(links.keys)
    }

    /// Looks the names up, and follows them unless a later look did.
    private func look(isFresh: Bool) async -> (isComplete: Bool, next: Duration) {
        looks += 1
        let number = looks
        var found: Set<IPAddress> = []
        var next = Duration.seconds(60)
        var isKnown = true
        for name in names {
            do throws(ResolverError) {
                let answer = try await resolver.addresses(of: name, isFresh: isFresh)
                found.formUnion(answer.addresses)
                next = min(next, answer.timeToLive)
            } catch {
                next = .seconds(1)
                switch error {
                case .noSuchName, .noData: break
                // Nothing is known: whoever is fed goes on being fed.
                default:
                    isKnown = false
                    logger.debug("\(error)")
                }
            }
        }
        guard number > followed else { return (isKnown, next) }
        followed = number
        follow(found, isComplete: isKnown)
        return (isKnown, next)
    }

    private func follow(_ found: Set<IPAddress>, isComplete: Bool) {
        addresses = isComplete ? found : addresses.union(found)
        for address in addresses.sorted() {
            if let link = links[address] {
                link.book.isLeaving = false
            } else {
                begin(address)
            }
        }
        for (address, link) in links where !addresses.contains(address) {
            link.book.isLeaving = true
        }
    }

    /// A smurf that has left the name while this core was away still holds rows. It is asked for their outcomes
    /// at its own name, and gets nothing new.
    private func reach(_ smurf: String) async {
        let name = smurf + "." + configuration.zone
        guard let answer = try? await resolver.addresses(of: name) else { return }
        for address in answer.addresses where links[address] == nil && feeding[smurf] == nil {
            begin(address, isLeaving: !addresses.contains(address))
        }
    }

    private func begin(_ address: IPAddress, isLeaving: Bool = false) {
        guard configuration.certificate != nil || address.isLoopback else {
            return logger.error("\(address) is beyond loopback: feeding it needs certificates")
        }
        let book = FeedBook()
        book.isLeaving = isLeaving
        let link = SmurfLink(
            address: address, port: configuration.port, certificate: configuration.certificate,
            core: configuration.core, ledger: ledger, journal: journal, book: book, logger: logger,
            unixTime: unixTime
        ) { [weak self] smurf in
            await self?.introduce(smurf, at: address) ?? false
        }
        let task = Task { [weak self] in
            var why: (any Error)?
            do { try await link.run() } catch { why = error }
            await self?.didEnd(address, why)
        }
        links[address] = Link(book: book, task: task)
    }

    private func introduce(_ smurf: String, at address: IPAddress) -> Bool {
        if let other = feeding[smurf], other != address { return false }
        feeding[smurf] = address
        logger.info("feeding \(smurf) at \(address)")
        return true
    }

    /// Begins another stream, if the address is still in the name.
    private func didEnd(_ address: IPAddress, _ why: (any Error)?) async {
        for (smurf, place) in feeding where place == address {
            feeding[smurf] = nil
            lastSeen[smurf] = .now
            let level: Logger.Level = why is DatabaseError ? .error : .info
            logger.log(
                level: level,
                "\(smurf) at \(address) is no longer fed: \(why.map { "\($0)" } ?? "done")")
        }
        // A machine that refuses connections is not asked all the time, and one that is fed by another of its
        // addresses only now and then: that address may go.
        let isFedElsewhere = (why as? RPCError)?.code == .alreadyExists
        if why != nil {
            try? await Task.sleep(for: isFedElsewhere ? .seconds(3) : .milliseconds(300))
        }
        links[address] = nil
        if addresses.contains(address), !Task.isCancelled { begin(address) }
    }

    // MARK: Leases

    /// Smurfs without a stream lose their leases after the lease time: the rows may have been sent.
    private func reapLeases() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(1))
            do {
                for smurf in try await ledger.leaseHolders().keys.sorted()
                where feeding[smurf] == nil {
                    await reach(smurf)
                    guard feeding[smurf] == nil,
                        ContinuousClock.now - (lastSeen[smurf] ?? start) > configuration.leaseTime
                    else { continue }
                    let count = try await ledger.releaseLeases(of: smurf, wereHandedOver: true)
                    logger.warning("\(smurf) is gone: \(count) rows go to others")
                }
            } catch {
                if Task.isCancelled { return }
                logger.error("cannot take leases back: \(error)")
            }
        }
    }
}
