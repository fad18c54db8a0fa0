import DeliveryCore
import Testing

/// What a template must not say, because it would go out as written or mean something else.
@Suite struct TemplateRefusalTests {
    private static func identity(_ base: String) -> MailingIdentity {
        MailingIdentity(
            name: "news", bounceDomain: "bounce.example", unsubscribeBase: base,
            date: 1_000_000_000, tokenExpiryDay: 30_000)
    }

    private func refusal(
        _ source: String, fields: [String] = ["name"], base: String = "https://web.example/u/"
    ) -> [TemplateError] {
        do throws(TemplateRefusal) {
            _ = try MessageTemplate.compile(
                source: Array(source.utf8), fields: fields, identity: Self.identity(base))
            return []
        } catch {
            return error.errors
        }
    }

    private static let head = "From: l@x.example\nSubject: Hi\n"

    private static func forwarded(_ encoding: String, _ inner: String) -> String {
        head + "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nHello {{name}}\n--b\n"
            + "Content-Type: message/rfc822\n" + encoding + "\n" + inner + "\n--b--\n"
    }

    @Test(arguments: [
        (forwarded("", "Subject: Dear {{name}}\n\nHello"), 11, 15),
        (forwarded("", "Subject: Dear\n\nHello {{name}}"), 13, 7),
        (forwarded("Content-Transfer-Encoding: 8bit\n", "Subject: x\n\nZo\u{eb} {{name}}"), 14, 5),
        (head + "Content-Type: message/rfc822\n\nSubject: x\n\n{{name}}\n", 7, 1),
        (head + "X-{{name}}: 1\n\nHello\n", 3, 3),
        (head + "{{name}}: 1\n\nHello\n", 3, 1),
        (
            head
                + "Content-Type: multipart/mixed; boundary=b\n\n--b\nX-{{name}}: 1\n\nHello\n--b--\n",
            6, 3
        ),
    ])
    func fieldsWhereNobodyFillsThemInAreErrors(_ source: String, _ line: Int, _ column: Int) {
        let errors = refusal(source)
        #expect(errors.count == 1, "\(errors)")
        #expect(errors.first?.line == line && errors.first?.column == column, "\(errors)")
    }

    @Test func aForwardedMessageWithoutFieldsIsFine() {
        #expect(refusal(Self.forwarded("", "Subject: x\n\nHello {name}")) == [])
    }

    @Test(arguments: ["unsubscribe", "mailing", "address"])
    func aColumnMustNotShadowWhatIsBuiltIn(_ name: String) {
        let used = Self.head + "\nHello {{name}} {{\(name)}}\n"
        let errors = refusal(used, fields: ["name", name])
        #expect(errors.count == 1 && errors.first?.line == 4 && errors.first?.column == 16)
        #expect(errors.first?.text.contains("rename the column") ?? false)
        let asked = refusal(Self.head + "\n{{#\(name)}}x{{/\(name)}}\n", fields: [name])
        #expect(asked.first?.line == 4 && asked.count == 1)
        #expect(refusal(Self.head + "\nHello {{name}}\n", fields: ["name", name]) == [])
        #expect(refusal(used) == [])
    }

    @Test(arguments: [
        "web.example/u/", "ftp://web.example/u/", "javascript:alert(1)", "mailto:u@web.example",
        "https:/web.example/u/", "https:///u/", "http://", "//web.example/u/",
    ])
    func anUnsubscribeBaseThatIsNoWebAddressIsAnError(_ base: String) {
        let errors = refusal(Self.head + "\nHello\n", base: base)
        #expect(errors.count == 1 && errors.first?.text.contains("https://") ?? false, "\(errors)")
        #expect(MailingIdentity.fault(inUnsubscribeBase: base) != nil)
    }

    @Test func plainHTTPIsWarnedOfAndHTTPSIsNot() throws {
        for (base, warnings) in [
            ("https://web.example/u/", 0), ("HTTPS://web.example/u/", 0),
            ("http://127.0.0.1:8080/u/", 1), ("", 0),
        ] {
            let template = try MessageTemplate.compile(
                source: Array((Self.head + "\nHello\n").utf8), fields: [],
                identity: Self.identity(base))
            #expect(template.warnings.count == warnings, "\(base): \(template.warnings)")
        }
    }
}
