import Foundation
import TestSupport

/// A farm for the sink to answer to: a control node for the names, and a mail exchanger and web servers made
/// of Python's libraries.
struct SinkWorld {
    private let node: ControlNodeFixture
    private let mailPort: UInt16
    private let webPort: UInt16
    private let sinkPort: UInt16

    init() throws {
        node = try ControlNodeFixture()
        mailPort = try Product.freePort(on: "127.0.1.3")
        webPort = try Product.freePort(on: "127.0.1.1")
        sinkPort = try Product.freePort()
        // mx1 is down: nobody listens at 127.0.1.1.
        try node.directory.write(
            "static.zone",
            ControlNodeFixture.zone + """
                bounce 1 IN MX 10 mx1
                bounce 1 IN MX 10 mx2
                mx1 1 IN A 127.0.1.1
                mx2 1 IN A 127.0.1.3

                """)
    }

    func startNode() async throws -> Daemon { try await node.start() }

    func startSink(_ options: [String]) async throws -> Daemon {
        let sink = try Daemon(
            "sink",
            [
                Product.smurf, "sink", "--listen", "127.0.0.1:\(sinkPort)", "--dns",
                "127.0.0.1:\(node.dnsPort)", "--mx-port", "\(mailPort)", "--web-port",
                "\(webPort)", "--report", node.directory.file("report.json"),
            ] + options, directory: node.directory)
        let probe =
            "import socket,sys; socket.create_connection(('127.0.0.1', int(sys.argv[1]))).close()"
        try await sink.ready {
            try await run(["python3", "-c", probe, "\(sinkPort)"]).status == 0
        }
        return sink
    }

    func startPeer() async throws -> Daemon {
        let script = try node.directory.write("peer.py", SinkWorld.peer)
        let peer = try Daemon(
            "peer",
            ["python3", script, "\(mailPort)", "\(webPort)", node.directory.file("seen.json")],
            directory: node.directory)
        try await peer.ready { peer.log.contains("ready") }
        return peer
    }

    /// Sends one message to each of `count` recipients, with tokens of their own.
    func send(_ count: Int) async throws {
        let script = try node.directory.write("send.py", SinkWorld.sender)
        let sent = try await run(["python3", script, "\(sinkPort)", "\(count)"])
        guard sent.status == 0 else { throw Failure("cannot send: \(sent.errors)") }
    }

