import Farm
import Glibc
import TestSupport
import Testing

@testable import Sink

private let token = "abcdefghijklmnopqrstuvwxyz234567"

private func message(boundaryClosed: Bool = true, token: String = token) -> String {
    """
    Message-ID: <\(token)@bounce.example>
    Date: Mon, 23 Nov 2026 10:00:00 +0000
    From: News <news@example.test>
    To: r@mail1.example
    Subject: Hello
    List-Unsubscribe: <http://web.example/u/\(token)>
    List-Unsubscribe-Post: List-Unsubscribe=One-Click
    MIME-Version: 1.0
    Content-Type: multipart/alternative; boundary="x"

    --x
    Content-Type: text/plain; charset=utf-8
    Content-Transfer-Encoding: quoted-printable

    .dot first =C3=A9
    ..
    --x
    Content-Type: text/html; charset=utf-8
    Content-Transfer-Encoding: 8bit

    <p>é</p>
    \(boundaryClosed ? "--x--" : "")

    """.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n")
}

private func stuffed(_ text: String) -> String {
    text.components(separatedBy: "\r\n").map { $0.hasPrefix(".") ? "." + $0 : $0 }
        .joined(separator: "\r\n")
}

extension String {
    fileprivate func components(separatedBy mark: String) -> [String] {
        var rest = self[...]
        var parts: [String] = []
        while let range = rest.firstRange(of: mark) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }
}

/// Feeds octets in random pieces, as the receiver does with what is left.
private func run(
    _ text: String, keeps: Bool, _ generator: inout SeededGenerator
) -> (session: SinkSession, messages: [SinkMessage]) {
    var session = SinkSession(keepsContent: keeps) { _ in nil }
    var messages: [SinkMessage] = []
    var carry: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let piece = rest.prefix(Int.random(in: 1...9, using: &generator))
        rest = rest.dropFirst(piece.count)
        carry += piece
        let used = carry.withUnsafeBytes { session.receive($0) }
        carry.removeFirst(used)
        messages += session.messages
        session.messages = []
    }
    #expect(carry.isEmpty)
    return (session, messages)
}

@Suite struct SinkSessionTests {
    @Test(arguments: 1...40) func takesDataInAnyPieces(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let bodies = (0..<5).map { _ in
            (0..<Int.random(in: 0...6, using: &generator)).map { _ in
                let line = ["", ".", "..", ".x", "x.", "\r", "x\r", ".\rx"]
                    .randomElement(using: &generator)
                return (line ?? "") + "\r\n"
            }.joined()
        }
        var text = "EHLO c\r\n"
        for body in bodies {
            text += "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n\(stuffed(body)).\r\n"
        }
        text += "QUIT\r\n"
        let (session, messages) = run(text, keeps: true, &generator)
        #expect(messages.map { String(decoding: $0.content, as: UTF8.self) } == bodies)
        let isClosed = session.isClosed
        #expect(isClosed)
        let (_, counted) = run(text, keeps: false, &generator)
        #expect(counted.map(\.size) == messages.map(\.size))
        #expect(counted.allSatisfy { $0.content.isEmpty })
    }

    @Test(arguments: 1...10) func takesChunks(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let text =
            "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5\r\n.\r\n..BDAT 0\r\n"
            + "BDAT 3 LAST\r\nx\r\nMAIL FROM:<>\r\nRCPT TO:<e@f>\r\nBDAT 0 LAST\r\nQUIT\r\n"
        let (session, messages) = run(text, keeps: true, &generator)
        #expect(session.isClosed && messages.count == 2)
        #expect(messages.first?.content == Array(".\r\n..x\r\n".utf8))
        #expect(messages.last?.sender == "" && messages.last?.recipients == ["e@f"])
    }

    @Test(arguments: [
        ("DATA\r\n", "503"), ("RCPT TO:<a@b>\r\n", "503"), ("MAIL FROM:a@b\r\n", "501"),
        ("BDAT x\r\n", "501"), ("BDAT 99999999999999999999\r\n", "501"), ("XYZ\r\n", "500"),
    ])
    func refusesNonsense(_ text: String, _ code: String) {
        var generator = SeededGenerator(seed: 1)
        let (session, messages) = run(text, keeps: true, &generator)
        let last = String(decoding: session.replies, as: UTF8.self).split(separator: "\r\n").last
        #expect(last?.hasPrefix(code) == true && messages.isEmpty)
    }
}

