import DeliveryCore
import Farm
import Foundation
import Logging
import NIOPosix
import Sink
import TestSupport
import Testing

@testable import Delivery

/// The listeners of a smurf, met by Python's own SMTP and HTTP clients.
@Suite(.serialized) struct ListenerTests {
    private static let key = [UInt8](repeating: 7, count: 32)
    private static let loopback = IPAddress.v4(0x7F00_0001)
    private let directory: TemporaryDirectory
    private let spool: FeedbackSpool
    private let counters = AgentCounters()
    private let group = MultiThreadedEventLoopGroup.singleton
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    init() throws {
        directory = try TemporaryDirectory()
        spool = try FeedbackSpool(directory: directory.path)
    }

    private func token(_ recipient: UInt32, key: [UInt8] = Self.key, days: Int = 30) throws
        -> String
    {
        let today = Int(Date().timeIntervalSince1970 / 86_400)
        let mint = try #require(TokenMint(keys: [key]))
        return String(
            decoding: mint.mint(
                mailing: 3, recipient: recipient, expiryDay: UInt16(clamping: today + days)),
            as: UTF8.self)
    }

    private func python(_ script: String, _ arguments: String...) async throws -> [String] {
        let result = try await run(["python3", "-c", script] + arguments)
        #expect(result.status == 0, "\(result.errors)")
        return result.output.split(separator: "\n").map(String.init)
    }

    // MARK: smtp-in

    private func bounces() async throws -> (BounceListener, Int) {
        let desk = BounceDesk(
            zone: "smurf.example.test", bounceDomain: "bounce.smurf.example.test",
            hostName: "s01.smurf.example.test", spool: spool,
            people: PostmasterMail(directory: directory.path), counters: counters,
            keys: { [Self.key] })
        let listener = BounceListener(listen: [(Self.loopback, 0)], desk: desk, group: group)
        try await listener.start()
        return (listener, try #require(listener.ports.first))
    }

    private static let mailer = """
        import smtplib, sys
        def answer(port, recipient, message):
            with smtplib.SMTP("127.0.0.1", int(port), timeout=20) as s:
                s.helo("there.example.org")
                s.mail("")
                code, text = s.rcpt(recipient)
                if code != 250: return f"{code} {text.decode()}"
                code, text = s.data(message)
                return f"{code} {text.decode()}"
        status = '''Content-Type: multipart/report; report-type=delivery-status; boundary=b

        --b
        Content-Type: text/plain

        sorry
        --b
        Content-Type: message/delivery-status

        Reporting-MTA: dns; mx.example.net

        Final-Recipient: rfc822; nobody@example.net
        Action: %s
        Status: %s
        Diagnostic-Code: smtp; 550 no such user

        --b--
        '''.replace("\\n        ", "\\n")

        """

    @Test func takesBouncesForValidTokensAndRelaysNothing() async throws {
        let (listener, port) = try await bounces()
        let script =
            Self.mailer + """
                port, good, forged, old = sys.argv[1:]
                at = "@bounce.smurf.example.test"
                print(answer(port, "b-" + good + at, status % ("failed", "5.1.1")))
                print(answer(port, "b-" + good + at, status % ("delayed", "4.4.1")))
                print(answer(port, "b-" + good + at, "Subject: away\\n\\nI am on holiday.\\n"))
                print(answer(port, "b-" + forged + at, status % ("failed", "5.1.1")))
                print(answer(port, "b-" + old + at, status % ("failed", "5.1.1")))
                print(answer(port, "somebody" + at, "x"))
                print(answer(port, "somebody@elsewhere.example.org", "x"))
                print(answer(port, "Postmaster" + at, "Subject: hello\\n\\n.dot\\n"))
                """
        let other = [UInt8](repeating: 8, count: 32)
        let said = try await python(
            script, "\(port)", token(41), token(42, key: other), token(43, days: -1))
        #expect(
            said.map { $0.prefix(9) } == [
                "250 2.0.0", "250 2.0.0", "250 2.0.0", "550 5.1.1", "550 5.1.1", "550 5.1.1",
                "550 5.7.1", "250 2.0.0",
            ])
        let items = spool.pending(limit: 10).map(\.feedback)
        #expect(items.count == 1)
        #expect(items.first?.kind == .bounce && items.first?.mailing == 3)
        #expect(items.first?.recipient == 41 && items.first?.status == "5.1.1")
        // Whatever comes for an envelope sender of ours is the role's work.
        #expect(counters.values.bounces == 3 && counters.values.unsubscribes == 0)
        let kept = try FileManager.default.contentsOfDirectory(
            atPath: directory.file("postmaster/new"))
        #expect(kept.count == 1)
        let mail = try String(
            contentsOfFile: directory.file("postmaster/new/" + (kept.first ?? "")), encoding: .utf8)
        #expect(mail.contains("\r\n.dot\r\n"))
        await listener.stop(grace: .seconds(5))
    }

