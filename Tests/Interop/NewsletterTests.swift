import Foundation
import TestSupport
import Testing

/// The example newsletter is what the farm is measured with: real text of the size that people send, with
/// merge points in every part, for the recipients that `smurf example` prints.
@Suite struct NewsletterTests {
    /// Reads every message with Python's email package.
    private static let reader = """
        import email, email.policy, glob, sys
        files = glob.glob(sys.argv[1] + '/*.eml')
        for path in files:
            with open(path, 'rb') as file: octets = file.read()
            message = email.message_from_bytes(octets, policy=email.policy.default)
            parts = list(message.walk())
            assert not any(part.defects for part in parts), path
            types = [part.get_content_type() for part in parts]
            assert types == ['multipart/alternative', 'text/plain', 'multipart/related', 'text/html', 'image/png'], types
            for part in (parts[1], parts[3]):
                text = part.get_content()
                assert '{{' not in text and '}}' not in text, path
                assert len(text) > 15000 and 'Mrs. Aalto' in text, path
                assert message['List-Unsubscribe'][1:-1] in text, path
            assert parts[4].get_payload(decode=True).startswith(b'\\x89PNG'), path
            assert len(octets) >= 40000, (path, len(octets))
        print(len(files), 'read')
        """

    @Test(.timeLimit(.minutes(2)))
    func everyRecipientGetsALetterOfFortyKilobytes() async throws {
        let directory = try TemporaryDirectory()
        let template = Product.root + "/Examples/newsletter.eml"
        let table = try await run([
            Product.smurf, "example", "recipients", "--count", "500", "--seed", "9",
        ])
        let people = try directory.write("people.csv", table.output)
        let checked = try await run([Product.smurf, "mailing", "check", template, people])
        #expect(checked.status == 0)
        #expect(checked.output.hasPrefix("500 rows render, 0 do not"))
        #expect(checked.errors == "", "no warnings")
        let outbox = directory.file("outbox")
        let rendered = try await run([
            Product.smurf, "mailing", "render", template, people, "--into", outbox,
        ])
        #expect(rendered.status == 0, "\(rendered.errors)")
        let script = try directory.write("read.py", NewsletterTests.reader)
        let read = try await run(["python3", script, outbox])
        #expect(read.output == "500 read\n", "\(read.errors)")
        let compared = try await run([
            "python3", Product.root + "/Tests/Interop/render.py", template, people, outbox,
        ])
        #expect(compared.output == "500 equal\n", "\(compared.output)\(compared.errors)")
    }

    @Test func itHasManyMergePoints() throws {
        let text = try String(
            contentsOfFile: Product.root + "/Examples/newsletter.eml", encoding: .utf8)
        let points = text.matches(of: /\{\{[^}]*\}\}/).map { String($0.output) }
            .filter { !$0.hasPrefix("{{/") }
        #expect(Set(points).count >= 20, "\(Set(points).count) different ones")
        #expect(points.contains { $0.hasPrefix("{{#") } && points.contains { $0.hasPrefix("{{^") })
        #expect(points.contains { $0.contains("|") } && points.contains { $0.contains("url:") })
    }

    @Test func theSmallTableFitsBothTemplates() async throws {
        for template in ["letter", "newsletter"] {
            let checked = try await run([
                Product.smurf, "mailing", "check", Product.root + "/Examples/\(template).eml",
                Product.root + "/Examples/recipients-small.csv",
            ])
            #expect(checked.status == 0 && checked.errors == "", "\(checked.errors)")
        }
    }
}
