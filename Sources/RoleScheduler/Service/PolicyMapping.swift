import Farm
import RoleSchedulerCore
import Yams

/// One mapping of the policy file with typed access to its keys. It notes every fault at its place and
/// goes on with the default, and in the end complains about keys that nobody asked for.
final class PolicyMapping {
    let problems: PolicyProblems
    /// What it is, for messages: "role 'web'".
    let title: String
    let mark: Mark?
    /// Where it stands in any policy: "roles.*.drain"; "*" is whatever name.
    let path: String
    private var entries: [(key: String, mark: Mark?, node: Node)] = []
    private var known: Set<String> = []

    /// - Parameter node: nil or anything but a mapping gives an empty one, with an error for the latter.
    init(
        _ node: Node?, _ title: String, at mark: Mark?, _ problems: PolicyProblems, path: String
    ) {
        self.path = path
        self.problems = problems
        self.title = title
        self.mark = mark
        guard let node else { return }
        guard let mapping = node.mapping else {
            problems.error(node.mark, "\(title) is not a mapping: write key: value pairs")
            return
        }
        for (key, value) in mapping {
            guard let name = key.scalar?.string else {
                problems.error(key.mark, "a key of \(title) is not text")
                continue
            }
            if name == "<<" {
                problems.error(key.mark, "merge keys are not supported: write the values out")
                continue
            }
            entries.append((name, key.mark, value))
        }
    }

    var keys: [(name: String, mark: Mark?)] { entries.map { ($0.key, $0.mark) } }

    func node(_ key: String) -> Node? {
        known.insert(key)
        return entries.first { $0.key == key }?.node
    }

    /// Where the key stands.
    func mark(of key: String) -> Mark? { entries.first { $0.key == key }?.mark ?? mark }

    func mapping(_ key: String, _ title: String? = nil) -> PolicyMapping {
        PolicyMapping(
            node(key), title ?? "'\(key)'", at: mark(of: key), problems,
            path: path.isEmpty ? key : "\(path).\(key)")
    }

    func sequence(_ key: String) -> [Node] {
        guard let node = node(key) else { return [] }
        guard let items = node.sequence else {
            problems.error(node.mark, "'\(key)' is not a list: write [a, b] or lines with '- '")
            return []
        }
        return Array(items)
    }

    func text(_ key: String) -> String? {
        guard let node = node(key) else { return nil }
        guard let scalar = node.scalar else {
            problems.error(node.mark, "'\(key)' of \(title) must be one value")
            return nil
        }
        return scalar.string
    }

    /// A value that `parse` understands, or the default with an error that says what is expected.
    /// - Parameter hasUnit: whether a bare number only lacks its unit.
    func value<Value>(
        _ key: String, _ expected: String, default usual: Value, hasUnit: Bool = false,
        _ parse: (String) -> Value?
    ) -> Value {
        guard let text = text(key) else { return usual }
        if let value = parse(text) { return value }
        problems.error(
            node(key)?.mark,
            "'\(PolicyProblems.printable(text))' is no \(expected)" + hint(text, hasUnit))
        return usual
    }

    private func hint(_ text: String, _ hasUnit: Bool) -> String {
        if text.contains(":") && text.allSatisfy({ $0.isNumber || $0 == ":" }) {
            return "; unquoted, YAML reads it as a number"
        }
        guard hasUnit, let number = Double(text), number >= 0 else { return "" }
        return ": give it a unit"
    }