    @Test func refusesForNowWhatItCannotKeep() async throws {
        let (listener, port) = try await bounces()
        try FileManager.default.removeItem(atPath: directory.path)
        let said = try await python(
            Self.mailer + """
                print(answer(sys.argv[1], "b-" + sys.argv[2] + "@bounce.smurf.example.test",
                    status % ("failed", "5.1.1")))
                """, "\(port)", token(1))
        #expect(said.first?.hasPrefix("452") == true, "\(said)")
        await listener.stop(grace: .seconds(5))
    }

    /// While it closes, a transaction that has begun is ended and a connection that has none gets 421.
    @Test func saysGoodbyeWhenItsRoleEnds() async throws {
        let (listener, port) = try await bounces()
        let script =
            Self.mailer + """
                busy = smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=150)
                idle = smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=150)
                busy.helo("x"); idle.helo("x")
                busy.mail(""); busy.rcpt("b-" + sys.argv[2] + "@bounce.smurf.example.test")
                print("ready", flush=True)
                sys.stdin.readline()
                print(idle.getreply()[0], busy.data(status % ("failed", "5.1.1"))[0])
                print(busy.getreply()[0])
                """
        let daemon = Process()
        daemon.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        daemon.arguments = ["python3", "-c", script, "\(port)", try token(5)]
        let (input, output) = (Pipe(), Pipe())
        daemon.standardInput = input
        daemon.standardOutput = output
        try daemon.run()
        // A pipe may give a line in pieces.
        var text = ""
        while !text.contains("\n") {
            let piece = output.fileHandleForReading.availableData
            if piece.isEmpty { break }
            text += String(decoding: piece, as: UTF8.self)
        }
        #expect(text == "ready\n")
        async let stopped: Void = listener.stop(grace: .seconds(120))
        try await Task.sleep(for: .milliseconds(300))
        try input.fileHandleForWriting.write(contentsOf: Data("go\n".utf8))
        text = String(
            decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        daemon.waitUntilExit()
        await stopped
        #expect(text == "421 250\n421\n")
        #expect(spool.backlog == 1)
    }

    /// Beyond the limit a client is told so and let go, and the others go on.
    @Test func tooManyConnectionsOfOneClientAreToldSo() async throws {
        let (listener, port) = try await bounces()
        let script = """
            import smtplib, sys
            port = int(sys.argv[1])
            open = [smtplib.SMTP("127.0.0.1", port, timeout=20) for _ in range(50)]
            for _ in range(3):
                try: smtplib.SMTP("127.0.0.1", port, timeout=20)
                except smtplib.SMTPConnectError as e: print(e.smtp_code)
            print(open[0].helo("x")[0])
            for s in open: s.close()
            """
        #expect(try await python(script, "\(port)") == ["421", "421", "421", "250"])
        try await eventually("all have gone") { listener.activity.connections == 0 }
        await listener.stop(grace: .seconds(5))
    }

    // MARK: web

    private func web() async throws -> (UnsubscribeListener, Int) {
        let desk = UnsubscribeDesk(
            base: "/u/", spool: spool, counters: AgentCounters(), keys: { [Self.key] })
        let listener = UnsubscribeListener(
            UnsubscribeListener.Configuration(listen: [(Self.loopback, 0)]), desk: desk,
            group: group, logger: logger)
        try await listener.start()
        return (listener, try #require(listener.ports.first))
    }

    private static let browser = """
        import urllib.request, urllib.error, sys
        def ask(method, path, body=None, type="application/x-www-form-urlencoded"):
            request = urllib.request.Request("http://127.0.0.1:" + sys.argv[1] + path, data=body,
                method=method, headers={"Content-Type": type})
            try:
                with urllib.request.urlopen(request, timeout=20) as r: return r.status, r.read().decode()
            except urllib.error.HTTPError as e: return e.code, e.read().decode()

        """

    @Test func onlyAPostUnsubscribes() async throws {
        let (listener, port) = try await web()
        let good = try token(77)
        let look = """
            link = "/u/" + sys.argv[2]
            status, page = ask("GET", link)
            print(status, "<form" in page, "One-Click" in page)
            print(ask("HEAD", link)[0], ask("GET", link + "?x=1")[0], ask("GET", "/u/short")[0])
            print(ask("PUT", link, b"x")[0], ask("POST", link, b"something=else")[0])
            print(ask("POST", link, b"List-Unsubscribe=One-Click&x=" + b"y" * 20000)[0])
            print(ask("POST", "/u/" + sys.argv[3], b"List-Unsubscribe=One-Click")[0])
            """
        let forged = try token(77, key: [UInt8](repeating: 9, count: 32))
        let said = try await python(Self.browser + look, "\(port)", good, forged)
        #expect(said == ["200 True True", "200 200 404", "405 400", "413", "404"])
        #expect(spool.backlog == 0)

        let click = """
            status, page = ask("POST", "/u/" + sys.argv[2], b"List-Unsubscribe=One-Click")
            print(status, "<form" in page)
            """
        for _ in 0..<2 {
            let said = try await python(Self.browser + click, "\(port)", good)
            #expect(said == ["200 False"])
        }
        let items = spool.pending(limit: 10).map(\.feedback)
        #expect(items.map(\.recipient) == [77, 77])
        #expect(items.allSatisfy { $0.kind == .unsubscribe && $0.mailing == 3 })
        await listener.stop(grace: .seconds(5))
    }

    @Test func doesNotSayYesToWhatItCannotKeep() async throws {
        let (listener, port) = try await web()
        try FileManager.default.removeItem(atPath: directory.path)
        let click = """
            print(ask("POST", "/u/" + sys.argv[2], b"List-Unsubscribe=One-Click")[0])
            """
        #expect(try await python(Self.browser + click, "\(port)", token(1)) == ["503"])
        await listener.stop(grace: .seconds(5))
    }

    @Test func aPortThatIsTakenIsNamed() async throws {
        let (first, port) = try await bounces()
        let desk = BounceDesk(
            zone: "z", bounceDomain: "b.z", hostName: "s.z", spool: spool,
            people: PostmasterMail(directory: directory.path), counters: AgentCounters(),
            keys: { [] })
        let second = BounceListener(
            listen: [(Self.loopback, UInt16(port))], desk: desk, group: group)
        let error = await #expect(throws: ListenerError.self) { try await second.start() }
        #expect(error?.description.contains("127.0.0.1 port \(port)") == true)
        let web = UnsubscribeListener(
            UnsubscribeListener.Configuration(listen: [(Self.loopback, UInt16(port))]),
            desk: UnsubscribeDesk(
                base: "/u/", spool: spool, counters: AgentCounters(), keys: { [] }),
            group: group, logger: logger)
        await #expect(throws: ListenerError.self) { try await web.start() }
        await first.stop(grace: .zero)
    }
}