    func data(_ name: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: node.directory.file(name)))
    }

    private static let sender = """
        import smtplib, sys
        with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as server:
            for number in range(int(sys.argv[2])):
                token = f'token{number:027d}'
                server.sendmail(f'b-{token}@bounce.smurf.example.test', [f'user{number}@mail.example'],
                    f'From: News <news@example.test>\\r\\nTo: user{number}@mail.example\\r\\n'
                    f'Subject: Caf\\u00e9\\r\\nMessage-ID: <{token}@smurf.example.test>\\r\\n'
                    'Date: Mon, 23 Nov 2026 10:00:00 +0000\\r\\nMIME-Version: 1.0\\r\\n'
                    f'List-Unsubscribe: <mailto:u@x.example>,\\r\\n <http://web.smurf.example.test/u/{token}>\\r\\n'
                    'List-Unsubscribe-Post: List-Unsubscribe=One-Click\\r\\n\\r\\n'
                    'A body that is not returned.\\r\\n'.encode())
        """

    /// A mail exchanger that refuses every fifth recipient for now and some for good, ends connections after
    /// seven messages and reads notifications with the email package; web servers that are busy at every
    /// third POST.
    private static let peer = """
        import email, email.policy, http.server, itertools, json, signal, socketserver, sys, threading
        bounced, unsubscribed, faults, visits = [], [], [], []
        lock, turns = threading.Lock(), itertools.count(1)

        def check(condition, what):
            if not condition: faults.append(str(what))

        def take(sender, recipient, content):
            report = email.message_from_bytes(content, policy=email.policy.default)
            check(sender == '<>', 'sender ' + sender)
            check(report.get_content_type() == 'multipart/report', report.get_content_type())
            check(report.get_param('report-type') == 'delivery-status', 'report-type')
            check(not report.defects, report.defects)
            text, status, header = report.iter_parts()
            check(status.get_content_type() == 'message/delivery-status', status.get_content_type())
            check(header.get_content_type() == 'text/rfc822-headers', header.get_content_type())
            about, person = status.get_payload()
            check(about['Reporting-MTA'] == 'dns; sink.example', about)
            check(person['Action'] == 'failed' and person['Status'].startswith('5.'), person)
            address = person['Final-Recipient'].split(';')[1].strip()
            original = email.message_from_bytes(header.get_payload(decode=True))
            token = recipient.split('-')[1].split('@')[0]
            check(original['Message-ID'] == '<' + token + '@smurf.example.test>', original['Message-ID'])
            check(original['To'] == address and address == 'user%d@mail.example' % int(token[5:]), address)
            check('not returned' not in str(original), 'body')
            bounced.append(address)

        class Mail(socketserver.StreamRequestHandler):
            def say(self, text): self.wfile.write(text.encode() + b'\\r\\n')
            def handle(self):
                self.say('220 mx.example')
                sender = recipient = None
                messages = 0
                while line := self.rfile.readline().decode().strip():
                    word = line.upper()
                    if word.startswith('EHLO'): self.say('250-mx.example'); self.say('250-PIPELINING'); self.say('250 8BITMIME')
                    elif word.startswith('MAIL'): sender = line.split(':')[1].split()[0]; self.say('250 ok')
                    elif word.startswith('RCPT'):
                        recipient = None
                        if '3@bounce' in line: self.say('550 5.1.1 token too old')
                        elif next(turns) % 5 == 0: self.say('451 4.3.0 later')
                        else: recipient = line.split('<')[1].split('>')[0]; self.say('250 ok')
                    elif word == 'DATA':
                        if not recipient: self.say('503 no recipient'); continue
                        self.say('354 go on')
                        lines = []
                        while (line := self.rfile.readline()) != b'.\\r\\n':
                            lines.append(line[1:] if line.startswith(b'.') else line)
                        with lock:
                            try: take(sender, recipient, b''.join(lines))
                            except Exception as error: faults.append(repr(error))
                        messages += 1
                        self.say('250 taken')
                        if messages == 7: return
                    elif word == 'RSET': self.say('250 ok')
                    elif word == 'QUIT': self.say('221 bye'); return
                    else: self.say('500 what?')

        class Web(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            def reply(self, status, text=b'', **fields):
                self.send_response(status)
                self.send_header('Content-Length', str(len(text)))
                for name, value in fields.items(): self.send_header(name.replace('_', '-'), value)
                self.end_headers()
                self.wfile.write(text)
            def token(self):
                check(self.headers['Host'] == 'web.smurf.example.test', self.headers['Host'])
                check(self.path.startswith('/u/token'), self.path)
                return int(self.path[8:])
            def do_GET(self):
                with lock: visits.append(self.token())
                self.reply(200, b'<form>')
            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                with lock:
                    if next(turns) % 3 == 0: return self.reply(503, Retry_After='1')
                    check(body == b'List-Unsubscribe=One-Click', body)
                    check(self.headers['Content-Type'] == 'application/x-www-form-urlencoded', 'type')
                    unsubscribed.append('user%d@mail.example' % self.token())
                self.reply(200)
            def log_message(self, *words): pass

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        socketserver.ThreadingTCPServer.daemon_threads = True
        servers = [socketserver.ThreadingTCPServer(('127.0.1.3', int(sys.argv[1])), Mail)]
        servers += [http.server.ThreadingHTTPServer((f'127.0.1.{host}', int(sys.argv[2])), Web) for host in (1, 2, 3)]
        for server in servers: threading.Thread(target=server.serve_forever, daemon=True).start()

        def end(*_):
            with lock, open(sys.argv[3], 'w') as file:
                json.dump(dict(bounced=sorted(set(bounced)), unsubscribed=sorted(set(unsubscribed)),
                    visits=len(visits), faults=faults), file)
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        # The test's threads block signals, and a new process inherits that.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        print('ready', flush=True)
        while True: signal.pause()
        """
}