    func integer(_ key: String, _ range: ClosedRange<Int>, default usual: Int) -> Int {
        let expected =
            range.count == 1
            ? "known value: write \(range.lowerBound)"
            : "whole number from \(range.lowerBound) to \(range.upperBound): "
                + "write digits only, such as \(Swift.max(usual, range.lowerBound))"
        return value(key, expected, default: usual) {
            PolicyMapping.decimal($0).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// "30s", "5m", "2h", "500ms".
    func duration(_ key: String, default usual: Duration) -> Duration {
        value(
            key, "duration; use 500ms, 30s, 5m or 2h", default: usual, hasUnit: true,
            PolicyMapping.duration)
    }

    /// "40%" or "0.4", as a share from 0 to 1.
    func share(_ key: String, default usual: Double) -> Double {
        value(key, "share; use 40% or 0.4", default: usual) {
            PolicyMapping.share($0, within: 0...1)
        }
    }

    static func share(_ text: String, within range: ClosedRange<Double>) -> Double? {
        let number = text.hasSuffix("%") ? number(text.dropLast()).map { $0 / 100 } : number(text)
        return number.flatMap { range.contains($0) ? $0 : nil }
    }

    /// "25/s", "1500/m", "1M/h": units per second.
    func rate(_ key: String) -> Double? {
        value(
            key, "rate; use 25/s, 1500/m or 40000/h", default: nil, hasUnit: true,
            PolicyMapping.rate)
    }

    /// Above 0%, at most 120%.
    func utilisation(default usual: Double?) -> Double? {
        guard node("utilisation") != nil else { return usual }
        let share = value(
            "utilisation", "utilisation; use 70% or 0.7, at most 120%", default: usual ?? 0.7
        ) { PolicyMapping.share($0, within: 0...RolePolicy.mostUtilisation) }
        if share > 0 { return share }
        problems.error(mark(of: "utilisation"), "utilisation must be above 0%")
        return usual
    }

    /// More than members can do is a plan only when something tells that work waits too long.
    func checkUtilisation(_ rule: RolePolicy) {
        guard rule.utilisation > 1, rule.demand.latency == nil else { return }
        problems.error(
            mark(of: "utilisation"),
            "utilisation above 100% needs 'demand: {latency: …}': else nothing tells that work piles up"
        )
    }

    static func rate(_ text: String) -> Double? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let units: [Substring: Double] = ["s": 1, "m": 60, "h": 3600]
        guard parts.count == 2, let unit = units[parts[1]], let number = number(parts[0]),
            number > 0
        else { return nil }
        return number / unit
    }

    /// Digits with at most one point. `Double` would also take hexadecimal digits, "1e3", "inf" and "nan".
    static func number(_ text: some StringProtocol) -> Double? {
        guard text.utf8.allSatisfy({ $0 == 0x2E || (0x30...0x39).contains($0) }),
            text.utf8.count <= 18
        else { return nil }
        return Double(text)
    }

    func flag(_ key: String, default usual: Bool) -> Bool {
        value(key, "true or false", default: usual) { ["true": true, "false": false][$0] }
    }

    /// Digits only: YAML's 010 and 1_000 mean something else to most readers.
    static func decimal(_ text: String) -> Int? {
        guard !text.isEmpty, text.allSatisfy({ $0.isASCII && $0.isNumber }),
            text == "0" || text.first != "0"
        else { return nil }
        return Int(text)
    }

    static func duration(_ text: String) -> Duration? {
        let units: [(String, Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)]
        for (unit, seconds) in units where text.hasSuffix(unit) {
            guard let number = number(text.dropLast(unit.count)),
                number * seconds <= 366 * 86_400
            else { continue }
            return .seconds(number * seconds)
        }
        return text == "0" ? .zero : nil
    }

    /// Complains about every key that was not asked for, with the nearest that exists.
    func finish() {
        problems.noteKeys(known, at: path)
        for (key, mark, _) in entries where !known.contains(key) {
            let near = PolicyMapping.nearest(key, known.sorted())
            let colon = key.contains(":") ? "; write a blank after the colon" : ""
            problems.error(
                mark,
                "unknown key '\(PolicyProblems.printable(key))' in \(title)"
                    + (colon.isEmpty ? near : colon))
        }
    }

    /// "; did you mean 'min'?" when one of `known` is so near; else nothing.
    static func nearest(_ word: String, _ known: [String]) -> String {
        guard word.count <= 60,
            let near = known.min(by: { distance(word, $0) < distance(word, $1) }),
            distance(word, near) <= 2, distance(word, near) < near.count
        else { return "" }
        return "; did you mean '\(near)'?"
    }

    /// Edits between two words (Levenshtein).
    static func distance(_ left: String, _ right: String) -> Int {
        var row = Array(0...right.count)
        for (index, character) in left.enumerated() {
            var previous = row[0]
            row[0] = index + 1
            for (column, other) in right.enumerated() {
                let cost = previous + (character == other ? 0 : 1)
                previous = row[column + 1]
                row[column + 1] = min(cost, row[column] + 1, row[column + 1] + 1)
            }
        }
        return row[right.count]
    }
}
