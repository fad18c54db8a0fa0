import DeliveryCore
import Farm
import Foundation
import Logging
import NIOPosix
import TestSupport
import Testing

@testable import Delivery

/// Clients that mean no good, over real sockets: octets as no mailer and no browser sends them.
@Suite(.serialized) struct HostileClientTests {
    private static let key = [UInt8](repeating: 7, count: 32)
    private let directory: TemporaryDirectory
    private let spool: FeedbackSpool

    init() throws {
        directory = try TemporaryDirectory()
        spool = try FeedbackSpool(directory: directory.path)
    }

    private func mailExchange() async throws -> (BounceListener, String) {
        let desk = BounceDesk(
            zone: "smurf.example.test", bounceDomain: "bounce.smurf.example.test",
            hostName: "s01.smurf.example.test", spool: spool,
            people: PostmasterMail(directory: directory.path), counters: AgentCounters(),
            keys: { [Self.key] })
        let listener = BounceListener(
            listen: [(.v4(0x7F00_0001), 0)], desk: desk,
            group: MultiThreadedEventLoopGroup.singleton
        )
        try await listener.start()
        return (listener, "\(try #require(listener.ports.first))")
    }

    private func web() async throws -> (UnsubscribeListener, String) {
        let desk = UnsubscribeDesk(
            base: "/u/", spool: spool, counters: AgentCounters(), keys: { [Self.key] })
        let listener = UnsubscribeListener(
            UnsubscribeListener.Configuration(listen: [(.v4(0x7F00_0001), 0)]), desk: desk,
            group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await listener.start()
        return (listener, "\(try #require(listener.ports.first))")
    }

    private func python(_ script: String, _ arguments: String...) async throws -> [String] {
        let result = try await run(["python3", "-c", Self.wire + script] + arguments)
        #expect(result.status == 0, "\(result.errors)")
        return result.output.split(separator: "\n").map(String.init)
    }

    /// `talk` says octets in pieces of any size and returns all that comes until the other end closes.
    private static let wire = """
        import random, socket, sys
        def talk(port, octets, piece=1 << 20, patience=20):
            with socket.create_connection(("127.0.0.1", int(port)), timeout=patience) as s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                heard = s.recv(4096) if octets[:4] in (b"EHLO", b"HELO") else b""
                try:
                    for at in range(0, len(octets), piece): s.sendall(octets[at:at + piece])
                    while True:
                        more = s.recv(65536)
                        if not more: break
                        heard += more
                except OSError: pass
                return heard

        """

    private var mail: Int {
        (try? FileManager.default.contentsOfDirectory(atPath: directory.file("postmaster/new")))?
            .count ?? 0
    }

    /// Every way to end a message that is not CRLF.CRLF, with a second message behind it: whoever takes one of
    /// them for an end lets strangers send in the name of those who relay through it.
    @Test(arguments: [
        "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\r\n\u{0}.\r\n", "\n\n.\n\n",
        "\r\r\n.\r\r\n",
    ])
    func nobodySmugglesASecondMessage(end: String) async throws {
        let (listener, port) = try await mailExchange()
        let script = """
            start = (b"EHLO x\\r\\nMAIL FROM:<>\\r\\nRCPT TO:<postmaster@smurf.example.test>\\r\\nDATA\\r\\n"
                b"Subject: one\\r\\n\\r\\nfirst")
            second = (b"MAIL FROM:<>\\r\\nRCPT TO:<abuse@smurf.example.test>\\r\\nDATA\\r\\n"
                b"Subject: two\\r\\n\\r\\nsecond\\r\\n.\\r\\nQUIT\\r\\n")
            end = bytes.fromhex(sys.argv[2])
            for piece in (1 << 20, 1, 7):
                heard = talk(sys.argv[1], start + end + second, piece).decode()
                lines = [l for l in heard.split("\\r\\n") if l]
                print(sum(l.startswith("354") for l in lines), lines[-2][:3], lines[-1][:3])
            """
        let hex = end.utf8.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        let said = try await python(script, port, hex)
        // One DATA, a refusal of the whole, and goodbye.
        #expect(said == [String](repeating: "1 550 221", count: 3))
        #expect(mail == 0)
        await listener.stop(grace: .zero)
    }

    /// Absurd sizes, endless lines, commands before the greeting: an answer or silence, and the next client is
    /// served as ever.
    @Test func absurdCommandsHurtNobody() async throws {
        let (listener, port) = try await mailExchange()
        let said = try await python(
            """
            port = sys.argv[1]
            hello = b"EHLO x\\r\\nMAIL FROM:<>\\r\\nRCPT TO:<postmaster@smurf.example.test>\\r\\n"
            for octets in (
                hello + b"BDAT 99999999999999999999 LAST\\r\\nQUIT\\r\\n",
                hello + b"BDAT -1\\r\\nQUIT\\r\\n",
                b"EHLO " + b"x" * 100000 + b"\\r\\nQUIT\\r\\n",
                b"EHLO x\\r\\nMAIL FROM:<> SIZE=99999999999999999999\\r\\nQUIT\\r\\n",
                b"EHLO x\\r\\n" + b"NOOP\\r\\n" * 5000 + b"QUIT\\r\\n",
                b"EHLO x\\r\\n" + b"FOO\\r\\n" * 5000,
                hello + b"RCPT TO:<postmaster@smurf.example.test>\\r\\n" * 2000 + b"QUIT\\r\\n",
            ):
                last = talk(port, octets).decode().split("\\r\\n")[-2]
                print(last[:3])
            seed = int(sys.argv[2])
            r = random.Random(seed)
            for _ in range(60):
                words = [b"EHLO x\\r\\n", b"MAIL FROM:<>\\r\\n", b"RCPT TO:<abuse@smurf.example.test>\\r\\n",
                    b"DATA\\r\\n", b"\\r\\n.\\r\\n", b"BDAT 5 LAST\\r\\n", b"RSET\\r\\n", r.randbytes(r.randrange(1, 300))]
                octets = b"EHLO y\\r\\n" + b"".join(r.choice(words) for _ in range(30)) + b"\\r\\nQUIT\\r\\n"
                try: talk(port, octets, r.choice([1, 5, 1000]), patience=0.5)
                except OSError: pass
            print(talk(port, b"EHLO x\\r\\nQUIT\\r\\n").decode().split("\\r\\n")[-2][:3])
            """, port, "\(SeededGenerator.announcedSeed("absurdCommands") % 1_000_000)")
        #expect(said == ["501", "501", "500", "221", "221", "421", "421", "221"], "\(said)")
        await listener.stop(grace: .zero)
    }

    @Test func oneConnectionCarriesManyKindsOfRequests() async throws {
        let (listener, port) = try await web()
        let today = UInt16(clamping: Int(Date().timeIntervalSince1970 / 86_400))
        let mint = try #require(TokenMint(keys: [Self.key]))
        let token = String(
            decoding: mint.mint(mailing: 3, recipient: 8, expiryDay: today + 9), as: UTF8.self)
        let said = try await python(
            """
            import http.client
            c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
            link = "/u/" + sys.argv[2]
            for method, body in (("HEAD", None), ("GET", None), ("HEAD", None), ("OPTIONS", None),
                    ("POST", "List-Unsubscribe=One-Click"), ("GET", None)):
                c.request(method, link, body, {"Content-Type": "application/x-www-form-urlencoded"})
                r = c.getresponse(); text = r.read()
                print(method, r.status, bool(text))
            """, port, token)
        #expect(
            said == [
                "HEAD 200 False", "GET 200 True", "HEAD 200 False", "OPTIONS 405 True",
                "POST 200 True", "GET 200 True",
            ])
        #expect(spool.backlog == 1)
        await listener.stop(grace: .zero)
    }

