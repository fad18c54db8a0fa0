import Foundation
import TestSupport
import Testing

/// The commands that the README shows are typed as they stand there.
@Suite(.serialized) struct DocumentedCommandsTests {
    /// The README's `sh` blocks; the first builds and tests, which this very run does.
    static func blocks() throws -> [String] {
        let text = try String(contentsOfFile: Product.root + "/README.md", encoding: .utf8)
        return text.components(separatedBy: "```sh\n").dropFirst()
            .compactMap { $0.components(separatedBy: "```").first }
            .filter { !$0.hasPrefix("make ") }
    }

    /// The picture that README and guide show is what the program draws now.
    @Test(.timeLimit(.minutes(2)))
    func thePictureIsOfToday() async throws {
        let directory = try TemporaryDirectory()
        let script =
            "cd \(Product.root) && \(Product.smurf) policy simulate Examples/policies/seed-farm.yml "
            + "--svg \(directory.file("seed-farm.svg"))"
        let drawn = try await run(["bash", "-c", script])
        #expect(drawn.status == 0, "\(drawn.errors)")
        let shown = Product.root + "/docs/guides/seed-farm.svg"
        let isSame =
            FileManager.default.contents(atPath: shown)
            == FileManager.default.contents(atPath: directory.file("seed-farm.svg"))
        #expect(isSame, "make it anew: smurf policy simulate … --svg docs/guides/seed-farm.svg")
    }

    /// The seed's farm keeps its limits within 1.10 times the bound, and the guide has the figures of now.
    @Test(.timeLimit(.minutes(2)))
    func theSeedsFarmComesNearTheBound() async throws {
        let policy = Product.root + "/Examples/policies/seed-farm.yml"
        let result = try await run([Product.smurf, "policy", "simulate", policy, "--bound"])
        let told = try #require(
            try /bound, (\d+) s\); the policy took ([0-9.]+) times that \((\d+) s\)/.firstMatch(
                in: result.output))
        #expect(try #require(Double(told.2)) <= 1.1, "\(result.output)")
        #expect(result.output.contains(" kept"))
        func grouped(_ number: Substring) -> String {
            number.count > 3 ? "\(number.dropLast(3)),\(number.suffix(3))" : String(number)
        }
        let guide = try String(
            contentsOfFile: Product.root + "/docs/guides/simulate.md", encoding: .utf8)
        let row = "| nothing | \(grouped(told.1)) s | \(grouped(told.3)) s | \(told.2) |"
        #expect(guide.contains(row), "the guide should say \(row)")
    }

    @Test(.timeLimit(.minutes(4)))
    func theReadmesCommandsWork() async throws {
        let directory = try TemporaryDirectory()
        let blocks = try DocumentedCommandsTests.blocks()
        #expect(blocks.count == 2)
        for block in blocks {
            // In a directory of its own, with what the commands name; job control for `kill %1`.
            let script =
                "set -em\ncd \(directory.path)\n"
                + ["Examples", "Zones", ".build"].map {
                    "ln -sfn \(Product.root)/\($0) \($0)\n"
                }.joined()
                // A machine that runs all tests at once needs more patience than a person's.
                + block.replacing("sleep 3", with: "sleep 15").replacing(
                    "sleep 1\n", with: "sleep 5\n"
                ).replacing("sleep 10", with: "sleep 25")
                + "\nwait || true\n"
            let result = try await run(["bash", "-c", script])
            #expect(result.status == 0, "\(block)\n\(result.output)\n\(result.errors)")
            if block.contains("smurf hold") {
                #expect(result.output.contains("127.0.1.2\n"))
                #expect(result.output.contains("relay2 is drained and held"))
            } else {
                #expect(result.output.contains("finished"), "\(result.output)")
                #expect(result.output.contains("lost            0"), "\(result.output)")
            }
        }
    }
}
