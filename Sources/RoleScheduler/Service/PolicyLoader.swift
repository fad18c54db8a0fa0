import Farm
import Foundation
public import RoleSchedulerCore
import Yams

/// A policy and what is doubtful in it.
public struct LoadedPolicy: Sendable {
    public var policy: Policy
    public var warnings: [PolicyProblem]
}

/// Reads a policy file.
/// - Throws: every error of the file at once, each with its place.
public func loadPolicy(path: String) throws(PolicyErrors) -> LoadedPolicy {
    guard let data = FileManager.default.contents(atPath: path) else {
        throw PolicyErrors(problems: [unreadable(path, "cannot be read: no such file, or no right")]
        )
    }
    guard let text = String(validating: data, as: UTF8.self) else {
        throw PolicyErrors(problems: [unreadable(path, "is not UTF-8 text")])
    }
    return try parsePolicy(text, file: path)
}

private func unreadable(_ path: String, _ text: String) -> PolicyProblem {
    PolicyProblem(file: path, line: 1, column: 1, isError: true, text: text, snippet: "")
}

/// Reads the text of a policy file.
/// - Parameter file: its name, for messages.
public func parsePolicy(_ text: String, file: String) throws(PolicyErrors) -> LoadedPolicy {
    let problems = PolicyProblems(file: file, text: text)
    let policy = compose(text, problems).flatMap { PolicyLoader(problems).policy($0) }
    let errors = problems.sorted.filter(\.isError)
    guard errors.isEmpty, let policy else { throw PolicyErrors(problems: errors) }
    return LoadedPolicy(policy: policy, warnings: problems.sorted)
}

/// The keys that are asked for while `text` is read, by the place of their mapping in any policy.
func policyKeys(of text: String) -> [String: Set<String>] {
    let problems = PolicyProblems(file: "", text: text)
    _ = compose(text, problems).flatMap { PolicyLoader(problems).policy($0) }
    return problems.keys
}

