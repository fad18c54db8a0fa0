import DeliveryCore
import Farm
import TestSupport
import Testing

/// A client that is answered line by line from a script.
struct ClientDialogue {
    var client: SMTPClient
    var sent = ""
    var outcomes: [UInt64: [SMTPClient.Outcome]] = [:]
    var isClosed = false
    var now = Moment(seconds: 0)

    init(pipelining: Bool = true) {
        client = SMTPClient(helloName: "c.example", allowsPipelining: pipelining)
        client.connected(at: now)
    }

    mutating func enqueue(_ id: UInt64, to recipients: [String] = ["r@x.example"]) {
        take(
            client.enqueue(.init(id: id, sender: "b-1@y.example", recipients: recipients), at: now))
    }

    /// Feeds replies in pieces of `size` octets, and never more than a line: a server does not answer
    /// what it has not been asked.
    mutating func hear(_ text: String, pieces size: Int = 1 << 20) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let line = (rest.firstIndex(of: 0x0A) ?? rest.endIndex - 1) - rest.startIndex + 1
            let piece = rest.prefix(min(size, line))
            take(client.receive(piece, at: now))
            rest = rest.dropFirst(piece.count)
        }
    }

    mutating func lose() { take(client.connectionLost()) }

    mutating func wait(_ duration: Duration) {
        now = now.advanced(by: duration)
        take(client.tick(at: now))
    }

    private mutating func take(_ actions: [SMTPClient.Action]) {
        for action in actions {
            switch action {
            case .write(let octets): sent += String(decoding: octets, as: UTF8.self)
            case .writeContent(let id): sent += "<content \(id)>"
            case .finished(let id, let said): outcomes[id] = said
            case .close: isClosed = true
            }
        }
    }

    func verdict(_ id: UInt64) -> SMTPClient.Verdict? { outcomes[id]?.first?.verdict }
}

@Suite struct SMTPClientTests {
    private static let greeting = "220 s\r\n250-s\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
    private static let plain = "220 s\r\n250 s\r\n"

    /// Replies after MAIL, RCPT, DATA and content, as a server with pipelining gives them, and what
    /// becomes of the message.
    @Test(arguments: [
        ("250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n", SMTPClient.Verdict.accepted),
        ("451 later\r\n503 no\r\n503 no\r\n", .deferred),
        ("550 no\r\n503 no\r\n503 no\r\n", .refused),
        ("250 ok\r\n550 5.1.1 unknown\r\n503 no\r\n", .refused),
        ("250 ok\r\n450 4.2.1 busy\r\n503 no\r\n", .deferred),
        ("250 ok\r\n552 5.2.2 full\r\n554 none\r\n", .deferred),
        ("250 ok\r\n250 ok\r\n451 later\r\n", .deferred),
        ("250 ok\r\n250 ok\r\n354 go\r\n451 later\r\n", .deferred),
        ("250 ok\r\n250 ok\r\n354 go\r\n554 spam\r\n", .refused),
        // The lone dot: no valid recipient, yet DATA is taken (RFC 2920 section 3.1).
        ("250 ok\r\n550 unknown\r\n354 go\r\n554 none\r\n", .refused),
        ("250 ok\r\n250 ok\r\n354 go\r\n250-two\r\n250 lines\r\n", .accepted),
    ])
    func judgesByTheReplies(_ replies: String, _ verdict: SMTPClient.Verdict) {
        for size in [1, 1 << 20] {
            var dialogue = ClientDialogue()
            dialogue.enqueue(1)
            dialogue.hear(SMTPClientTests.greeting + replies, pieces: size)
            #expect(dialogue.verdict(1) == verdict, "\(replies) \(dialogue.sent)")
        }
    }

    /// The same without pipelining: nothing is said before the answer to the last thing is there.
    @Test func waitsWhenItMust() {
        var dialogue = ClientDialogue()
        dialogue.enqueue(1)
        dialogue.hear(SMTPClientTests.plain)
        #expect(dialogue.sent.hasSuffix("MAIL FROM:<b-1@y.example>\r\n"))
        dialogue.hear("250 ok\r\n")
        #expect(dialogue.sent.hasSuffix("RCPT TO:<r@x.example>\r\n"))
        dialogue.hear("250 ok\r\n")
        #expect(dialogue.sent.hasSuffix("DATA\r\n"))
        dialogue.hear("354 go\r\n")
        #expect(dialogue.sent.hasSuffix("<content 1>.\r\n"))
        dialogue.hear("250 ok\r\n")
        #expect(dialogue.verdict(1) == .accepted)
    }

