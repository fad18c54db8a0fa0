import DeliveryCore
import Farm
import NIOCore
import NIOEmbedded
import Testing

@testable import Delivery

/// The clocks of an SMTP session, on an event loop whose time the test sets.
@Suite struct SMTPSessionTests {
    /// Takes everything.
    private struct Desk: SMTPDesk {
        func greet(_ client: SMTPPeer) -> SMTPReply? { nil }
        func check(sender: Mailbox?, from client: SMTPPeer) -> SMTPReply { SMTPReply(250, "ok") }
        func check(recipient: Mailbox, taken: Int, from client: SMTPPeer) -> SMTPReply {
            SMTPReply(250, "ok")
        }
        func accept(_ message: SMTPServer.Message, from client: SMTPPeer) async -> SMTPReply {
            SMTPReply(250, "ok")
        }
    }

    private func connected() throws -> EmbeddedChannel {
        let session = SMTPSession(
            desk: Desk(), configuration: SMTPServer.Configuration(hostName: "mx.example"),
            isDraining: false)
        let channel = EmbeddedChannel(handler: session)
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 25)).wait()
        return channel
    }

    private func say(_ text: String, _ channel: EmbeddedChannel) throws {
        guard channel.isActive else { return }
        try channel.writeInbound(ByteBuffer(string: text))
    }

    private func heard(_ channel: EmbeddedChannel) throws -> String {
        var text = ""
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) {
            text += String(buffer: buffer)
        }
        return text
    }

    private func wait(_ amount: TimeAmount, _ channel: EmbeddedChannel) {
        channel.embeddedEventLoop.advanceTime(by: amount)
    }

    @Test func anOctetNowAndThenIsNoCommand() throws {
        let channel = try connected()
        for octet in ["E", "H", "L", "O"] {
            try say(octet, channel)
            wait(.minutes(2), channel)
        }
        #expect(!channel.isActive)
        #expect(try heard(channel).hasSuffix("421 4.4.2 idle for too long\r\n"))
    }

    @Test func commandsKeepTheConnection() throws {
        let channel = try connected()
        for _ in 0..<20 {
            try say("NOOP\r\n", channel)
            wait(.minutes(4), channel)
        }
        #expect(channel.isActive)
        _ = try channel.finish()
    }

    @Test func aMessageMustComeInItsTime() throws {
        let channel = try connected()
        try say("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n", channel)
        #expect(try heard(channel).contains("354"))
        for _ in 0..<28 {
            try say("x", channel)
            wait(.minutes(1), channel)
        }
        #expect(channel.isActive)
        for _ in 0..<4 {
            try say("x", channel)
            wait(.minutes(1), channel)
        }
        #expect(!channel.isActive)
        #expect(try heard(channel).hasPrefix("421 4.4.2"))
    }
}
