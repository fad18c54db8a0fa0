import Foundation
import TestSupport
import Testing

/// The receiver of trials, as independent senders meet it: Postfix's smtp-source and Python's smtplib.
@Suite(.serialized) struct SinkTests {
    private struct Report: Decodable {
        struct Malformed: Decodable {
            let recipient: String
            let reason: String
        }
        let messages: Int
        let distinctRecipients: Int
        let duplicates: [String]
        let malformed: [Malformed]
    }

    private static let sender = """
        import smtplib, sys
        token = 'a' * 32
        with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as server:
            for number in (1, 2, 3, 4, 5, 6, 1):
                with open(f'{sys.argv[2]}/{number}.eml', 'rb') as file:
                    server.sendmail(f'b-{token}@bounce.smurf.example.test', [f'p{number}@mail.example'], file.read())
            broken = b'From: a@x.example\\r\\nContent-Type: multipart/mixed; boundary="q"\\r\\n\\r\\n--q\\r\\n\\r\\nx\\r\\n'
            server.sendmail('a@x.example', ['broken@mail.example'], broken)
        """

    @Test(.timeLimit(.minutes(2)))
    func countsWhatIndependentSendersSend() async throws {
        let directory = try TemporaryDirectory()
        let port = try Product.freePort()
        let report = directory.file("report.json")
        let sink = try Daemon(
            "sink", [Product.smurf, "sink", "--listen", "127.0.0.1:\(port)", "--report", report],
            directory: directory)
        let outbox = directory.file("outbox")
        let rendered = try await run([
            Product.smurf, "mailing", "render", Product.root + "/Examples/letter.eml",
            Product.root + "/Examples/people.csv", "--into", outbox,
        ])
        #expect(rendered.status == 0, "\(rendered.errors)")
        let script = try directory.write("send.py", SinkTests.sender)
        try await sink.ready {
            try await run(["smtp-source", "-m", "1", "127.0.0.1:\(port)"]).status == 0
        }
        let many = try await run([
            "smtp-source", "-d", "-s", "5", "-l", "40960", "-m", "199", "-t", "many@mail.example",
            "127.0.0.1:\(port)",
        ])
        #expect(many.status == 0, "\(many.errors)")
        let sent = try await run(["python3", script, "\(port)", outbox])
        #expect(sent.status == 0, "\(sent.errors)")
        #expect(await sink.stop() == 0)

        let data = try Data(contentsOf: URL(fileURLWithPath: report))
        let counted = try JSONDecoder().decode(Report.self, from: data)
        #expect(counted.messages == 1 + 199 + 7 + 1)
        #expect(counted.duplicates.filter { $0.hasPrefix("p1@mail.example ") }.count == 1)
        #expect(!counted.malformed.contains { $0.recipient.hasPrefix("p") })
        #expect(counted.malformed.contains { $0.recipient == "broken@mail.example" })
    }
}
