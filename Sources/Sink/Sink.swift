public import Delivery
public import Farm
import Glibc
import Synchronization

/// How a sink behaves. Shares are of recipients, from 0 to 1, and chosen by a hash of the address and the
/// seed, so that the same recipients are concerned whatever the order of arrival.
public struct SinkConfiguration: Sendable {
    /// Port 0 = any free one.
    public var listen: [(address: IPAddress, port: UInt16)]
    /// Only count messages and octets: no verification, no duplicates.
    public var countsOnly = false
    /// Refused for good (5yz) at RCPT.
    public var reject = 0.0
    /// Refused once (4yz) at RCPT, then taken.
    public var `defer` = 0.0
    /// Seconds before each reply.
    public var delay = 0.0
    public var seed: UInt64 = 1
    /// What recipients do with their mail; not in count-only mode.
    public var reactions = ReactionConfiguration()
    /// Whom to ask for mail exchangers and web servers.
    public var upstream = Resolver.Upstream.system
    /// Receiving threads.
    public var threads = 1
    /// Gets every message with its envelope and its number from 1, on a receiving thread.
    public var keep: (@Sendable (Int, SinkMessage) -> Void)?

    public init(listen: [(address: IPAddress, port: UInt16)]) { self.listen = listen }
}

/// Why a sink cannot start; names the address and what to do.
public struct SinkError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
}

/// A verifying mail receiver that plays the rest of the Internet in a trial of the farm: takes every
/// message, checks its form and counts it per recipient. It is an instrument, not a mail server: it stores
/// nothing of its own accord. Any thread may call anything.
public final class Sink: Sendable {
    /// The ports that are listened on, in the order of the configuration.
    public let ports: [UInt16]
    private let tally = SinkTally()
    private let receivers: [SinkReceiver]
    private let threads: [pthread_t]
    private let listeners: [Int32]
    private let reactions: Reactions

    /// Binds and starts receiving.
    public init(_ configuration: SinkConfiguration) throws(SinkError) {
        let listening = try Sink.listen(configuration)
        let listeners = listening.map(\.descriptor)
        self.listeners = listeners
        ports = listening.map(\.port)
        let reactions: Reactions
        do throws(SinkError) {
            reactions = try Reactions(configuration)
        } catch {
            for descriptor in listeners { close(descriptor) }
            throw error
        }
        self.reactions = reactions
        let tally = self.tally
        let chooser = RecipientChooser(configuration, tally)
        let numbers = Counter()
        receivers = (0..<max(configuration.threads, 1)).map { _ in
            SinkReceiver(
                listeners: listeners, delay: configuration.delay,
                makeSession: {
                    SinkSession(
                        keepsContent: !configuration.countsOnly,
                        choosesReply: { chooser.refusal(of: $0) })
                },
                deliver: { messages in
                    // Counted last: who waits for a number of messages finds them noted.
                    defer {
                        tally.count(
                            messages: messages.count,
                            bytes: messages.reduce(0) { $0 + $1.size }, at: SinkClock.now)
                    }
                    for message in messages where !configuration.countsOnly {
                        let checked = MessageCheck(message)
                        tally.note(
                            message, messageID: checked.messageID, faults: checked.faults)
                        reactions.note(message, link: checked.link, at: SinkClock.now)
                        configuration.keep?(numbers.next(), message)
                    }
                })
        }
        threads = receivers.map { receiver in SinkThread.start { receiver.run() } }
    }

    private static func listen(
        _ configuration: SinkConfiguration
    ) throws(SinkError) -> [(descriptor: Int32, port: UInt16)] {
        var listening: [(descriptor: Int32, port: UInt16)] = []
        for (address, port) in configuration.listen {
            do throws(SinkError) {
                listening.append(try SinkSocket.listen(address, port))
            } catch {
                for open in listening { close(open.descriptor) }
                throw error
            }
        }
        return listening
    }

    /// Messages so far.
    public var messages: Int { tally.messages }

    /// Bounces and clicks that are still to come.
    public var outstanding: Int { reactions.outstanding }

    /// The counts so far, without the lists of people; cheap.
    public var progress: ReactionReport { reactions.counts }

    /// The counts so far.
    public var report: SinkReport {
        var report = tally.report
        report.reactions = reactions.report
        return report
    }

    /// Stops receiving, closes all connections and gives up the reactions that are still to come. Call it
    /// once.
    public func stop() {
        for receiver in receivers { receiver.stop() }
        for thread in threads { pthread_join(thread, nil) }
        for listener in listeners { close(listener) }
        reactions.stop()
    }
}

/// Numbers from 1.
private final class Counter: Sendable {
    private let last = Atomic(0)
    func next() -> Int { last.add(1, ordering: .relaxed).newValue }
}

/// Decides which recipients are refused, the same ones for the same seed.
final class RecipientChooser: Sendable {
    private let reject: Double
    private let postpone: Double
    private let seed: UInt64
    private let tally: SinkTally
    private let postponed = Mutex<Set<String>>([])

    init(_ configuration: SinkConfiguration, _ tally: SinkTally) {
        reject = configuration.reject
        postpone = configuration.defer
        seed = configuration.seed
        self.tally = tally
    }

    func refusal(of recipient: String) -> String? {
        guard reject > 0 || postpone > 0 else { return nil }
        let draw = RecipientChooser.draw(recipient, seed: seed)
        if draw < reject {
            tally.update { $0.rejected += 1 }
            return "550 5.1.1 no such mailbox"
        }
        if draw < reject + postpone, postponed.withLock({ $0.insert(recipient).inserted }) {
            tally.update { $0.deferred += 1 }
            return "450 4.2.0 come again"
        }
        return nil
    }

    /// A number from 0 to 1 that follows from the address and the seed alone (FNV-1a, then mixed).
    static func draw(_ address: String, seed: UInt64) -> Double {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ seed
        for byte in address.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        hash = (hash ^ (hash >> 30)) &* 0xbf58_476d_1ce4_e5b9
        hash = (hash ^ (hash >> 27)) &* 0x94d0_49bb_1331_11eb
        hash ^= hash >> 31
        return Double(hash >> 11) / Double(1 << 53)
    }
}
