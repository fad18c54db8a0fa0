import Farm
public import RoleSchedulerCore

/// One thing that two policies say differently, by its place in the file: "roles.web.max". What is only
/// written differently (an order, a default that is spelled out) is no difference.
public struct PolicyDifference: Hashable, Sendable {
    public var key: String
    /// As a policy file has it; nil when the policy does not have the thing.
    public var old: String?
    public var new: String?

    /// Sorted by key.
    public static func all(from old: Policy, to new: Policy) -> [PolicyDifference] {
        let (before, after) = (old.facts, new.facts)
        return Set(before.keys).union(after.keys).sorted().compactMap { key in
            guard before[key] != after[key] else { return nil }
            return PolicyDifference(key: key, old: before[key], new: after[key])
        }
    }

    /// "roles.web.max: 4 → 6", "+ roles.bulk", "- members.s03".
    public var text: String {
        switch (old, new) {
        case (nil, let new?): "+ \(key)" + (new.isEmpty ? "" : ": \(new)")
        case (let old?, nil): "- \(key)" + (old.isEmpty ? "" : ": \(old)")
        case (let old, let new): "  \(key): \(old ?? "") → \(new ?? "")"
        }
    }
}

extension Policy {
    /// Everything the policy says, by its place in the file.
    var facts: [String: String] {
        var facts = [
            "zone": zone, "bounce_domain": bounceDomain, "defaults.host_ttl": "\(hostTTL)s",
            "defaults.tolerance": percent(tolerance), "colocate": colocates ? "auto" : "never",
            "movement.max_inflight": "\(movement.maxInflight)",
            "movement.gap": seconds(movement.gap), "movement.min_dwell": seconds(movement.minDwell),
            "movement.up_window": seconds(movement.upWindow),
            "movement.down_window": seconds(movement.downWindow),
            "guards.freeze_when_lost": percent(guards.freezeWhenLost),
            "guards.freeze_window": seconds(guards.freezeWindow),
            "guards.panic_below": percent(guards.panicBelow),
            "guards.signal_stale": seconds(guards.signalStale),
            "guards.dead_after": seconds(guards.deadAfter),
            "guards.black_hole_after": seconds(guards.blackHoleAfter),
            "on_signal_loss.mode": onSignalLoss.mode.rawValue,
            "on_signal_loss.after": seconds(onSignalLoss.after),
        ]
        for (role, count) in onSignalLoss.fallback {
            facts["on_signal_loss.fallback.\(role)"] = "\(count)"
        }
        for source in signals {
            let key = "signals.\(source.signal)"
            facts["\(key).every"] = seconds(source.every)
            facts["\(key).timeout"] = seconds(source.timeout)
            switch source.kind {
            case .command(let words): facts["\(key).command"] = words.joined(separator: " ")
            case .prometheus(let server, let query, let age):
                facts["\(key).prometheus"] = server
                facts["\(key).age"] = age
                facts["\(key).query"] = query
            }
        }
        for rule in roles { facts.merge(rule.facts(under: "roles.\(rule.role)")) { $1 } }
        for member in members {
            facts.merge(member.facts(under: "members.\(member.id)")) { $1 }
        }
        for (index, rule) in labelled.enumerated() {
            let key = "members.\(rule.label)"
            facts[key] = "place \(index + 1)"
            facts["\(key).pin"] = rule.pin?.name
            for role in rule.not { facts["\(key).not.\(role)"] = "" }
        }
        for (index, phase) in phases.enumerated() {
            facts["phases.\(phase.name)"] = "place \(index + 1)"
            facts.merge(phase.facts(under: "phases.\(phase.name)")) { $1 }
        }
        return facts
    }
}

