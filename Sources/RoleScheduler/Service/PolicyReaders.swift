import Farm
import RoleSchedulerCore
import Yams

/// What roles take when they do not say otherwise.
struct RoleDefaults {
    let ttl: Int
    let hostTTL: Int
    let warm: Duration
    let tolerance: Double
    let drain: DrainRule

    init(_ map: PolicyMapping) {
        ttl = RoleReader.ttl(map, "ttl", default: 30)
        hostTTL = RoleReader.ttl(map, "host_ttl", default: 3600)
        warm = map.duration("warm", default: .seconds(10))
        tolerance = map.share("tolerance", default: 0.1)
        drain = RoleReader.drain(map.mapping("drain"), DrainRule())
        map.finish()
    }
}

/// Reads one role.
struct RoleReader {
    let map: PolicyMapping
    let defaults: RoleDefaults

    init(_ map: PolicyMapping, _ defaults: RoleDefaults) {
        self.map = map
        self.defaults = defaults
    }

    func rule(_ role: Role) -> RolePolicy {
        defer { map.finish() }
        let floor = map.integer("min", 0...100_000, default: 0)
        let ceiling = map.node("max") == nil ? nil : map.integer("max", 0...100_000, default: floor)
        if let ceiling, floor > ceiling {
            map.problems.error(
                map.mark(of: "min"),
                "\(map.title): min (\(floor)) is greater than max (\(ceiling), line "
                    + "\(map.mark(of: "max")?.line ?? 0))")
        }
        let service = map.value(
            "service", "service; use smtp-out, smtp-in, web or none", default: nil
        ) {
            Service(rawValue: $0)
        }
        let sends = map.node("sends") == nil ? nil : map.flag("sends", default: false)
        var rule = RolePolicy(
            role: role, service: service, names: names(),
            priority: map.integer("priority", 1...1000, default: 1), min: floor,
            max: ceiling.map { max($0, floor) }, soak: map.integer("soak", 0...1000, default: 0),
            capacity: map.rate("capacity"), utilisation: map.utilisation(default: 0.7) ?? 0.7,
            demand: demand(),
            ttl: UInt32(RoleReader.ttl(map, "ttl", default: defaults.ttl)),
            sends: sends,
            empty: map.value("empty", "answer; use keep, servfail or nodata", default: .keep) {
                WhenEmpty(rawValue: $0)
            },
            drain: RoleReader.drain(map.mapping("drain"), defaults.drain),
            warm: map.duration("warm", default: defaults.warm), check: check(),
            answer: map.integer("answer", 0...1000, default: 0))
        map.checkUtilisation(rule)
        rule.measuredWithin = measuredWithin(rule)
        checkWait(&rule)
        rule.slowStart = map.duration("slow_start", default: .zero)
        rule.canary = map.duration("canary", default: .zero)
        rule.share = map.share("share", default: 0)
        rule.needs = map.labels("needs")
        return rule
    }

    private func measuredWithin(_ rule: RolePolicy) -> Double {
        let share = map.share("measured_within", default: 0)
        guard share > 0, rule.capacity == nil || rule.demand.backlog == nil else { return share }
        map.problems.error(
            map.mark(of: "measured_within"),
            "'measured_within' needs 'capacity' and 'demand: {backlog: …}': what members can do is "
                + "seen only while work waits")
        return 0
    }

    /// What `defaults` say of it is for smtp-out only; a role that says it itself is told.
    private func checkWait(_ rule: inout RolePolicy) {
        guard rule.drain.waitsForCores, rule.service != .smtpOut else { return }
        rule.drain.waitsForCores = false
        guard map.node("drain")?.mapping?["wait"] != nil else { return }
        map.problems.error(
            map.mark(of: "drain"),
            "'wait: cores-acked' is for smtp-out: others than our own cores ask for the names of "
                + "'\(rule.role)', and go by its TTL")
    }

