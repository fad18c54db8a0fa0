import Foundation
import TestSupport
import Testing

/// Every command line that the README and the guides write down: the command exists, and so does each of its options.
/// What the commands do is not looked at here; guides that are followed as they stand have tests of their own.
@Suite struct WrittenCommandsTests {
    /// One command of the program as it describes itself.
    private struct Command: Decodable {
        struct Argument: Decodable {
            struct Name: Decodable { let name: String }
            let kind: String
            let names: [Name]?
        }

        let commandName: String
        let aliases: [String]?
        let arguments: [Argument]?
        let subcommands: [Command]?

        /// Names of its options and flags, without dashes.
        var options: Set<String> {
            Set((arguments ?? []).flatMap { ($0.names ?? []).map(\.name) })
                .union(["help", "generate-completion-script"])
        }

        func isCalled(_ word: String) -> Bool {
            commandName == word || (aliases ?? []).contains(word)
        }

        /// Whether a word that is no command may stand behind it.
        var takesWords: Bool { (arguments ?? []).contains { $0.kind == "positional" } }
    }

    private struct Help: Decodable { let command: Command }

    private struct Line {
        let place: String
        let words: [String]
    }

    private func commands() async throws -> Command {
        let said = try await run([Product.smurf, "--experimental-dump-help"])
        return try JSONDecoder().decode(Help.self, from: Data(said.output.utf8)).command
    }

    /// Lines that begin with the program's name, continued ones joined, and what stands between backticks.
    private func lines(of file: String) throws -> [Line] {
        let text = try String(contentsOfFile: Product.root + "/" + file, encoding: .utf8)
        var found: [Line] = []
        let joined = text.replacing("\\\n", with: " ").split(
            separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in joined.enumerated() {
            let code = line.split(separator: "`", omittingEmptySubsequences: false).enumerated()
                .filter { $0.offset % 2 == 1 }.map { String($0.element) }
            for piece in code + [line.trimmingCharacters(in: .whitespaces)] {
                let bare = piece.prefix { $0 != "#" && $0 != "|" && $0 != ">" && $0 != ";" }
                let words = bare.split(separator: " ").map(String.init)
                guard let first = words.first, ["smurf", ".build/debug/smurf"].contains(first),
                    words.count > 1
                else { continue }
                found.append(Line(place: "\(file):\(index + 1)", words: Array(words.dropFirst())))
            }
        }
        return found
    }

    /// What is wrong with a line; nil when nothing is.
    private func fault(in line: Line, _ program: Command) -> String? {
        var command = program
        var rest = line.words[...]
        while let word = rest.first,
            let next = command.subcommands?.first(where: { $0.isCalled(word) })
        {
            command = next
            rest = rest.dropFirst()
        }
        // `smurf zone keys|ds|roll` names several; prose such as `smurf serve` alone is fine too.
        if let word = rest.first, !(command.subcommands ?? []).isEmpty, !command.takesWords,
            word.first?.isLetter == true, !word.contains("|")
        {
            return "there is no command '\(word)'"
        }
        for word in rest where word.hasPrefix("--") {
            let name = word.dropFirst(2).prefix { $0.isLetter || $0.isNumber || $0 == "-" }
            // `--transfers-…` stands for a family.
            if name.isEmpty || word.contains("…") { continue }
            if !command.options.contains(String(name)) {
                return "'\(command.commandName)' has no option --\(name)"
            }
        }
        return nil
    }

    @Test func theyExist() async throws {
        let program = try await commands()
        let guides = try FileManager.default.contentsOfDirectory(
            atPath: Product.root + "/docs/guides"
        ).filter { $0.hasSuffix(".md") }.map { "docs/guides/" + $0 }
        var count = 0
        for file in ["README.md"] + guides.sorted() {
            for line in try lines(of: file) {
                count += 1
                let fault = fault(in: line, program)
                #expect(fault == nil, "\(line.place): \(line.words.joined(separator: " "))")
            }
        }
        #expect(count > 60, "only \(count) were found")
    }

    /// The check itself sees what it is there for.
    @Test func whatIsNotThereIsSeen() async throws {
        let program = try await commands()
        for words in ["zone kyes", "serve --polcy x", "zone keys --json --off x"] {
            let line = Line(place: "", words: words.split(separator: " ").map(String.init))
            #expect(fault(in: line, program) != nil, "\(words)")
        }
        let good = Line(place: "", words: ["zone", "challenge", "add", "web", "x", "--for", "1h"])
        #expect(fault(in: good, program) == nil)
    }
}