    @Test func absurdRequestsHurtNobody() async throws {
        let (listener, port) = try await web()
        let said = try await python(
            """
            port = sys.argv[1]
            head = b"POST /u/x HTTP/1.1\\r\\nHost: x\\r\\n"
            for octets in (
                b"GET /" + b"a" * 200000 + b" HTTP/1.1\\r\\n\\r\\n",
                b"GET / HTTP/1.1\\r\\nX: " + b"a" * 200000 + b"\\r\\n\\r\\n",
                b"GET / HTTP/1.1\\r\\n" + b"X: y\\r\\n" * 20000 + b"\\r\\n",
                head + b"Content-Length: 99999999999999999999999\\r\\n\\r\\n",
                head + b"Content-Length: -1\\r\\n\\r\\n",
                head + b"Content-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n",
                head + b"Transfer-Encoding: chunked\\r\\n\\r\\nffffffffffffffffff\\r\\n",
                b"\\x16\\x03\\x01\\x02\\x00\\x01\\x00\\x01\\xfc\\x03\\x03" + b"\\x00" * 64,
                b"GET /u/../../etc/passwd HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n",
            ):
                heard = talk(port, octets, patience=2)
                assert b" 200 " not in heard.split(b"\\r\\n")[0], heard
            r = random.Random(int(sys.argv[2]))
            for _ in range(40): talk(port, r.randbytes(r.randrange(1, 2000)), patience=0.3)
            last = talk(port, b"GET /u/x HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
            print(last.split(b"\\r\\n")[0].decode())
            """, port, "\(SeededGenerator.announcedSeed("absurdRequests") % 1_000_000)")
        #expect(said == ["HTTP/1.1 404 Not Found"])
        #expect(spool.backlog == 0)
        await listener.stop(grace: .zero)
    }
}
