import DeliveryCore
import Farm
import TestSupport
import Testing

/// A server that is talked to as a client would, with a shell that agrees to what `policy` agrees to.
struct ServerDialogue {
    var server: SMTPServer
    var accepted: [SMTPServer.Message] = []
    var said = ""
    var isClosed = false
    /// Recipients it takes; everything else gets 550.
    var takes: (Mailbox) -> Bool = { _ in true }

    init(_ configuration: SMTPServer.Configuration = .init(hostName: "in.example")) {
        server = SMTPServer(configuration)
        take(server.start())
    }

    /// Feeds `text` in pieces of `size` octets.
    mutating func send(_ text: String, pieces size: Int = 1 << 20) {
        send(Array(text.utf8), pieces: size)
    }

    mutating func send(_ bytes: [UInt8], pieces size: Int = 1 << 20) {
        var rest = bytes[...]
        while !rest.isEmpty {
            take(server.receive(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
    }

    private mutating func take(_ actions: [SMTPServer.Action]) {
        for action in actions {
            switch action {
            case .write(let octets): said += String(decoding: octets, as: UTF8.self)
            case .checkSender: take(server.answer(SMTPReply(250, "2.1.0 ok")))
            case .checkRecipient(let mailbox):
                let fine = takes(mailbox)
                take(server.answer(fine ? SMTPReply(250, "2.1.5 ok") : SMTPReply(550, "5.1.1 no")))
            case .accept(let message):
                accepted.append(message)
                take(server.answer(SMTPReply(250, "2.0.0 kept")))
            case .close: isClosed = true
            }
        }
    }

    /// Codes of the final lines of all replies so far.
    var codes: [String] {
        said.split(separator: "\r\n").filter { $0.dropFirst(3).first != "-" }.map {
            String($0.prefix(3))
        }
    }
}

@Suite struct SMTPServerTests {
    private static let envelope =
        "EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@in.example>\r\nDATA\r\n"

    /// What clients say, and the codes they get.
    @Test(arguments: [
        ("NOOP\r\nQUIT\r\n", "220 250 221"),
        ("MAIL FROM:<a@b.example>\r\n", "220 503"),
        ("EHLO c\r\nRCPT TO:<a@b.example>\r\n", "220 250 503"),
        ("EHLO c\r\nMAIL FROM:<a@b.example>\r\nDATA\r\n", "220 250 250 554"),
        ("EHLO c\r\nMAIL FROM:<a@b.example>\r\nMAIL FROM:<a@b.example>\r\n", "220 250 250 503"),
        ("EHLO c\r\nMAIL FROM:<a@@b.example>\r\n", "220 250 553"),
        ("EHLO c\r\nMAIL FROM:a@b.example junk\r\n", "220 250 553"),
        ("EHLO c\r\nVRFY a\r\nEXPN a\r\nAUTH PLAIN x\r\nSTARTTLS\r\n", "220 250 252 502 502 502"),
        ("EHLO c\r\nFOO\r\n", "220 250 500"),
        ("EHLO c\r\nMAIL FROM:<a@b.example> SIZE=99999999\r\n", "220 250 552"),
        ("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRSET\r\nDATA\r\n", "220 250 250 250 503"),
        ("HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\n", "220 250 250 250"),
    ])
    func answersBy(_ talk: String, _ codes: String) {
        for size in [1, 7, 1 << 20] {
            var dialogue = ServerDialogue()
            dialogue.send(talk, pieces: size)
            #expect(dialogue.codes.joined(separator: " ") == codes, "\(dialogue.said)")
        }
    }

    /// Sequences that other servers take for the end of data (CVE-2023-51764 and its kin).
    @Test(arguments: [
        "\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r\n.\r", "\r.\r\n", "\n.\r", "\r\n\u{0}.\r\n",
        "\r\r\n.\r\r\n",
    ])
    func onlyOneSequenceEndsData(_ sequence: String) {
        let smuggled =
            "MAIL FROM:<evil@x.example>\r\nRCPT TO:<b@in.example>\r\nDATA\r\nSubject: two\r\n\r\nx\r\n.\r\n"
        for size in [1, 5, 1 << 20] {
            var dialogue = ServerDialogue()
            dialogue.send(
                SMTPServerTests.envelope + "Subject: one\r\n\r\nx" + sequence + smuggled,
                pieces: size)
            #expect(dialogue.accepted.count <= 1)
            #expect(!dialogue.accepted.contains { $0.sender?.address == "evil@x.example" })
        }
    }

    @Test func unstuffsDotsAndKeepsBytes() {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("SMTP content"))
        for _ in 0..<100 {
            let lines = (0..<Int.random(in: 0...20, using: &random)).map { _ in
                String(
                    (0..<Int.random(in: 0...30, using: &random)).map { _ in
                        ".ab ".randomElement(using: &random) ?? "."
                    })
            }
            let content = lines.map { $0 + "\r\n" }.joined()
            let stuffed = lines.map { ($0.hasPrefix(".") ? "." + $0 : $0) + "\r\n" }.joined()
            var dialogue = ServerDialogue()
            dialogue.send(
                SMTPServerTests.envelope + stuffed + ".\r\nQUIT\r\n",
                pieces: Int.random(in: 1...40, using: &random))
            #expect(
                dialogue.accepted.map { String(decoding: $0.content, as: UTF8.self) } == [content])
            #expect(dialogue.isClosed)
        }
    }

    @Test func takesChunks() {
        for size in [1, 3, 1 << 20] {
            var dialogue = ServerDialogue()
            dialogue.send(
                "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@in.example>\r\nBDAT 7\r\n.ab\r\n\r\nBDAT 4 LAST\r\n..\r\nQUIT\r\n",
                pieces: size)
            #expect(
                dialogue.accepted.map { String(decoding: $0.content, as: UTF8.self) } == [
                    ".ab\r\n\r\n..\r\n"
                ])
            #expect(dialogue.codes.last == "221")
        }
    }

