import Foundation
import TestSupport
import Testing

/// DNS over TLS by the clients of others: answers, transfers, and who is let in.
@Suite(.serialized) struct TLSTests {
    private func kdig(_ port: UInt16, _ words: String...) async throws -> Finished {
        try await kdig(port, words)
    }

    private func kdig(_ port: UInt16, _ words: [String]) async throws -> Finished {
        try await run(["kdig", "@127.0.0.1", "-p", "\(port)", "+time=3", "+retry=0"] + words)
    }

    @Test(.timeLimit(.minutes(3))) func clientsAreAnsweredOverTLS() async throws {
        let farm = try ControlNodeFixture()
        let port = try Product.freePort()
        try await SelfSigned.certificate(
            "dns", for: "ns1.smurf.example.test", in: farm.directory)
        let node = try await farm.start([
            "--dns-tls": "127.0.0.1:\(port)", "--dns-tls-cert": farm.directory.file("dns.pem"),
            "--dns-tls-key": farm.directory.file("dns.key"), "--secondary": "127.0.0.1",
        ])
        defer { node.signal(SIGKILL) }
        let trusted = ["+tls-ca=" + farm.directory.file("dns.pem")]
        let good = try await kdig(
            port, trusted[0], "+tls-hostname=ns1.smurf.example.test", "web.smurf.example.test")
        #expect(good.output.contains("status: NOERROR") && good.output.contains("(TLS1.3)"))
        let wrong = try await kdig(
            port, trusted[0], "+tls-hostname=other.example", "web.smurf.example.test")
        #expect(!wrong.output.contains("NOERROR"))
        #expect(node.log.contains("answering DNS over TLS on 127.0.0.1 port \(port)"))
        // kdig pads its own queries by default, and says how long the reply is.
        for (option, isPadded) in [("+padding", true), ("+nopadding", false)] {
            let reply = try await kdig(port, "+tls", option, "web.smurf.example.test")
            let length = reply.output.firstMatch(of: /Received (\d+) B/).flatMap { Int($0.1) }
            #expect(try #require(length) % 468 == 0 ? isPadded : !isPadded, "\(reply.output)")
        }
        // Many at once on one connection, and a transfer beside.
        let batch = try await kdig(
            port, ["+tls", "+keepopen"] + (0..<200).flatMap { _ in ["web.smurf.example.test"] })
        #expect(batch.output.components(separatedBy: "status: NOERROR").count == 201)
        let zone = try await kdig(port, "+tls", "+noall", "+answer", "smurf.example.test", "AXFR")
        let plain = try await kdig(
            farm.dnsPort, "+tcp", "+noall", "+answer", "smurf.example.test", "AXFR")
        #expect(zone.output.contains("SOA") && zone.output.contains("s01"))
        let records = [zone, plain].map {
            $0.output.split(separator: "\n").filter { !$0.hasPrefix(";") }
        }
        #expect(records[0] == records[1])
        let json = try await farm.smurf("dns", "stats", "--json")
        let counters = try #require(
            JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Int])
        let secure = counters.filter { $0.key.hasSuffix("transport=\"tls\"}") }
        #expect(secure.values.first ?? 0 >= 202, "\(json.output)")
        #expect(await node.stop() == 0)
    }

    /// What is no TLS, no DNS or asks for nothing is hung up on, and others are answered all the while.
    @Test(.timeLimit(.minutes(3))) func hostileClientsAreLeft() async throws {
        let farm = try ControlNodeFixture()
        let port = try Product.freePort()
        try await SelfSigned.certificate(
            "dns", for: "ns1.smurf.example.test", in: farm.directory)
        let node = try await farm.start([
            "--dns-tls": "127.0.0.1:\(port)", "--dns-tls-cert": farm.directory.file("dns.pem"),
            "--dns-tls-key": farm.directory.file("dns.key"),
        ])
        defer { node.signal(SIGKILL) }
        let script = """
            import os, socket, ssl, struct, sys
            port = int(sys.argv[1])
            context = ssl._create_unverified_context()
            def plain():
                s = socket.create_connection(("127.0.0.1", port)); s.settimeout(40); return s
            def secure():
                return context.wrap_socket(plain())
            held = [plain() for _ in range(30)]
            for size in (1, 100, 5000):
                s = plain(); s.sendall(os.urandom(size)); held.append(s)
            for bad in (b"\\0\\0", b"\\0\\1x", b"\\xff\\xff" + b"x" * 400):
                s = secure(); s.sendall(bad); assert s.recv(1) == b"", bad
            # Answers to a thousand queries that nobody reads at first.
            query = struct.pack("!6H", 7, 0, 1, 0, 0, 0) + b"\\3web\\5smurf\\7example\\4test\\0\\0\\1\\0\\1"
            s = secure()
            for _ in range(1000): s.sendall(struct.pack("!H", len(query)) + query)
            got = b""
            while got.count(query[12:]) < 1000: got += s.recv(65536)
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT); old.check_hostname = False
            old.verify_mode = ssl.CERT_NONE; old.maximum_version = ssl.TLSVersion.TLSv1_2
            try: old.wrap_socket(plain()); print("TLS 1.2 was taken")
            except (ssl.SSLError, ConnectionError): pass
            # Each of the first is hung up on at last.
            for s in held:
                try:
                    # An alert may come first; the end comes in any case, or the time is over.
                    while s.recv(4096): pass
                except ConnectionResetError: pass
            print("done")
            """
        let result = try await run([
            "python3", farm.directory.write("hostile.py", script), "\(port)",
        ])
        #expect(result.output == "done\n", "\(result.output)\(result.errors)")
        let after = try await kdig(port, "+tls", "web.smurf.example.test")
        #expect(after.output.contains("status: NOERROR"))
        #expect(await node.stop() == 0)
    }

    /// With --transfers-by-tls the zone does not leave in the clear; with client certificates it does not leave to
    /// strangers. BIND fetches it over TLS.
    @Test(.timeLimit(.minutes(3))) func theZoneLeavesOverTLSOnly() async throws {
        let farm = try ControlNodeFixture()
        let directory = farm.directory
        let (port, other) = (try Product.freePort(), try Product.freePort())
        try await SelfSigned.certificate(
            "dns", for: "ns1.smurf.example.test", in: directory)
        try await SelfSigned.certificate(
            "peer", for: "secondary.example.test", in: directory)
        try await SelfSigned.certificate(
            "stranger", for: "secondary.example.test", in: directory)
        let arguments =
            farm.arguments([
                "--dns-tls": "127.0.0.1:\(port)", "--dns-tls-cert": directory.file("dns.pem"),
                "--dns-tls-key": directory.file("dns.key"),
                "--dns-tls-clients": directory.file("peer.pem"),
                "--secondary": "127.0.0.1:\(other)",
            ]) + ["--transfers-by-tls"]
        let node = try Daemon("serve", arguments, directory: directory)
        defer { node.signal(SIGKILL) }
        try await node.ready { try await farm.members("web").count == 2 }
        let plain = try await kdig(farm.dnsPort, "+tcp", "smurf.example.test", "AXFR")
        #expect(!plain.output.contains("s01"))
        #expect((plain.output + plain.errors).contains("REFUSED"), "\(plain.output)\(plain.errors)")
        let stranger = try await kdig(
            port, "+tls", "+tls-certfile=" + directory.file("stranger.pem"),
            "+tls-keyfile=" + directory.file("stranger.key"), "smurf.example.test", "AXFR")
        #expect(!stranger.output.contains("s01"))
        let bind = try directory.write(
            "named.conf",
            """
            options {
              directory "\(directory.path)"; listen-on port \(other) { 127.0.0.1; };
              listen-on-v6 { none; }; pid-file none; session-keyfile none; recursion no;
              notify no; dnssec-validation no;
            };
            controls { };
            tls primary {
              ca-file "\(directory.file("dns.pem"))";
              remote-hostname "ns1.smurf.example.test";
              cert-file "\(directory.file("peer.pem"))"; key-file "\(directory.file("peer.key"))";
            };
            zone "smurf.example.test" {
              type secondary; file "bind.zone";
              primaries { 127.0.0.1 port \(port) tls primary; };
              allow-notify { 127.0.0.1; };
            };

            """)
        let secondary = try Daemon(
            "named", ["named", "-g", "-c", bind, "-n", "1"], directory: directory)
        defer { secondary.signal(SIGKILL) }
        try await eventually("BIND has the zone over TLS") {
            try await Dig.short("web.smurf.example.test", "A", at: "127.0.0.1", port: other).count
                == 2
        }
        #expect(await node.stop() == 0)
    }
}
