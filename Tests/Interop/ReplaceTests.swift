import AuthDNS
import Foundation
import Synchronization
import TestSupport
import Testing

/// A control node takes over from another while clients ask as fast as they can.
@Suite struct ReplaceTests {
    /// Asks one question after the other until told to stop.
    private final class Asker: Sendable {
        let asked = Atomic<Int>(0)
        let lost = Atomic<Int>(0)
        let isOver = Atomic<Bool>(false)
        private let ended = DispatchSemaphore(value: 0)

        /// - Parameter stream: by TCP, over one connection as long as it lasts.
        init(port: UInt16, stream: Bool) {
            Thread.detachNewThread { [self] in
                var client = LoopbackClient(port: port, stream: stream)
                while !isOver.load(ordering: .relaxed) {
                    // Other tests want the machine too.
                    usleep(500)
                    let id = UInt16(
                        truncatingIfNeeded: asked.wrappingAdd(1, ordering: .relaxed).newValue)
                    let query = Question.bytes("web.smurf.example.test", 1, id: id)
                    client?.send(stream ? Question.framed(query) : query)
                    if let reply = client?.receive(), reply[0] == id >> 8, reply[1] == id & 255,
                        reply[3] & 15 == 0, reply[7] == 2
                    {
                        continue
                    }
                    // A server may close what was silent; a client asks again then (RFC 7766 section 6.2.4).
                    if stream { client = LoopbackClient(port: port, stream: true) }
                    lost.wrappingAdd(1, ordering: .relaxed)
                }
                ended.signal()
            }
        }

        func stop() {
            isOver.store(true, ordering: .relaxed)
            ended.wait()
        }
    }

    @Test(.timeLimit(.minutes(4))) func noQueryIsLost() async throws {
        let farm = try ControlNodeFixture()
        var node = try await farm.start()
        let askers = [false, false, false, false].map { Asker(port: farm.dnsPort, stream: $0) }
        let stream = Asker(port: farm.dnsPort, stream: true)
        let rounds = 6
        for round in 1...rounds {
            let next = try Daemon(
                "serve-\(round)", farm.arguments() + ["--replace"], directory: farm.directory)
            #expect(await node.finished() == 0, "\(node.log)")
            node = next
        }
        for asker in askers + [stream] { asker.stop() }
        for asker in askers {
            #expect(asker.lost.load(ordering: .relaxed) == 0)
            #expect(asker.asked.load(ordering: .relaxed) > 1_000)
        }
        // Each server ends its connections when it is gone; whoever asked in that moment asks the next.
        #expect(stream.lost.load(ordering: .relaxed) <= rounds)
        #expect(try await farm.members("web").count == 2)
        #expect(await node.stop() == 0)
    }

    /// What fails to take over leaves the old node as it was, with its scheduler.
    @Test(.timeLimit(.minutes(2))) func aFailedSuccessorChangesNothing() async throws {
        let farm = try ControlNodeFixture()
        let node = try await farm.start()
        // The name server's own port is taken for certain.
        let failing = try Daemon(
            "failing", farm.arguments(["--agents": "127.0.0.1:\(farm.dnsPort)"]) + ["--replace"],
            directory: farm.directory)
        #expect(await failing.finished() != 0)
        try await node.ready { node.log.contains("going on") }
        let before = try await farm.members("web")
        try await node.ready { FileManager.default.fileExists(atPath: farm.socket) }
        let gone = try #require(before.first).split(separator: ".").last ?? ""
        let held = try await farm.smurf("hold", "s0\(gone)", "--for", "1h", "--reason", "disk")
        #expect(held.status == 0, "\(held)")
        try await node.ready { try await farm.members("web") != before }
        #expect(await node.stop() == 0)
    }

    /// Begins to replace the node as a new process does, and leaves it where nothing of it waits for signals.
    private func pause(_ farm: ControlNodeFixture) throws -> HandoverChannel {
        let channel = try #require(
            try HandoverChannel(connectingTo: farm.directory.file("data/handover.sock")))
        try channel.send("sockets")
        while let message = channel.receive(within: 10), message.text != "end" {
            message.passed.map { _ = close($0) }
        }
        try channel.send("pause")
        #expect(channel.receive(within: 30)?.text == "paused")
        return channel
    }

    /// A signal that comes while a successor is waited for was lost with the node that had trapped it.
    @Test(.timeLimit(.minutes(2))) func aSignalWhileASuccessorIsWaitedForIsKept() async throws {
        let farm = try ControlNodeFixture()
        let node = try await farm.start()
        var channel: HandoverChannel? = try pause(farm)
        node.signal(SIGHUP)
        #expect(channel != nil)
        channel = nil
        try await node.ready { node.log.contains("going on") }
        try await node.ready { node.log.contains("policy and zone were read anew") }

        try await node.ready {
            FileManager.default.fileExists(atPath: farm.directory.file("data/handover.sock"))
        }
        channel = try pause(farm)
        node.signal(SIGTERM)
        // The signal is dealt with by another thread than the end of the channel.
        try await Task.sleep(for: .milliseconds(300))
        #expect(channel != nil)
        channel = nil
        #expect(await node.finished() == 0)
        #expect(node.log.contains("failed; ending, as told"), "\(node.log)")
    }

    /// With nobody to replace it is an ordinary start.
    @Test(.timeLimit(.minutes(1))) func nobodyToReplaceIsAStart() async throws {
        let farm = try ControlNodeFixture()
        let node = try Daemon("serve", farm.arguments() + ["--replace"], directory: farm.directory)
        try await node.ready { try await farm.members("web").count == 2 }
        #expect(await node.stop() == 0)
    }
}
