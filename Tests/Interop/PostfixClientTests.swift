import Foundation
import TestSupport
import Testing

extension InteropTests {
    /// A mail host whose `relayhost` is the role's name: it resolves the name at our server and hands
    /// its mail to whichever smurf serves.
    @Suite(
        .serialized,
        .enabled(if: geteuid() == 0 && PostfixServer.isHere, "needs root and Postfix"))
    struct PostfixClientTests {
        @Test(.timeLimit(.minutes(3)))
        func mailPassesThroughTheRoleAndOthersAreRefused() async throws {
            let mails = 20
            var settings = FarmFixture.Settings()
            settings.allow = ["127.0.2.0/24"]
            settings.nameServer = "127.0.54.12"
            settings.network = 12
            settings.keepsMail = true
            let farm = try FarmFixture(settings)
            try await farm.start()
            let postfix = try await PostfixServer(
                .init(
                    name: "client", listen: nil,
                    relayHost: "[smtp-out.\(FarmFixture.zone)]:\(farm.submissionPort)",
                    bindAddress: "127.0.2.7", nameServer: farm.dns.address,
                    further: ["smtp_destination_concurrency_limit = 2"]))
            for number in 1...mails {
                try await postfix.inject(
                    from: "author@client.example.test", to: "reader\(number)@inbox.example.net",
                    message: """
                        From: author@client.example.test
                        To: reader\(number)@inbox.example.net
                        Subject: letter \(number)

                        Body of letter \(number).
                        .
                        ..two dots
                        """)
            }
            try await eventually("the client's queue is empty") {
                try await postfix.queue().isEmpty
            }
            let sent = postfix.log.components(separatedBy: "status=sent").count - 1
            #expect(sent == mails, "\(postfix.log.suffix(3000))")

            // A host outside of the allowed networks gets a permanent no and nothing arrives.
            let stranger = try await Submission.attempt(
                from: "127.0.3.9", to: farm.address(1), port: farm.submissionPort,
                recipient: "stranger@inbox.example.net")
            #expect(stranger.hasPrefix("55"), "\(stranger)")

            await postfix.stop()
            let report = try await farm.stop()
            #expect(report.accepted == mails)
            let kept = try KeptMail.read(farm.mailDirectory)
            #expect(
                Set(kept.map(\.recipient))
                    == Set((1...mails).map { "reader\($0)@inbox.example.net" }))
            for mail in kept {
                #expect(mail.text.contains("\r\n.\r\n..two dots"), "\(mail.text)")
            }
        }
    }
}

/// One try at a submission listener from a chosen source address, by Python's SMTP library.
enum Submission {
    /// - Returns: the first reply that is not a yes, or "accepted".
    static func attempt(
        from source: String, to address: String, port: UInt16, recipient: String
    ) async throws -> String {
        let script = """
            import smtplib, sys
            source, host, port, recipient = sys.argv[1:]
            try:
                with smtplib.SMTP(host, int(port), source_address=(source, 0), timeout=20) as s:
                    s.sendmail("someone@elsewhere.example.org", [recipient], "Subject: x\\n\\nx\\n")
                print("accepted")
            except smtplib.SMTPRecipientsRefused as e:
                print(list(e.recipients.values())[0][0])
            except smtplib.SMTPResponseException as e:
                print(e.smtp_code, e.smtp_error.decode())
            """
        let result = try await run(["python3", "-c", script, source, address, "\(port)", recipient])
        guard result.status == 0 else { throw Failure(result.errors) }
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
