import DeliveryCore
import Farm
import Testing

private func text(_ bytes: some Sequence<UInt8>) -> String {
    String(decoding: Array(bytes), as: UTF8.self)
}

private let identity = MailingIdentity(
    name: "news", listID: "news", bounceDomain: "bounce.example",
    unsubscribeBase: "https://web.example/u/", date: 1_000_000_000, tokenExpiryDay: 30_000)

@Suite struct MailboxTests {
    @Test(arguments: ["a@b.example", "a.b+c=d@x.example", "\"a b\"@x.example", "\"a@b\"@x.example"])
    func takes(_ address: String) throws {
        #expect(try Mailbox(address).address == address)
    }

    @Test(arguments: [
        "", "a", "@b", "a@", "a@b@c", "a@[192.0.2.1]", "a@1.2.3.4", "a..b@c", "a\r\n@c", "é@c",
        "a@é.example", "<a@b>", "@us:a@b", "a@-b.example", "\"a@b",
    ])
    func refuses(_ address: String) {
        #expect(throws: MailboxError.self) { try Mailbox(address) }
    }

    @Test func dropsNeedlessQuotes() throws {
        #expect(try Mailbox("\"ab\"@EXAMPLE.org").address == "ab@example.org")
    }
}

@Suite struct RecipientTableTests {
    @Test(arguments: [1, 7, 1000]) func reads(_ piece: Int) {
        let csv = Array(
            "\u{FEFF}name,email\r\n\"O\"\"X, y\",a@x.example\nB,bad\nC,a@X.example\n".utf8)
        var table = RecipientTable()
        var events: [RecipientTable.Event] = []
        for start in stride(from: 0, to: csv.count, by: piece) {
            events += table.feed(csv[start..<min(csv.count, start + piece)])
        }
        events += table.finish()
        #expect(events.count == 4)
        #expect(events.first == .fields(["name"]))
        guard case .row(let row) = events[1], case .problem(let bad) = events[2],
            case .problem(let twice) = events[3]
        else {
            Issue.record("\(events)")
            return
        }
        #expect(text(row.values[0]) == "O\"X, y")
        #expect(
            row.place == .init(line: 2, column: 11)
                && row.valuePlaces == [.init(line: 2, column: 1)])
        #expect(bad.line == 3 && bad.column == 3)
        #expect(twice.line == 4 && twice.text.contains("line 2"))
    }
}

@Suite struct RowBatchTests {
    @Test func concatenates() throws {
        var batch = RowBatch()
        batch.append(recipient: 7, address: "a@x", values: [Array("v".utf8), []])
        batch.append(recipient: 9, body: RowBatch.body(address: "b@x", values: []))
        let rows = try RowBatch.rows(in: batch.bytes)
        #expect(rows.map(\.recipient) == [7, 9] && rows[0].values.map(Array.init) == [[0x76], []])
        for end in batch.bytes.indices.dropFirst() where end != 4 + 8 {
            _ = try? RowBatch.rows(in: Array(batch.bytes[..<end]))
        }
    }
}

@Suite struct BounceTokenTests {
    @Test func verifiesItsOwn() throws {
        let mint = try #require(TokenMint(keys: [Array(repeating: 7, count: 32)]))
        let token = mint.mint(mailing: 1, recipient: 2, expiryDay: 100)
        #expect(token.count == 32)
        #expect(mint.verify(text(token).uppercased(), today: 100)?.recipient == 2)
        #expect(mint.verify(token, today: 101) == nil)
        for index in token.indices {
            var forged = token
            forged[index] = forged[index] == 0x61 ? 0x62 : 0x61
            #expect(mint.verify(forged, today: 1) == nil)
        }
        #expect(mint.verify(localPart: TokenMint.localPart(token) + "+x", today: 1)?.mailing == 1)
    }
}

@Suite struct TemplateTests {
    @Test func rendersTextPart() throws {
        let source = "From: A <a@x.example>\nSubject: Hi {{name}}\n\nDear {{name}},\n.{{name}}\n"
        let template = try MessageTemplate.compile(
            source: Array(source.utf8), fields: ["name"], identity: identity)
        let row = RowBatch.Row(
            recipient: 1, address: Array("r@x.example".utf8)[...],
            values: [Array("Zoë\r\n.\r\nMAIL FROM:<x>".utf8)[...]])
        var out: [UInt8] = []
        try template.render(row, token: Array("abc".utf8), into: &out)
        let message = text(out)
        #expect(message.contains("\r\nSubject: =?utf-8?"))
        #expect(!message.contains("\r\n.\r\n"))
        #expect(message.contains("Dear=20Zo=C3=AB\r\n=2E\r\nMAIL FROM:<x>,\r\n"))
        #expect(message.contains("To: r@x.example\r\n"))
        #expect(message.hasSuffix("\r\n"))
    }
}

@Suite struct SMTPTests {
    @Test(arguments: [true, false]) func clientTalksToServer(_ pipelining: Bool) {
        let now = Moment(seconds: 0)
        var client = SMTPClient(helloName: "c.example", allowsPipelining: pipelining)
        var server = SMTPServer(.init(hostName: "s.example"))
        client.connected(at: now)
        var toClient = server.start()
        var taken: [String] = []
        var verdicts: [SMTPClient.Verdict] = []
        var toServer: [SMTPClient.Action] = []
        for id in 1...3 {
            toServer += client.enqueue(
                .init(id: UInt64(id), sender: "", recipients: ["r\(id)@x.example"]), at: now)
        }
        toServer += client.quit(at: now)
        while !toClient.isEmpty || !toServer.isEmpty {
            var bytes: [UInt8] = []
            for action in toServer {
                switch action {
                case .write(let octets): bytes += octets
                case .writeContent(let id): bytes += Array("Subject: \(id)\r\n\r\n..x\r\n".utf8)
                case .finished(_, let outcomes): verdicts += outcomes.map(\.verdict)
                case .close: break
                }
            }
            toServer = []
            for byte in bytes { toClient += server.receive([byte]) }
            let said = toClient
            toClient = []
            for action in said {
                switch action {
                case .write(let octets): toServer += client.receive(octets, at: now)
                case .checkSender, .checkRecipient: toClient += server.answer(SMTPReply(250, "ok"))
                case .accept(let message):
                    taken.append(text(message.content))
                    toClient += server.answer(SMTPReply(250, "ok"))
                case .close: break
                }
            }
        }
        #expect(verdicts == [.accepted, .accepted, .accepted])
        #expect(taken.count == 3 && taken.first == "Subject: 1\r\n\r\n.x\r\n")
        #expect(client.isClosed && server.isClosed)
    }
}
