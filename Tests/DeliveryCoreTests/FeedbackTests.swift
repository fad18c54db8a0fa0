import DeliveryCore
import TestSupport
import Testing

@Suite struct DeliveryStatusTests {
    private static func report(action: String, status: String, diagnostic: String) -> [UInt8] {
        Array(
            """
            From: MAILER-DAEMON@mx.example
            To: b-token@bounce.example
            Subject: Undelivered Mail Returned to Sender
            MIME-Version: 1.0
            Content-Type: multipart/report; report-type=delivery-status;
             boundary="b1"

            --b1
            Content-Type: text/plain

            Sorry.

            --b1
            Content-Type: message/delivery-status

            Reporting-MTA: dns; mx.example
            Arrival-Date: Mon, 23 Nov 2026 16:00:00 +0000

            Final-Recipient: rfc822; gone@mail.example
            Action: \(action)
            Status: \(status)
            Diagnostic-Code: smtp; \(diagnostic)

            --b1
            Content-Type: text/rfc822-headers

            Subject: hello

            --b1--
            """.replacing("\n", with: "\r\n").utf8)
    }

    @Test(arguments: [
        ("failed", "5.1.1", "550 5.1.1 no such user", DeliveryStatus.Bounce.Kind.addressGone),
        ("failed", "5.2.2", "552 5.2.2 mailbox full", .transient),
        ("failed", "4.4.7", "expired", .transient),
        ("failed", "5.7.1", "554 5.7.1 spam", .refusedByPolicy),
    ])
    func readsBounces(
        _ action: String, _ status: String, _ diagnostic: String, _ kind: DeliveryStatus.Bounce.Kind
    ) throws {
        let message = DeliveryStatusTests.report(
            action: action, status: status, diagnostic: diagnostic)
        guard case .bounce(let bounce) = DeliveryStatus.read(message) else {
            Issue.record("\(DeliveryStatus.read(message))")
            return
        }
        #expect(bounce.status == status)
        #expect(bounce.kind == kind)
        #expect(bounce.finalRecipient == "gone@mail.example")
        #expect(bounce.diagnostic.contains(diagnostic))
    }

    @Test(arguments: ["delivered", "relayed", "delayed", "expanded"])
    func progressIsNoBounce(_ action: String) {
        let message = DeliveryStatusTests.report(
            action: action, status: "2.0.0", diagnostic: "fine")
        if case .bounce = DeliveryStatus.read(message) {
            Issue.record("\(action) taken for a bounce")
        }
    }

    @Test func anAutomaticReplyIsNoBounce() {
        let text =
            "From: a@x.example\r\nAuto-Submitted: auto-replied\r\nSubject: away\r\n\r\nI am away.\r\n"
        #expect(DeliveryStatus.read(Array(text.utf8)) == .automaticReply)
    }

    @Test func survivesDamage() {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("delivery status"))
        let whole = DeliveryStatusTests.report(action: "failed", status: "5.1.1", diagnostic: "x")
        for _ in 0..<2_000 {
            var message = Array(whole.prefix(Int.random(in: 0...whole.count, using: &random)))
            for _ in 0..<Int.random(in: 0...10, using: &random) where !message.isEmpty {
                message[Int.random(in: 0..<message.count, using: &random)] = UInt8.random(
                    in: 0...255, using: &random)
            }
            _ = DeliveryStatus.read(message)
        }
    }
}

@Suite struct UnsubscribeRequestTests {
    private static let token = String(repeating: "a", count: TokenMint.length)

    private func route(_ method: String, _ path: String, _ body: String = "") -> UnsubscribeRequest
    {
        UnsubscribeRequest.route(method: method, path: path, body: Array(body.utf8), base: "/u/")
    }

    @Test func aGetNeverActs() {
        for body in ["", "List-Unsubscribe=One-Click", "confirm=yes"] {
            #expect(
                route("GET", "/u/" + UnsubscribeRequestTests.token, body)
                    == .showForm(token: UnsubscribeRequestTests.token))
        }
    }

    @Test func aPostActsWhenItMeansIt() {
        #expect(
            route("POST", "/u/" + UnsubscribeRequestTests.token, "List-Unsubscribe=One-Click")
                == .unsubscribe(token: UnsubscribeRequestTests.token, isOneClick: true))
        #expect(
            route("POST", "/u/" + UnsubscribeRequestTests.token, "confirm=yes")
                == .unsubscribe(token: UnsubscribeRequestTests.token, isOneClick: false))
        #expect(route("POST", "/u/" + UnsubscribeRequestTests.token, "") == .badRequest)
        #expect(route("POST", "/u/" + UnsubscribeRequestTests.token, "x=y") == .badRequest)
        #expect(
            route("POST", "/other/" + UnsubscribeRequestTests.token, "List-Unsubscribe=One-Click")
                == .notFound)
        #expect(route("POST", "/u/", "List-Unsubscribe=One-Click") == .notFound)
        #expect(route("POST", "/u/short", "List-Unsubscribe=One-Click") == .notFound)
        #expect(route("DELETE", "/u/" + UnsubscribeRequestTests.token) == .methodNotAllowed)
    }
}
