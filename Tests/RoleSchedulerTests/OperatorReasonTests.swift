import Foundation
import RoleScheduler
import TestSupport
import Testing

/// Reasons land in a history that people read on terminals.
@Suite struct OperatorReasonTests {
    static let bad = [
        "", "  ", "\u{A0}", "new\ndisk", "new\rdisk", "\u{1B}[31mred", "a\u{7F}", "a\u{9B}31m",
        "a\tb",
        "a\u{2028}b", String(repeating: "x", count: 501),
    ]

    @Test(arguments: bad) func whatIsNotOneLineIsRefused(_ text: String) {
        #expect(throws: OverrideError.self) { try OperatorReason(text) }
    }

    @Test(arguments: ["new disk", "press release, 50 %", "\u{1F427} \u{65e5}\u{672c}"])
    func oneLineOfTextIsTaken(_ text: String) throws {
        #expect(try OperatorReason(text).text == text)
    }

    /// Nothing is asked of a control node: there is none.
    @Test func theCommandsRefuseItBeforeTheyAsk() async throws {
        let none = ["--control", "/nowhere/control.sock"]
        for reason in ["", "two\nlines", "\u{1B}[2J"] {
            for words in [["hold", "s01"], ["move", "s01", "web"], ["release", "s01"]] {
                let result = try await run([Product.smurf] + words + ["--reason", reason] + none)
                #expect(result.status == 2, "\(words): \(result.errors)")
                #expect(result.errors.hasPrefix("smurf: --reason: the reason "), "\(result.errors)")
            }
        }
    }

    /// Two mistakes on the command line that were taken without a word.
    @Test func mailingsWithoutAGoodRowSayWhyAndServersHaveWorkers() async throws {
        let directory = try TemporaryDirectory()
        let template = try directory.write(
            "t.eml", "From: l@s.test\nTo: {{address}}\nSubject: x\n\nHello\n")
        let table = try directory.write("bad.csv", "address\nnobody\n")
        let rendered = try await run([Product.smurf, "mailing", "render", template, table])
        #expect(rendered.status == 2)
        #expect(rendered.errors.contains("bad.csv:2:1: error:"), "\(rendered.errors)")
        let linked = try await run([
            Product.smurf, "mailing", "check", template, table, "--unsubscribe-base", "ftp://x/",
        ])
        #expect(linked.status == 2)
        #expect(linked.errors.hasPrefix("smurf: --unsubscribe-base 'ftp://x/'"), "\(linked.errors)")
        for workers in ["0", "-1", "65"] {
            let served = try await run([
                Product.smurf, "serve", "--policy", "p.yml", "--zone", "z", "--workers=\(workers)",
            ])
            #expect(served.status == 64, "\(served.errors)")
            #expect(served.errors.contains("from 1 to 64"), "\(served.errors)")
        }
    }
}