    @Test func sendsTheNextEnvelopeWithTheContent() {
        var dialogue = ClientDialogue()
        dialogue.enqueue(1)
        dialogue.enqueue(2)
        dialogue.hear(SMTPClientTests.greeting + "250 ok\r\n250 ok\r\n")
        let before = dialogue.sent.count
        dialogue.hear("354 go\r\n")
        let written = dialogue.sent.dropFirst(before)
        #expect(written.hasPrefix("<content 1>.\r\nMAIL FROM:"))
        #expect(written.hasSuffix("DATA\r\n"))
        dialogue.hear("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n")
        #expect(dialogue.verdict(1) == .accepted && dialogue.verdict(2) == .accepted)
    }

    /// Where the connection breaks decides what is known (RFC 1047).
    @Test(arguments: [
        ("", SMTPClient.Verdict.untried),
        ("250 ok\r\n", .deferred),
        ("250 ok\r\n250 ok\r\n", .deferred),
        ("250 ok\r\n250 ok\r\n354 go\r\n", .doubtful),
    ])
    func knowsWhatABrokenConnectionMeans(_ replies: String, _ verdict: SMTPClient.Verdict) {
        var dialogue = ClientDialogue()
        dialogue.enqueue(1)
        dialogue.hear(SMTPClientTests.greeting + replies)
        dialogue.lose()
        #expect(dialogue.verdict(1) == verdict)
    }

    @Test func aRefusedConnectionDefersNothingForGood() {
        for banner in ["421 busy\r\n", "554 go away\r\n"] {
            var dialogue = ClientDialogue()
            dialogue.enqueue(1)
            dialogue.hear(banner)
            #expect(dialogue.isClosed)
            #expect(dialogue.verdict(1) != .accepted && dialogue.verdict(1) != .doubtful)
        }
    }

    @Test func waitsTenMinutesForTheFinalDot() {
        var dialogue = ClientDialogue()
        dialogue.enqueue(1)
        dialogue.hear(SMTPClientTests.greeting + "250 ok\r\n250 ok\r\n354 go\r\n")
        dialogue.wait(.seconds(599))
        #expect(dialogue.verdict(1) == nil)
        dialogue.wait(.seconds(2))
        #expect(dialogue.verdict(1) == .doubtful && dialogue.isClosed)
    }

    @Test func judgesEachRecipient() {
        var dialogue = ClientDialogue()
        dialogue.enqueue(1, to: ["a@x.example", "b@x.example", "c@x.example"])
        dialogue.hear(
            SMTPClientTests.greeting
                + "250 ok\r\n250 ok\r\n550 no\r\n450 later\r\n354 go\r\n250 ok\r\n")
        #expect(dialogue.outcomes[1]?.map(\.verdict) == [.accepted, .refused, .deferred])
    }

    @Test func survivesAnyReplies() {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("SMTP client bytes"))
        let words = [
            "220 s\r\n", "250 ok\r\n", "250-PIPELINING\r\n", "354 go\r\n", "451 x\r\n", "550 x\r\n",
            "421 bye\r\n", "999 \r\n", "2x0\r\n", "\r\n", "\n", "250", "-",
        ]
        for _ in 0..<1_000 {
            var dialogue = ClientDialogue(pipelining: Bool.random(using: &random))
            var ids: Set<UInt64> = []
            for step in 0..<30 {
                if dialogue.client.room > 0, Bool.random(using: &random) {
                    dialogue.enqueue(UInt64(step))
                    ids.insert(UInt64(step))
                }
                dialogue.hear(words.randomElement(using: &random) ?? "")
            }
            dialogue.lose()
            // Every message that was taken is accounted for, exactly once.
            #expect(Set(dialogue.outcomes.keys) == ids)
        }
    }
}
