import Yams

/// One thing that is wrong or doubtful in a policy file, with its place and the line it stands on.
public struct PolicyProblem: Error, Hashable, Sendable, CustomStringConvertible {
    public var file: String
    /// From 1.
    public var line: Int
    /// In characters (Unicode scalars), from 1.
    public var column: Int
    public var isError: Bool
    /// What is wrong and what to write instead.
    public var text: String
    /// The line of the file, and a caret under the place.
    public var snippet: String

    /// `file:line:col: error: text`, then the line and the caret.
    public var description: String {
        "\(file):\(line):\(column): \(isError ? "error" : "warning"): \(text)"
            + (snippet.isEmpty ? "" : "\n" + snippet)
    }
}

/// All errors of a policy file, in the order of their places.
public struct PolicyErrors: Error, Hashable, Sendable, CustomStringConvertible {
    public var problems: [PolicyProblem]
    public var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// Collects problems while a file is read, so that one pass finds them all.
final class PolicyProblems {
    private let file: String
    private let lines: [Substring]
    private(set) var all: [PolicyProblem] = []
    /// Every key that was asked for, by the place of its mapping in any policy ("roles.*.drain"; "" is the
    /// file itself): what the schema for editors is held against.
    private(set) var keys: [String: Set<String>] = [:]

    func noteKeys(_ known: Set<String>, at path: String) {
        keys[path, default: []].formUnion(known)
    }

    init(file: String, text: String) {
        self.file = file
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    }

    func error(_ mark: Mark?, _ text: String) {
        add(mark?.line ?? 1, mark?.column ?? 1, text, isError: true)
    }

    func error(line: Int, _ text: String) { add(line, 1, text, isError: true) }

    func warning(_ mark: Mark?, _ text: String) {
        add(mark?.line ?? 1, mark?.column ?? 1, text, isError: false)
    }

    private func add(_ line: Int, _ column: Int, _ text: String, isError: Bool) {
        var snippet = ""
        if line >= 1, line <= lines.count {
            let caret = String(repeating: " ", count: max(column - 1, 0)) + "^"
            snippet = "\(PolicyProblems.printable(lines[line - 1]))\n\(caret)"
        }
        let problem = PolicyProblem(
            file: file, line: line, column: column, isError: isError, text: text,
            snippet: snippet)
        // Some values are looked at twice.
        if !all.contains(problem) { all.append(problem) }
    }

    /// `text` fit for a terminal: control characters are shown as "?", one for one.
    static func printable(_ text: some StringProtocol) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let isControl = scalar.properties.generalCategory == .control && scalar != "\t"
            shown.append(isControl ? "?" : scalar)
        }
        return String(shown)
    }

    /// Whether a policy file must not have it: controls, and the characters that end a line to YAML 1.1 and to
    /// nobody else, so that every place would be said wrong.
    private static func isUnfit(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control: scalar != "\t"
        case .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }

    /// Complains about the first character that no YAML text may have (YAML 1.1 §5.1).
    /// - Returns: whether there is one.
    func refuseControls() -> Bool {
        for (index, line) in lines.enumerated() {
            let ending =
                line.unicodeScalars.last == "\r"
                ? line.unicodeScalars.dropLast() : line.unicodeScalars[...]
            for (column, scalar) in ending.enumerated()
            where PolicyProblems.isUnfit(scalar) {
                let code = String(scalar.value, radix: 16, uppercase: true)
                add(
                    index + 1, column + 1,
                    "the control character U+\(String(repeating: "0", count: max(4 - code.count, 0)))\(code)"
                        + ": a policy file is plain text, remove it", isError: true)
                return true
            }
        }
        return false
    }

    /// What usually is wrong with a line that is no YAML.
    func trap(onLine line: Int) -> String? {
        guard line >= 1, line <= lines.count else { return nil }
        let text = lines[line - 1]
        if text.contains(#/[:,{\[]\s*[>|]/#) { return "quote what begins with '>': \"> 50000\"" }
        if text.contains(#/[{,\s]@\s*:/#) { return "quote the key: \"@\"" }
        if text.contains(#/[:,{\[]\s*[%`@]/#) { return "quote the value" }
        return nil
    }

    /// A key that one mapping has twice: the error is where the second stands, since that is what was added last.
    func repeated(_ key: String, first: Mark) {
        let place = second(key, first)
        let said = place == nil ? "" : " (first on line \(first.line))"
        add(
            place?.line ?? first.line, place?.column ?? first.column,
            "'\(PolicyProblems.printable(key))' is written twice in one mapping\(said): keep one",
            isError: true)
    }

    /// The next place where a key of this name begins on the same line or in the same column.
    private func second(_ key: String, _ first: Mark) -> (line: Int, column: Int)? {
        func begins(_ text: Substring) -> Bool {
            ["", "\"", "'"].contains { quote in
                let word = quote + key + quote
                return text.hasPrefix(word)
                    && text.dropFirst(word.count).drop { $0 == " " }.first == ":"
            }
        }
        guard lines.indices.contains(first.line - 1), first.column >= 1 else { return nil }
        let line = lines[first.line - 1]
        var column = first.column + key.count
        var rest = line.dropFirst(column)
        while !rest.isEmpty {
            if begins(rest), [" ", ",", "{"].contains(line[line.index(before: rest.startIndex)]) {
                return (first.line, column + 1)
            }
            rest = rest.dropFirst()
            column += 1
        }
        for number in lines.indices.dropFirst(first.line) {
            let before = lines[number].prefix(first.column - 1)
            guard before.count == first.column - 1, before.allSatisfy({ $0 == " " || $0 == "-" }),
                begins(lines[number].dropFirst(first.column - 1))
            else { continue }
            return (number + 1, first.column)
        }
        return nil
    }

    var sorted: [PolicyProblem] { all.sorted { ($0.line, $0.column) < ($1.line, $1.column) } }
}
