import AuthDNSCore
import Farm

/// What passes over one connection, by TCP or TLS (RFC 7766): octets that came and are not yet a whole message, and
/// octets that are not yet sent. Whose descriptor or channel it is does not matter here.
struct StreamConversation {
    /// A client that asks without reading is dropped at so many octets.
    static let mostUnsent = 1 << 20
    /// Octets of a transfer that are made before the client takes them.
    static let transferAhead = 128 << 10

    let client: IPAddress
    let port: UInt16
    let isEncrypted: Bool
    private(set) var unsent: [UInt8] = []
    /// The transfer under way.
    var transfer: TransferStream?
    /// Whether a whole query was taken or octets of answers left since this was last asked.
    var hasMoved: Bool {
        mutating get {
            defer { moved = false }
            return moved
        }
    }

    /// The client spoke of a message that no DNS query can be.
    private(set) var isMalformed = false
    private var received: [UInt8] = []
    private var taken = 0
    private var moved = false

    init(client: IPAddress, port: UInt16, isEncrypted: Bool) {
        self.client = client
        self.port = port
        self.isEncrypted = isEncrypted
    }

    /// Lets `body` write octets that have come into fresh space.
    /// - Parameter body: returns how many it wrote; 0 and less for none.
    /// - Returns: what `body` returned.
    mutating func receive(
        atMost most: Int, _ body: (UnsafeMutableRawBufferPointer) -> Int
    ) -> Int {
        received.removeFirst(taken)
        taken = 0
        let before = received.count
        received += [UInt8](repeating: 0, count: most)
        let count = unsafe received.withUnsafeMutableBytes { bytes in
            // Safe: so many octets were appended behind `before`.
            unsafe body(UnsafeMutableRawBufferPointer(rebasing: bytes[before...]))
        }
        received.removeLast(most - min(max(count, 0), most))
        return count
    }

    /// The next whole message without its length (RFC 1035 §4.2.2).
    mutating func nextQuery() -> [UInt8]? {
        guard received.count - taken >= 2 else { return nil }
        let length = Int(received[taken]) << 8 | Int(received[taken + 1])
        guard (12...4096).contains(length) else {
            isMalformed = true
            return nil
        }
        guard received.count - taken >= 2 + length else { return nil }
        defer { taken += 2 + length }
        moved = true
        return Array(received[(taken + 2)..<(taken + 2 + length)])
    }

    /// Puts a message behind what is not yet sent.
    mutating func send(_ message: ArraySlice<UInt8>) {
        unsent += [UInt8(message.count >> 8), UInt8(message.count & 255)]
        unsent += message
    }

    /// So many octets of `unsent` have left.
    mutating func sent(_ count: Int) {
        unsent.removeFirst(count)
        moved = true
    }

    /// Puts the transfer's next message behind what is not yet sent.
    mutating func continueTransfer(unixTime: UInt64) {
        if let message = transfer?.message(unixTime: unixTime) { send(message[...]) }
        if transfer?.isAtEnd ?? true { transfer = nil }
    }
}

/// Answers what comes over connections: queries by `respond`, those of other servers by `PeerResponder`. One thread.
final class StreamAnswerer {
    private let published: PublishedZones
    private let counters: WorkerCounters
    private var reply = [UInt8](repeating: 0, count: 65_535)
    private let tap: QueryTap?
    /// Queries up to the next that is kept.
    private var untilTap: Int

    init(_ published: PublishedZones, _ counters: WorkerCounters, _ tap: QueryTap?) {
        self.tap = tap
        untilTap = tap?.interval ?? .max
        self.published = published
        self.counters = counters
    }

    /// Goes on with the transfer that is under way, or else with the queries that have come.
    /// - Returns: false when the client lets too much lie.
    func work(on conversation: inout StreamConversation, _ view: PublishedZones.View) -> Bool {
        while true {
            if conversation.transfer != nil {
                guard conversation.unsent.count < StreamConversation.transferAhead else {
                    return true
                }
                conversation.continueTransfer(unixTime: UInt64(Clock.unixSeconds()))
            } else if let query = conversation.nextQuery() {
                answer(query, view, &conversation)
                guard conversation.unsent.count < StreamConversation.mostUnsent else {
                    counters.add(.connectionsSlow)
                    return false
                }
            } else {
                return true
            }
        }
    }

    private func answer(
        _ query: [UInt8], _ view: PublishedZones.View, _ conversation: inout StreamConversation
    ) {
        let context = QueryContext(
            transport: .tcp, random: UInt64.random(in: 1...UInt64.max),
            client: conversation.client, unixTime: Clock.unixSeconds(), leavesPeers: true,
            isEncrypted: conversation.isEncrypted)
        var space = reply.mutableSpan
        let outcome = respond(
            to: query.span, context: context, settings: view.settings, from: view.image,
            beside: view.others, into: &space)
        keep(query, outcome.length, conversation)
        if outcome.isForPeer { return answerPeer(query, context, &conversation) }
        counters.note(outcome, from: conversation.client)
        guard outcome.length > 0 else { return }
        conversation.send(reply[..<outcome.length])
    }

    /// Keeps one in so many queries for whoever is told of them; those of other servers without their answers.
    private func keep(_ query: [UInt8], _ length: Int, _ conversation: StreamConversation) {
        untilTap -= 1
        guard untilTap == 0, let tap else { return }
        untilTap = tap.interval
        let answer = Array(reply[..<length])
        tap.keep(query.span, answer.span, from: conversation.client, port: conversation.port)
    }

    private func answerPeer(
        _ query: [UInt8], _ context: QueryContext, _ conversation: inout StreamConversation
    ) {
        var outcome = Outcome()
        let unixTime = UInt64(Clock.unixSeconds())
        switch published.responder(to: query).answer(query, context, unixTime: unixTime) {
        case .none: break
        case .message(let message): send(message, &conversation, &outcome)
        case .notified(let message):
            published.noteNotify()
            send(message, &conversation, &outcome)
        case .stream(let transfer):
            outcome.length = 12
            outcome.type = .axfr
            conversation.transfer = transfer
        }
        counters.note(outcome, from: conversation.client)
    }

    private func send(
        _ message: [UInt8], _ conversation: inout StreamConversation, _ outcome: inout Outcome
    ) {
        outcome.length = message.count
        outcome.code = UInt16(message[3] & 15)
        conversation.send(message[...])
    }
}