    /// `check: {smtp: 25, every: 5s, timeout: 3s, rise: 2, fall: 3}`
    private func check() -> CheckRule? {
        guard map.node("check") != nil else { return nil }
        let rule = map.mapping("check", "'check' of \(map.title)")
        defer { rule.finish() }
        let named = RoleReader.checks.filter { rule.node($0.0) != nil }
        let found = named.compactMap { name, kind in
            rule.value(name, RoleReader.checkHint, default: nil, kind)
        }
        let every = rule.duration("every", default: .seconds(5))
        let timeout = rule.duration("timeout", default: .seconds(3))
        let rise = rule.integer("rise", 1...100, default: 2)
        let fall = rule.integer("fall", 1...100, default: 3)
        if named.count != 1 {
            rule.problems.error(
                map.mark(of: "check"), "a check is one of tcp, smtp, starttls, http and dns")
        }
        guard let (kind, port) = found.first else { return nil }
        if every < .milliseconds(100) || timeout < .milliseconds(100) {
            rule.problems.error(rule.mark(of: "every"), "checks take 100 ms and more")
        }
        return CheckRule(
            kind, port: port, every: every, timeout: timeout, rise: rise, fall: fall)
    }

    private static let checkHint = "port; use smtp: 25 or http: \"80/health\""

    private static let checks: [(String, @Sendable (String) -> (CheckRule.Kind, UInt16)?)] = [
        ("tcp", { text in port(text).map { (.tcp, $0) } }),
        ("smtp", { text in port(text).map { (.smtp, $0) } }),
        ("starttls", { text in port(text).map { (.startTLS, $0) } }),
        ("dns", { text in port(text).map { (.dns, $0) } }),
        (
            "http",
            { text in
                let parts = text.split(
                    separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
                let path = "/" + (parts.count > 1 ? String(parts[1]) : "")
                guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
                return port(String(parts[0])).map { (.http(path: path), $0) }
            }
        ),
    ]

    private static func port(_ text: String) -> UInt16? {
        PolicyMapping.decimal(text).flatMap { (1...65_535).contains($0) ? UInt16($0) : nil }
    }

    static func ttl(_ map: PolicyMapping, _ key: String, default usual: Int) -> Int {
        map.value(
            key, "TTL from 1s to 7 days; use 30s, 5m or 2h", default: usual, hasUnit: true, ttl)
    }

    private static func ttl(_ text: String) -> Int? {
        guard let seconds = PolicyMapping.duration(text)?.components.seconds,
            (1...604_800).contains(seconds)
        else { return nil }
        return Int(seconds)
    }

    static func drain(_ map: PolicyMapping, _ usual: DrainRule) -> DrainRule {
        defer { map.finish() }
        let factor = map.value("ttl_factor", "factor from 1 to 100", default: usual.ttlFactor) {
            PolicyMapping.number($0).flatMap { (1...100).contains($0) ? $0 : nil }
        }
        var rule = DrainRule(
            ttlFactor: factor, grace: map.duration("grace", default: usual.grace),
            deadline: map.duration("deadline", default: usual.deadline))
        rule.waitsForCores = map.value(
            "wait", "way to wait; use ttl or cores-acked", default: usual.waitsForCores
        ) { ["ttl": false, "cores-acked": true][$0] }
        return rule
    }

    /// `names: {smtp-in: A, bounce: MX 10}`
    private func names() -> [RoleName] {
        let all = map.mapping("names", "'names' of \(map.title)")
        return all.keys.flatMap { owner, mark -> [RoleName] in
            let labels = owner.split(separator: ".", omittingEmptySubsequences: false)
            guard owner == "@" || labels.allSatisfy(RoleReader.isLabel) else {
                _ = all.node(owner)
                all.problems.error(
                    mark, "'\(owner)' is no name under the zone; '@' is the zone itself")
                return []
            }
            let kinds = all.value(
                owner, "record; use A, MX 10, SRV 10 587 or HTTPS 1, or several as in 'A, MX 10'",
                default: nil, RoleReader.kinds)
            return (kinds ?? []).map { RoleName(owner: owner.lowercased(), kind: $0) }
        }
    }

    /// A host's label, or one of a service ("_submission", RFC 2782).
    private static func isLabel(_ text: Substring) -> Bool {
        SmurfID(String(text.first == "_" ? text.dropFirst() : text)) != nil
    }

    private static func kinds(_ text: String) -> [Membership.RoleRecords.Kind]? {
        var kinds: [Membership.RoleRecords.Kind] = []
        for part in text.split(separator: ",") {
            let words = part.split(separator: " ")
            let numbers = words.dropFirst().compactMap { UInt16($0) }
            guard numbers.count == words.count - 1 else { return nil }
            switch (words.first, numbers.count) {
            case ("A", 0): kinds.append(.address)
            case ("MX", 1): kinds.append(.mailExchange(preference: numbers[0]))
            case ("SRV", 2): kinds.append(.service(priority: numbers[0], port: numbers[1]))
            // Priority 0 would be an alias (RFC 9460 §2.4.2).
            case ("HTTPS", 1) where numbers[0] > 0: kinds.append(.https(priority: numbers[0]))
            default: return nil
            }
        }
        return kinds.isEmpty ? nil : kinds
    }

    private func demand() -> DemandRule {
        let demand = map.mapping("demand", "'demand' of \(map.title)")
        defer { demand.finish() }
        let usual = DemandRule()
        var rule = DemandRule(
            arrival: demand.text("arrival"), backlog: demand.text("backlog"),
            eta: demand.duration("eta", default: usual.eta), deadline: demand.text("deadline"))
        let latency = demand.mapping("latency", "'latency' of \(map.title)")
        if !latency.keys.isEmpty {
            rule.latency = DemandRule.Latency(
                signal: latency.text("signal") ?? "",
                limit: latency.duration("limit", default: .seconds(1)))
        }
        latency.finish()
        rule.predict = predict(demand)
        return rule
    }

    /// `predict: {from: outbound.sent, lag: 5m..60m, share: 6%}`
    private func predict(_ demand: PolicyMapping) -> PredictRule? {
        guard demand.node("predict") != nil else { return nil }
        let map = demand.mapping("predict", "'predict' of \(map.title)")
        defer { map.finish() }
        if demand.node("arrival") == nil {
            map.problems.error(
                demand.mark(of: "predict"),
                "'predict' foretells 'arrival': name the signal that counts what comes back")
        }
        let from = map.text("from")
        if from == nil {
            map.problems.error(
                map.mark, "'from' is missing: name a signal of what is sent, such as outbound.sent")
        }
        if map.node("lag") == nil {
            map.problems.error(
                map.mark, "'lag' is missing: write the shortest and longest, as in 5m..60m")
        }
        let lag = map.value(
            "lag", "lag; write the shortest and longest, as in 5m..60m", default: nil,
            RoleReader.lag)
        let share = map.share("share", default: 0)
        guard let from, let lag else { return nil }
        return PredictRule(from: from, earliest: lag.0, latest: lag.1, share: share)
    }

    private static func lag(_ text: String) -> (Duration, Duration)? {
        guard let dots = text.firstRange(of: ".."),
            let earliest = PolicyMapping.duration(String(text[..<dots.lowerBound])),
            let latest = PolicyMapping.duration(String(text[dots.upperBound...])),
            earliest < latest
        else { return nil }
        return (earliest, latest)
    }
}

/// What is not wrong but will surprise.
struct PolicyLint {
    let problems: PolicyProblems
    let root: PolicyMapping

