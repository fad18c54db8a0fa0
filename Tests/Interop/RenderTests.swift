import Foundation
import TestSupport
import Testing

/// Rendered messages against an independent renderer: Python's email package takes them apart and finds
/// what the template and the row say.
@Suite struct RenderTests {
    /// Text that templates meet: several scripts, and what breaks lines, headers, HTML and SMTP.
    private static let pieces = [
        "Ada", "Zoë", "Иван", "Μαρία", "山田", "عمر", "שלום", "देवी", "한국", "ไทย", "𝒳🎉", "O'Neill",
        "\"quoted\"", "a, b", "<b>", "&amp;", "=?utf-8?q?x?=", "=3D", "--harbour", ".", "..",
        "\r\n.\r\n",
        "\n", " ", "  ", "\t", "{{name}}", "%s", "\\", ";", ":", "(c)", "@", "x@y", "very",
        String(repeating: "long", count: 60), "end.", "=",
    ]

    private static func field(_ value: String) -> String {
        "\"" + value.replacingOccurrences(of: "\"", with: "\"\"") + "\""
    }

    @Test(.timeLimit(.minutes(2)))
    func agreesWithAnIndependentRenderer() async throws {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("rendering"))
        var table = "address,name,city,member,month\n"
        for row in 1...400 {
            let values = (0..<4).map { _ in
                (0..<Int.random(in: 0...4, using: &random))
                    .map { _ in RenderTests.pieces.randomElement(using: &random) ?? "" }
                    .joined(separator: Bool.random(using: &random) ? " " : "")
            }
            table +=
                "user\(row)@mail\(row % 7).example,"
                + values.map(RenderTests.field).joined(separator: ",") + "\n"
        }
        let directory = try TemporaryDirectory()
        let people = try directory.write("people.csv", table)
        let template = Product.root + "/Examples/letter.eml"
        let outbox = directory.file("outbox")
        let rendered = try await run([
            Product.smurf, "mailing", "render", template, people, "--into", outbox,
        ])
        #expect(rendered.status == 0, "\(rendered.errors)")
        let compared = try await run([
            "python3", Product.root + "/Tests/Interop/render.py", template, people, outbox,
        ])
        #expect(compared.status == 0, "\(compared.output)\(compared.errors)")
        #expect(compared.output == "400 equal\n")
    }
}