extension RolePolicy {
    fileprivate func facts(under key: String) -> [String: String] {
        var facts = [
            key: "", "\(key).service": service.rawValue, "\(key).priority": "\(priority)",
            "\(key).min": "\(min)", "\(key).max": max.map { "\($0)" } ?? "none",
            "\(key).soak": "\(soak)", "\(key).capacity": capacity.map { "\($0)/s" } ?? "none",
            "\(key).measured_within": percent(measuredWithin),
            "\(key).utilisation": percent(utilisation), "\(key).ttl": "\(ttl)s",
            "\(key).sends": "\(sends)", "\(key).empty": empty.rawValue,
            "\(key).drain.ttl_factor": "\(drain.ttlFactor)",
            "\(key).drain.grace": seconds(drain.grace),
            "\(key).drain.deadline": seconds(drain.deadline),
            "\(key).drain.wait": drain.waitsForCores ? "cores-acked" : "ttl",
            "\(key).warm": seconds(warm),
            "\(key).answer": "\(answer)", "\(key).slow_start": seconds(slowStart),
            "\(key).canary": seconds(canary), "\(key).share": percent(share),
            "\(key).demand.eta": seconds(demand.eta),
        ]
        for name in names { facts["\(key).names.\(name)"] = "" }
        for label in needs { facts["\(key).needs.\(label)"] = "" }
        facts["\(key).demand.arrival"] = demand.arrival
        facts["\(key).demand.backlog"] = demand.backlog
        facts["\(key).demand.deadline"] = demand.deadline
        facts["\(key).demand.predict"] = demand.predict.map {
            "\($0.from) after \(seconds($0.earliest))..\(seconds($0.latest)), share \(percent($0.share))"
        }
        facts["\(key).demand.latency"] = demand.latency.map {
            "\($0.signal) at most \(seconds($0.limit))"
        }
        facts["\(key).check"] = check.map {
            "\($0.name), every \(seconds($0.every)), timeout \(seconds($0.timeout)), rise \($0.rise), "
                + "fall \($0.fall)"
        }
        return facts
    }
}

extension MemberPolicy {
    fileprivate func facts(under key: String) -> [String: String] {
        var facts = [
            key: "", "\(key).agent": "\(agent)", "\(key).weight": "\(weight)",
            "\(key).capacity": percent(capacity),
        ]
        for label in labels { facts["\(key).labels.\(label)"] = "" }
        facts["\(key).pin"] = pin?.name
        for role in not { facts["\(key).not.\(role)"] = "" }
        for address in addresses { facts["\(key).address.\(address)"] = "" }
        return facts
    }
}

extension Phase {
    fileprivate func facts(under key: String) -> [String: String] {
        var facts: [String: String] = [:]
        if let latch {
            for (name, conditions, lasting) in [
                ("when", latch.when, latch.entering), ("until", latch.until, latch.leaving),
            ] {
                for condition in conditions {
                    facts["\(key).\(name).\(condition.signal)"] =
                        "\(condition.comparison.rawValue) \(condition.limit)"
                }
                facts["\(key).\(name).for"] = seconds(lasting)
            }
        }
        facts["\(key).daily"] = hours.map { "\($0.from) to \($0.to)" }
        facts["\(key).idle"] = idle?.name
        for (role, change) in changes {
            let under = "\(key).roles.\(role)"
            facts["\(under).min"] = change.min.map { "\($0)" }
            facts["\(under).max"] = change.max.map { "\($0)" }
            facts["\(under).priority"] = change.priority.map { "\($0)" }
            facts["\(under).soak"] = change.soak.map { "\($0)" }
            facts["\(under).utilisation"] = change.utilisation.map(percent)
            facts["\(under).share"] = change.share.map(percent)
        }
        return facts
    }
}

private func seconds(_ duration: Duration) -> String { "\(short(duration.inSeconds))s" }
private func percent(_ share: Double) -> String { "\(short(share * 100))%" }

/// Without digits that are only noise of binary fractions.
private func short(_ value: Double) -> String {
    let rounded = (value * 1e6).rounded() / 1e6
    return rounded == rounded.rounded() && abs(rounded) < 1e15
        ? "\(Int(rounded))" : "\(rounded)"
}