    func check(_ policy: Policy) {
        checkSignals(policy)
        checkLabels(policy)
        checkNeeds(policy)
        checkShares(policy)
        if policy.colocates, let member = policy.members.first(where: \.agent) {
            problems.warning(
                root.mark(of: "colocate"),
                "colocate: \(member.id) has an agent, which carries one role at a time; only "
                    + "members with 'agent: false' are answered for several roles")
        }
        let floors = policy.roles.reduce(0) { $0 + $1.min }
        let isShared = policy.colocates && !policy.members.contains(where: \.agent)
        if !policy.members.isEmpty, floors > policy.members.count, !isShared {
            problems.warning(
                root.mark(of: "roles"),
                "the floors add up to \(floors), but \(policy.members.count) members are listed; "
                    + "priority decides")
        }
        for rule in policy.roles
        where rule.drainTime > .seconds(300) && !rule.drain.waitsForCores {
            let minutes = Int(
                rule.drainTime.inSeconds * 4 / 60 / Double(policy.movement.maxInflight))
            problems.warning(
                root.mark(of: "roles"),
                "role '\(rule.role)': ttl \(rule.ttl)s × \(rule.drain.ttlFactor) + grace means that "
                    + "shunting 4 members takes \(minutes) min")
        }
    }
}

extension PolicyLint {
    func checkShares(_ policy: Policy) {
        let sum = policy.roles.reduce(0) { $0 + $1.share }
        guard sum > 1 + 1e-9 else { return }
        problems.warning(
            root.mark(of: "roles"),
            "the shares of the roles add up to \(Int((sum * 100).rounded())) % of the farm; priority decides"
        )
    }
}
