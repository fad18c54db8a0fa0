import Farm
import RoleSchedulerCore
import Yams

/// Reads `phases`.
struct PhaseReader {
    let problems: PolicyProblems
    let rules: [RolePolicy]

    func phases(_ root: PolicyMapping) -> [Phase] {
        var seen: [String: Int] = [:]
        var endless: String?
        return root.sequence("phases").compactMap { node in
            let map = PolicyMapping(node, "a phase", at: node.mark, problems, path: "phases.*")
            defer { map.finish() }
            guard let phase = phase(map) else { return nil }
            if let line = seen[phase.name] {
                problems.error(
                    map.mark(of: "name"),
                    "phase '\(phase.name)' is there twice (first on line \(line))")
            }
            seen[phase.name] = map.mark(of: "name")?.line ?? 0
            if let endless {
                problems.warning(
                    map.mark(of: "name"),
                    "phase '\(phase.name)' can never be reached: phase '\(endless)' before it has "
                        + "neither 'when' nor 'daily'")
            }
            if phase.isAlways { endless = endless ?? phase.name }
            return phase
        }
    }

    private func phase(_ map: PolicyMapping) -> Phase? {
        let latch = latch(map)
        let hours = hours(map)
        let changes = changes(map)
        let idle = idle(map)
        guard map.node("name") != nil else {
            problems.error(map.mark, "a phase needs a 'name', such as 'bulge'")
            return nil
        }
        let name = map.value("name", "name: use letters, digits, hyphens", default: "") { text in
            SmurfID(text).map(\.name)
        }
        guard !name.isEmpty else { return nil }
        return Phase(name: name, latch: latch, hours: hours, changes: changes, idle: idle)
    }

    private func idle(_ map: PolicyMapping) -> Role? {
        map.value("idle", "role of this policy", default: nil) { text in
            rules.first { $0.role.name == text }?.role
        }
    }

    private func latch(_ map: PolicyMapping) -> Phase.Latch? {
        let (when, entering) = conditions(map, "when")
        let (until, leaving) = conditions(map, "until")
        guard map.node("when") != nil else {
            if map.node("until") != nil {
                problems.error(
                    map.mark(of: "until"), "'until' without 'when': say what begins the phase")
            }
            return nil
        }
        guard map.node("until") != nil else {
            let example = when.first.map {
                "until: {\($0.signal): \"< …\"}, below what begins it"
            }
            problems.error(
                map.mark(of: "when"),
                "'until' is missing: say what ends the phase, \(example ?? "as 'when' is written")")
            return nil
        }
        for end in until {
            for begin in when where begin.signal == end.signal && !isOpposite(begin, end) {
                let side = begin.comparison == .above || begin.comparison == .atLeast ? "<" : ">"
                problems.error(
                    map.mark(of: "until"),
                    "'until' is not on the other side of 'when' (\(begin.signal) "
                        + "\(begin.comparison.rawValue) \(shown(begin.limit)) needs an end "
                        + "\(side) \(shown(begin.limit))): the phase would flap")
            }
        }
        return Phase.Latch(when: when, entering: entering, until: until, leaving: leaving)
    }

    private func isOpposite(_ begin: Phase.Condition, _ end: Phase.Condition) -> Bool {
        switch (begin.comparison, end.comparison) {
        case (.above, .below), (.above, .atMost), (.atLeast, .below), (.atLeast, .atMost):
            end.limit < begin.limit
        case (.below, .above), (.below, .atLeast), (.atMost, .above), (.atMost, .atLeast):
            end.limit > begin.limit
        default: false
        }
    }

    private func shown(_ number: Double) -> String {
        number == number.rounded() && number < 1e15 ? String(Int(number)) : String(number)
    }

    /// `{bounces.arrival: "< 0.5/s", for: 10m}`
    private func conditions(
        _ map: PolicyMapping, _ key: String
    ) -> ([Phase.Condition], Duration) {
        guard map.node(key) != nil else { return ([], .zero) }
        let all = map.mapping(key, "'\(key)'")
        defer { all.finish() }
        let lasting = all.duration("for", default: .zero)
        let names = all.keys.map(\.name).filter { $0 != "for" }
        if names.isEmpty {
            problems.error(
                map.mark(of: key),
                "'\(key)' names no signal: write {outbound.backlog: \"> 50000\"}")
        }
        let conditions = names.compactMap { name -> Phase.Condition? in
            let parsed = all.value(
                name, "condition; write \"> 50000\", \"< 0.5/s\" or \">= 800ms\", in quotes",
                default: nil, PhaseReader.condition)
            return parsed.map { Phase.Condition(signal: name, $0.comparison, $0.limit) }
        }
        return (conditions, lasting)
    }