@Suite struct MessageCheckTests {
    private func faults(_ text: String, sender: String = "b-\(token)@bounce.example") -> [String] {
        MessageCheck(
            SinkMessage(
                sender: sender, recipients: ["r@x"], content: Array(text.utf8),
                size: text.utf8.count)
        ).faults
    }

    @Test func findsNothingInGoodMail() { #expect(faults(message()) == []) }

    @Test(arguments: [
        ("=C3=A9", "=C3=28", "text is not UTF-8"), ("=C3=A9", "=C", "bad quoted-printable"),
        ("--x--", "", "boundary is not closed"), ("\r\nSubject: Hello", "", "no subject field"),
        ("/u/a", "/u/b", "List-Unsubscribe has another token"), ("Hello\r\n", "H\n", "bare line"),
    ])
    func findsFaults(_ good: String, _ bad: String, _ reason: String) {
        let parts = message().components(separatedBy: good)
        let text = parts[0] + bad + parts.dropFirst().joined(separator: good)
        #expect(faults(text).contains { $0.hasPrefix(reason) }, "\(faults(text))")
    }

    @Test func comparesTokens() {
        let other = "b-\(String(token.reversed()))@bounce.example"
        #expect(faults(message(), sender: other).contains("Message-ID and envelope sender differ"))
    }
}

@Suite struct SinkOverLoopbackTests {
    /// Writes all octets, then reads until the sink closes.
    private func talk(_ text: String, to port: UInt16) -> String {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { return "no connection" }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return "no writing" }
            rest = rest.dropFirst(count)
        }
        var said: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &piece, piece.count)
            guard count > 0 else { return String(decoding: said, as: UTF8.self) }
            said += piece[..<count]
        }
    }

    private func mail(_ recipient: String, _ text: String) -> String {
        "MAIL FROM:<b-\(token)@bounce.example>\r\nRCPT TO:<\(recipient)>\r\nDATA\r\n"
            + stuffed(text) + ".\r\n"
    }

    @Test func countsDuplicatesAndFaults() throws {
        let sink = try Sink(SinkConfiguration(listen: [(.v4(0x7F00_0001), 0)]))
        let text =
            "EHLO c\r\n" + mail("a@x.example", message()) + mail("a@x.example", message())
            + mail("b@x.example", message(boundaryClosed: false)) + "QUIT\r\n"
        let said = talk(text, to: sink.ports[0])
        sink.stop()
        let report = sink.report
        #expect(said.hasSuffix("221 2.0.0 bye\r\n"))
        #expect(report.messages == 3 && report.distinctRecipients == 2)
        #expect(report.duplicates == ["a@x.example <\(token)@bounce.example>"])
        #expect(report.malformed.map(\.recipient) == ["b@x.example"])
        #expect(report.malformed.map(\.reason) == ["boundary is not closed"])
    }

    @Test func refusesAndPutsOffTheSameRecipients() throws {
        var configuration = SinkConfiguration(listen: [(.v4(0x7F00_0001), 0)])
        configuration.reject = 0.2
        configuration.defer = 0.2
        configuration.countsOnly = true
        let sink = try Sink(configuration)
        let recipients = (0..<200).map { "RCPT TO:<u\($0)@x.example>\r\n" }.joined()
        let text =
            "EHLO c\r\nMAIL FROM:<>\r\n\(recipients)RSET\r\nMAIL FROM:<>\r\n\(recipients)QUIT\r\n"
        let said = talk(text, to: sink.ports[0])
        sink.stop()
        let refused = said.components(separatedBy: "550 5.1.1").count - 1
        let postponed = said.components(separatedBy: "450 4.2.0").count - 1
        #expect((20...60).contains(refused / 2) && refused % 2 == 0)
        #expect((20...60).contains(postponed))
        #expect(sink.report.rejected == refused && sink.report.deferred == postponed)
    }
}
