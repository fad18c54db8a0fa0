import Delivery
import DeliveryCore
import Farm
import Glibc

/// One thread's way to return mail: a connection to a mail exchanger that is kept while there is work for
/// it, and the SMTP client of the product on it.
final class BounceWorker {
    /// Seconds that one step of a conversation may take.
    private static let patience = 30
    private let directory: SinkDirectory
    private let port: UInt16
    private var connection: (stream: SinkStream, client: SMTPClient)?
    /// Identifies messages on their connection.
    private var number: UInt64 = 0

    init(_ directory: SinkDirectory, port: UInt16) {
        self.directory = directory
        self.port = port
    }

    /// Sends one notification to the mail exchangers of its domain, one after the other until one has an
    /// answer that is final.
    func send(_ bounce: BounceMessage, to sender: String) -> ReactionResult {
        guard let at = sender.lastIndex(of: "@") else {
            return .hopeless("the envelope sender <\(sender)> has no domain")
        }
        let addresses: [IPAddress]
        do throws(ResolverError) {
            addresses = try directory.mailAddresses(
                of: String(sender[sender.index(after: at)...]))
        } catch {
            switch error {
            case .noSuchName, .nullMX: return .hopeless(error.description)
            default: return .later(error.description, nil)
            }
        }
        var reasons: [String] = []
        for address in addresses.prefix(8) {
            let result = send(bounce, to: sender, at: address)
            guard case .later(let why, _) = result else { return result }
            reasons.append(why)
        }
        return .later(reasons.joined(separator: "; "), nil)
    }

    /// Ends the connection politely.
    func rest() {
        guard let (stream, idle) = connection else { return }
        connection = nil
        var client = idle
        for case .write(let bytes) in client.quit(at: BounceWorker.now) {
            _ = stream.write(bytes)
        }
        _ = stream.read()
    }

    /// A connection that was kept may be gone by now; then a new one is tried once.
    private func send(
        _ bounce: BounceMessage, to sender: String, at address: IPAddress
    ) -> ReactionResult {
        let isKept = connection?.stream.address == address
        if !isKept { rest() }
        do throws(SinkError) {
            var outcome = try converse(bounce, to: sender, at: address)
            if isKept, connection == nil, outcome.reply == nil {
                outcome = try converse(bounce, to: sender, at: address)
            }
            switch outcome.verdict {
            case .accepted: return .done(address)
            case .refused: return .refused("\(address): \(outcome.text)")
            case .deferred, .doubtful, .untried: return .later("\(address): \(outcome.text)", nil)
            }
        } catch {
            return .later(error.description, nil)
        }
    }

    private func converse(
        _ bounce: BounceMessage, to sender: String, at address: IPAddress
    ) throws(SinkError) -> SMTPClient.Outcome {
        let stream: SinkStream
        var client: SMTPClient
        if let connection {
            (stream, client) = connection
        } else {
            stream = try SinkStream.connect(address, port, patience: BounceWorker.patience)
            client = SMTPClient(helloName: "sink.example")
            client.connected(at: BounceWorker.now)
        }
        number += 1
        let message = SMTPClient.Message(
            id: number, sender: "", recipients: [sender], size: bounce.content.count,
            isEightBit: bounce.isEightBit)
        let content = bounce.dotStuffed
        var actions = client.enqueue(message, at: BounceWorker.now)
        while true {
            if let outcome = perform(actions, content, stream) {
                connection = client.isClosed ? nil : (stream, client)
                return outcome
            }
            if let bytes = stream.read() {
                actions = client.receive(bytes, at: BounceWorker.now)
            } else {
                actions = client.connectionLost()
            }
        }
    }

    /// - Returns: the outcome, once there is one.
    private func perform(
        _ actions: [SMTPClient.Action], _ content: [UInt8], _ stream: SinkStream
    ) -> SMTPClient.Outcome? {
        var text: [UInt8] = []
        var outcome: SMTPClient.Outcome?
        for action in actions {
            switch action {
            case .write(let bytes): text += bytes
            case .writeContent: text += content
            case .finished(_, let outcomes): outcome = outcomes.first
            case .close: break
            }
        }
        // What cannot be written shows at the next read.
        if !text.isEmpty { _ = stream.write(text) }
        return outcome
    }

    private static var now: Moment { Moment(seconds: SinkClock.now) }
}

/// What became of one try.
enum ReactionResult: Sendable {
    /// Taken at this address.
    case done(IPAddress)
    /// Answered for good, and not as wished.
    case refused(String)
    /// To be tried again, not before so many seconds if told.
    case later(String, Double?)
    /// Will never work.
    case hopeless(String)
}