    /// Address tricks of open relays: the shell decides, but none of them may look like another address.
    @Test(arguments: [
        "user%other.example@in.example", "other.example!user@in.example",
        "@in.example:user@other.example",
        "\"user@other.example\"@in.example", "user@other.example@in.example", "user@[127.0.0.1]",
        "user@in.example\u{0}", "user @in.example", "", "@", "user@",
    ])
    func relaysNothing(_ address: String) {
        var dialogue = ServerDialogue()
        dialogue.takes = { $0.domain == "in.example" && $0.localPart == "b-token" }
        dialogue.send("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<\(address)>\r\nDATA\r\n")
        #expect(dialogue.codes.last == "503" || dialogue.codes.last == "554")
        #expect(dialogue.accepted.isEmpty)
    }

    @Test func boundsWhatItHolds() {
        var configuration = SMTPServer.Configuration(hostName: "in.example")
        configuration.maxSize = 1000
        configuration.maxRecipients = 3
        var dialogue = ServerDialogue(configuration)
        dialogue.send("EHLO c\r\nMAIL FROM:<>\r\n")
        for _ in 0..<5 { dialogue.send("RCPT TO:<b@in.example>\r\n") }
        #expect(dialogue.codes.filter { $0 == "452" }.count == 2)
        dialogue.send("DATA\r\n" + String(repeating: "0123456789abcdef\r\n", count: 200) + ".\r\n")
        #expect(dialogue.codes.last == "552")
        #expect(dialogue.accepted.isEmpty)
        dialogue.send(
            "MAIL FROM:<>\r\nRCPT TO:<b@in.example>\r\nDATA\r\n"
                + String(repeating: "x", count: 1100) + "\r\n.\r\n")
        #expect(dialogue.accepted.isEmpty)
        dialogue.send(String(repeating: "Y", count: 5000) + "\r\n")
        #expect(dialogue.codes.last == "500")
        for _ in 0..<30 where !dialogue.isClosed { dialogue.send("FOO\r\n") }
        #expect(dialogue.codes.last == "421" && dialogue.isClosed)
    }

    @Test func drainsAfterTheTransaction() {
        var dialogue = ServerDialogue()
        dialogue.send(SMTPServerTests.envelope + "x\r\n")
        for action in dialogue.server.drain() {
            if case .close = action { Issue.record("closed within a transaction") }
        }
        dialogue.send(".\r\n")
        #expect(dialogue.accepted.count == 1)
        dialogue.send("MAIL FROM:<>\r\n")
        #expect(dialogue.codes.last == "421" && dialogue.isClosed)
    }

    @Test func survivesAnyBytes() {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("SMTP server bytes"))
        let words = [
            "EHLO c\r\n", "MAIL FROM:<a@b.c>", "RCPT TO:<", ">\r\n", "DATA\r\n", "BDAT 5",
            " LAST\r\n", "\r\n.\r\n", "\r", "\n", "\u{0}", ".", "x", "QUIT\r\n", "RSET\r\n",
            " SIZE=", "99999999999999999999", "BDAT 18446744073709551616\r\n",
        ]
        for _ in 0..<500 {
            var dialogue = ServerDialogue()
            for _ in 0..<40 {
                if Int.random(in: 0..<4, using: &random) == 0 {
                    dialogue.send((0..<8).map { _ in UInt8.random(in: 0...255, using: &random) })
                } else {
                    dialogue.send(words.randomElement(using: &random) ?? "")
                }
            }
            #expect(dialogue.said.split(separator: "\r\n").allSatisfy { Int($0.prefix(3)) != nil })
        }
    }
}
