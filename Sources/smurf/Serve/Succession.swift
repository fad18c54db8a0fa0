import AuthDNS
import Foundation
import Logging

/// How one control node replaces another while queries are answered all the time. The new one has checked its input
/// before it says a word. It takes the sockets ("sockets" … "end") and asks for the data directory ("pause"); the old
/// one stops everything but answering and says "paused"; the new one opens the store, begins to answer on the same
/// sockets and says "serving"; only then the old one stops. Whatever goes wrong before that, the old one goes on.
enum Succession {
    /// How long the old node waits for the new one to serve, in seconds.
    private static let patience = 30
    /// How long clients that are connected by TCP are served on by the old node.
    private static let lingering = Duration.seconds(5)

    // MARK: The old node

    /// Waits for a process that wants to replace this one, and passes it the sockets.
    /// - Returns: the way to it, once it wants the rest; nil when the task was cancelled.
    static func await(
        at listener: HandoverListener, of nameServer: NameServer, _ logger: Logger
    ) async throws -> HandoverChannel? {
        while !Task.isCancelled {
            let found = try await ControlNode.offPool { () -> HandoverChannel? in
                guard let channel = listener.accept(within: 100),
                    channel.receive(within: 5)?.text == "sockets"
                else { return nil }
                do {
                    try nameServer.pass(over: channel)
                } catch {
                    logger.warning("cannot hand the sockets over: \(error)")
                    return nil
                }
                return channel.receive(within: 30)?.text == "pause" ? channel : nil
            }
            if let found {
                logger.notice("another process takes over")
                nameServer.pause()
                return found
            }
        }
        return nil
    }

    /// Tells the new process that the data directory is free, and waits for it.
    /// - Returns: whether it serves; the name server has ended then.
    static func isDone(_ successor: HandoverChannel, of nameServer: NameServer) async -> Bool {
        let answer = try? await ControlNode.offPool { () -> Bool in
            try successor.send("paused")
            guard successor.receive(within: patience)?.text == "serving" else { return false }
            nameServer.stop(lingering: lingering)
            return true
        }
        if answer != true { nameServer.resume() }
        return answer ?? false
    }

    // MARK: The new node

    /// Asks for the data directory, and waits until the old node writes nothing any more.
    static func ask(_ predecessor: HandoverChannel) throws {
        try predecessor.send("pause")
        guard predecessor.receive(within: patience)?.text == "paused" else {
            throw ControlNodeError(description: "the running control node does not step aside")
        }
    }

    /// Says that this node answers.
    static func tell(_ predecessor: HandoverChannel) { try? predecessor.send("serving") }
}
