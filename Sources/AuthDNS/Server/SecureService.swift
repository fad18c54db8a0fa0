public import Farm

/// The name server for connections whose octets somebody else moves, TLS among them: they hand in what has come, and
/// take what is to be sent. All of one service belongs to one thread, the one that first uses it.
public final class SecureService {
    private let published: PublishedZones
    private let counters: WorkerCounters
    private let answerer: StreamAnswerer
    private var view: PublishedZones.View

    init(_ published: PublishedZones, _ counters: WorkerCounters, _ tap: QueryTap?) {
        self.published = published
        self.counters = counters
        answerer = StreamAnswerer(published, counters, tap)
        view = PublishedZones.View(published)
    }

    /// One connection.
    public struct Conversation {
        fileprivate var state: StreamConversation
        /// Whether the client is to be left: it sent what cannot be DNS, or asks without reading.
        public fileprivate(set) var isOver = false
        /// Whether a transfer is under way of which more is to be made once the client has taken what was sent.
        public var hasMore: Bool { state.transfer != nil }
    }

    public func begin(with client: IPAddress, port: UInt16) -> Conversation {
        counters.add(.connections)
        return Conversation(
            state: StreamConversation(client: client, port: port, isEncrypted: true))
    }

    /// A connection was not taken, since there are enough.
    public func noteRefusal() { counters.add(.connectionsRefused) }

    /// A connection was closed, since nothing was asked over it.
    public func noteIdle() { counters.add(.connectionsIdle) }

    /// Answers what has come, or goes on with a transfer.
    /// - Parameter octets: in whatever pieces; none to go on.
    /// - Returns: what is to be sent; at most some 128 KiB of a transfer at a time.
    public func take(_ octets: [UInt8], from conversation: inout Conversation) -> [UInt8] {
        view.refresh(published)
        if !octets.isEmpty {
            _ = unsafe conversation.state.receive(atMost: octets.count) { space in
                // Safe: the space has as many octets as were asked for.
                unsafe space.copyBytes(from: octets)
                return octets.count
            }
        }
        let keeps = answerer.work(on: &conversation.state, view)
        conversation.isOver = !keeps || conversation.state.isMalformed
        let unsent = conversation.state.unsent
        conversation.state.sent(unsent.count)
        return unsent
    }
}

extension NameServer {
    /// For connections over TLS (RFC 7858, RFC 9103), on one thread.
    public func secureService() -> SecureService {
        SecureService(published, secureCounters, secureTap)
    }
}