/// YAML's own errors at their places.
private func compose(_ text: String, _ problems: PolicyProblems) -> Node? {
    guard !problems.refuseControls() else { return nil }
    if let anchor = text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
        .first(
            where: { $0.element.contains(#/^[^#"']*[:\-,\[{]\s*[&*][A-Za-z]/#) })
    {
        problems.error(
            line: anchor.offset + 1,
            "anchors and aliases are not supported: write the value out")
        return nil
    }
    do {
        guard let node = try Yams.compose(yaml: text) else {
            problems.error(nil, "the file is empty: begin with 'version: 1'")
            return nil
        }
        return node
    } catch YamlError.duplicatedKeysInMapping(let duplicates, let context) {
        for key in duplicates { problems.repeated(key, first: context.mark) }
    } catch YamlError.scanner(_, let problem, let mark, _),
        YamlError.parser(_, let problem, let mark, _), YamlError.composer(
            _, let problem, let mark, _)
    {
        let trap = problems.trap(onLine: mark.line)
        problems.error(mark, "\(problem): \(trap ?? "check indentation (no tabs) and colons")")
    } catch {
        problems.error(nil, "\(error)")
    }
    return nil
}

/// From the node tree to the value.
private struct PolicyLoader {
    let problems: PolicyProblems

    init(_ problems: PolicyProblems) { self.problems = problems }

    func policy(_ node: Node) -> Policy? {
        let root = PolicyMapping(node, "the policy", at: node.mark, problems, path: "")
        if root.integer("version", 1...1, default: 0) != 1, root.node("version") == nil {
            problems.error(node.mark, "'version: 1' is missing")
        }
        let zone = zone(root)
        let defaults = RoleDefaults(root.mapping("defaults"))
        let roles = roles(root, defaults)
        let members = members(root, roles, bounceDomain(root) ?? "bounce." + zone, zone)
        var policy = Policy(
            zone: zone, bounceDomain: bounceDomain(root), roles: roles, members: members,
            movement: movement(root.mapping("movement")), guards: guards(root.mapping("guards")),
            tolerance: defaults.tolerance, hostTTL: UInt32(defaults.hostTTL),
            onSignalLoss: signalLoss(root.mapping("on_signal_loss"), Set(roles.map(\.role))))
        policy.colocates = root.value(
            "colocate", "way to colocate; use auto or never", default: false
        ) { ["auto": true, "never": false][$0] }
        policy.labelled = labelled(root, Set(roles.map(\.role)))
        policy.signals = SignalsReader(problems: problems).signals(root)
        policy.phases = PhaseReader(problems: problems, rules: roles).phases(root)
        root.finish()
        PolicyLint(problems: problems, root: root).check(policy)
        return policy
    }

    private func zone(_ root: PolicyMapping) -> String {
        guard root.node("zone") != nil else {
            problems.error(root.mark, "'zone' is missing: name the delegated sub-domain")
            return "invalid"
        }
        return root.value("zone", "domain name", default: "invalid", domain)
    }

    private func bounceDomain(_ root: PolicyMapping) -> String? {
        root.value("bounce_domain", "domain name", default: nil, domain)
    }

    /// Lower case, without the final dot.
    private func domain(_ text: String) -> String? {
        let name = text.hasSuffix(".") ? String(text.dropLast()) : text
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        guard name.utf8.count <= 253, labels.count >= 2 else { return nil }
        guard labels.allSatisfy({ SmurfID(String($0)) != nil }) else { return nil }
        return name.lowercased()
    }

    private func roles(_ root: PolicyMapping, _ defaults: RoleDefaults) -> [RolePolicy] {
        let all = root.mapping("roles")
        if all.keys.isEmpty {
            problems.error(
                root.mark(of: "roles"), "'roles' is missing or empty: write at least one")
        }
        var owners: [String: (Role, Int)] = [:]
        return all.keys.compactMap { name, mark in
            guard let role = Role(name) else {
                _ = all.node(name)
                problems.error(
                    mark, "'\(name)' is no role name: use letters, digits, hyphens, not 'idle'")
                return nil
            }
            let reader = RoleReader(
                PolicyMapping(
                    all.node(name), "role '\(name)'", at: mark, problems, path: "roles.*"), defaults
            )
            let rule = reader.rule(role)
            for owner in Set(rule.names.map(\.owner)) {
                if let (other, line) = owners[owner], other != role {
                    problems.error(
                        mark, "name '\(owner)' is also used by role '\(other)' (line \(line))")
                }
                owners[owner] = (role, mark?.line ?? 0)
            }
            return rule
        }
    }

    private func movement(_ map: PolicyMapping) -> Movement {
        let usual = Movement()
        defer { map.finish() }
        return Movement(
            maxInflight: map.integer("max_inflight", 1...1000, default: usual.maxInflight),
            gap: map.duration("gap", default: usual.gap),
            minDwell: map.duration("min_dwell", default: usual.minDwell),
            upWindow: map.duration("up_window", default: usual.upWindow),
            downWindow: map.duration("down_window", default: usual.downWindow))
    }

    private func guards(_ map: PolicyMapping) -> Guards {
        let usual = Guards()
        defer { map.finish() }
        var guards = Guards(
            freezeWhenLost: map.share("freeze_when_lost", default: usual.freezeWhenLost),
            freezeWindow: map.duration("freeze_window", default: usual.freezeWindow),
            panicBelow: map.share("panic_below", default: usual.panicBelow),
            signalStale: map.duration("signal_stale", default: usual.signalStale),
            deadAfter: map.duration("dead_after", default: usual.deadAfter))
        guards.blackHoleAfter = map.duration("black_hole_after", default: usual.blackHoleAfter)
        return guards
    }

    private func signalLoss(_ map: PolicyMapping, _ roles: Set<Role>) -> SignalLoss {
        defer { map.finish() }
        let mode = map.value("mode", "mode; use hold or fallback", default: SignalLoss.Mode.hold) {
            SignalLoss.Mode(rawValue: $0)
        }
        let counts = map.mapping("fallback", "'fallback'")
        var fallback: [Role: Int] = [:]
        for (name, mark) in counts.keys {
            guard let role = Role(name), roles.contains(role) else {
                _ = counts.node(name)
                let near = PolicyMapping.nearest(name, roles.map(\.name))
                problems.error(mark, "'\(name)' is no role of this policy\(near)")
                continue
            }
            fallback[role] = counts.integer(name, 0...100_000, default: 0)
        }
        let after = map.duration("after", default: .zero)
        if mode == .hold, !fallback.isEmpty {
            problems.warning(
                map.mark(of: "fallback"),
                "'fallback' counts with 'mode: fallback' only; here every role is held as it is")
        }
        return SignalLoss(mode: mode, after: after, fallback: fallback)
    }

    /// Entries of `members` that go by labels.
    private func labelled(_ root: PolicyMapping, _ roles: Set<Role>) -> [LabelPolicy] {
        var seen: [Label: Int] = [:]
        return root.sequence("members").filter(LabelReader.isLabelled).compactMap { node in
            let map = PolicyMapping(
                node, "members by label", at: node.mark, problems, path: "members.*")
            defer { map.finish() }
            guard let rule = LabelReader(map, roles).rule() else { return nil }
            if let line = seen[rule.label] {
                problems.error(
                    node.mark, "label '\(rule.label)' is matched twice (first on line \(line))")
                return nil
            }
            seen[rule.label] = node.mark?.line ?? 0
            return rule
        }
    }

    private func members(
        _ root: PolicyMapping, _ rules: [RolePolicy], _ bounceDomain: String, _ zone: String
    ) -> [MemberPolicy] {
        let policy = Policy(zone: zone, bounceDomain: bounceDomain, roles: rules)
        let addresses = AddressBook()
        var seen: [SmurfID: Int] = [:]
        return root.sequence("members").compactMap { node in
            guard !LabelReader.isLabelled(node) else { return nil }
            let map = PolicyMapping(node, "a member", at: node.mark, problems, path: "members.*")
            defer { map.finish() }
            let reader = MemberReader(map, Set(rules.map(\.role)), addresses)
            guard let member = reader.member() else { return nil }
            if let line = seen[member.id] {
                problems.error(
                    node.mark, "member '\(member.id)' is listed twice (first on line \(line))")
                return nil
            }
            if let holder = policy.holder(of: member.id) {
                problems.error(
                    map.node("id")?.mark,
                    "a member cannot be called '\(member.id)': that is \(holder), whose records "
                        + "its own would mix with; choose another id")
            }
            seen[member.id] = node.mark?.line ?? 0
            return member
        }
    }
}