    private static func condition(
        _ text: String
    ) -> (comparison: Phase.Condition.Comparison, limit: Double)? {
        let sign = text.prefix { "<>=".contains($0) }
        let number = text.dropFirst(sign.count).drop { $0 == " " }
        guard let comparison = Phase.Condition.Comparison(rawValue: String(sign)),
            let limit = PolicyMapping.number(String(number))
                ?? PolicyMapping.rate(String(number))
                ?? PolicyMapping.duration(String(number))?.inSeconds
        else { return nil }
        return (comparison, limit)
    }

    /// `daily: {from: "22:00", to: "06:00"}`
    private func hours(_ map: PolicyMapping) -> DailyHours? {
        guard map.node("daily") != nil else { return nil }
        let daily = map.mapping("daily")
        defer { daily.finish() }
        let (from, to) = (time(daily, "from"), time(daily, "to"))
        guard let from, let to else { return nil }
        if from == to {
            problems.error(daily.mark(of: "to"), "'from' and 'to' are the same time of day")
        }
        return DailyHours(from: from, to: to)
    }

    private func time(_ daily: PolicyMapping, _ key: String) -> TimeOfDay? {
        guard let node = daily.node(key) else {
            problems.error(
                daily.mark, "'daily' needs '\(key)': write {from: \"22:00\", to: \"06:00\"}")
            return nil
        }
        let text = daily.text(key) ?? ""
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let numbers = parts.filter { $0.count == 2 }.compactMap { Int($0) }
        guard parts.count == 2, numbers.count == 2, text.utf8.allSatisfy({ $0 < 0x3B }),
            numbers[0] < 24, numbers[1] < 60
        else {
            problems.error(
                node.mark,
                "'\(PolicyProblems.printable(text))' is no time of day; write \"06:00\" or \"22:30\""
            )
            return nil
        }
        if node.scalar?.style == .plain {
            problems.error(
                node.mark,
                "\(text) unquoted is the number \(numbers[0] * 60 + numbers[1]) to YAML: write "
                    + "\"\(text)\"")
        }
        return TimeOfDay(minute: numbers[0] * 60 + numbers[1])
    }

    private func changes(_ map: PolicyMapping) -> [Role: RoleChanges] {
        let all = map.mapping("roles", "'roles' of the phase")
        var changes: [Role: RoleChanges] = [:]
        for (name, mark) in all.keys {
            guard let rule = rules.first(where: { $0.role.name == name }) else {
                _ = all.node(name)
                let near = PolicyMapping.nearest(name, rules.map(\.role.name))
                problems.error(mark, "'\(name)' is no role of this policy\(near)")
                continue
            }
            let own = PolicyMapping(
                all.node(name), "role '\(name)' of the phase", at: mark, problems,
                path: "phases.*.roles.*")
            let change = RoleChanges(
                min: optional(own, "min", 0...100_000), max: optional(own, "max", 0...100_000),
                priority: optional(own, "priority", 1...1000),
                soak: optional(own, "soak", 0...1000), utilisation: own.utilisation(default: nil),
                share: own.node("share") == nil ? nil : own.share("share", default: 0))
            own.finish()
            var changed = rule
            change.apply(to: &changed)
            if change.utilisation != nil { own.checkUtilisation(changed) }
            if let ceiling = changed.max, changed.min > ceiling {
                problems.error(
                    mark,
                    "role '\(name)' of the phase: min (\(changed.min)) is greater than max "
                        + "(\(ceiling)); the role itself says min \(rule.min)"
                        + (rule.max.map { ", max \($0)" } ?? ""))
            }
            changes[rule.role] = change
        }
        return changes
    }

    private func optional(
        _ map: PolicyMapping, _ key: String, _ range: ClosedRange<Int>
    ) -> Int? {
        map.node(key) == nil ? nil : map.integer(key, range, default: range.lowerBound)
    }
}

extension PolicyLint {
    /// Signals that neither the product measures nor a role is sized by are most likely misspelt.
    func checkSignals(_ policy: Policy) {
        let used = policy.roles.flatMap(\.demand.named)
        let known = Demand.measured.union(used).union(policy.signals.map(\.signal))
        let phases = root.sequence("phases")
        for (phase, node) in zip(policy.phases, phases) {
            let named = (phase.latch?.when ?? []) + (phase.latch?.until ?? [])
            for signal in Set(named.map(\.signal)).sorted() where !known.contains(signal) {
                problems.warning(
                    node.mark,
                    "phase '\(phase.name)': nothing measures '\(signal)'"
                        + PolicyMapping.nearest(signal, known.sorted()))
            }
        }
    }
}
