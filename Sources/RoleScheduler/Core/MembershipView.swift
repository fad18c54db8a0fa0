public import Farm

/// What the name server shall answer, given where the machines stand: members that serve and are fit
/// (up and ready); all of a role's members when too few of them are fit; the last members when there is none. The
/// version grows by one exactly when something else in the value changes.
/// - Parameters:
///   - previous: the membership that is published now, nil for none.
///   - notes: told of every answer that is not simply the healthy members.
/// - Complexity: O(n log n) in the number of machines.
public func membership(
    of state: FarmState, policy: Policy, health: [SmurfID: Health], now: Moment,
    previous: Membership?, notes: inout [String]
) -> Membership {
    answered(
        Planner(policy: policy, state: state, health: health, now: now), previous, &notes)
}

/// What `plan` decides, and the `membership` of the state it leads to: together for less, as machines are looked up once.
/// The parameters are theirs.
public func planAndMembership(
    policy: Policy, state: FarmState, demand: Demand, health: [SmurfID: Health], now: Moment,
    timeOfDay: TimeOfDay? = nil, cores: [String: CoreSight] = [:], previous: Membership?,
    notes: inout [String]
) -> (Plan, Membership) {
    let (plan, planner) = planned(policy, state, demand, health, now, timeOfDay, cores)
    return (plan, answered(planner.under(policy, plan.state), previous, &notes))
}

private func answered(
    _ planner: Planner, _ previous: Membership?, _ notes: inout [String]
) -> Membership {
    let (policy, state) = (planner.policy, planner.state)
    var view = Membership(version: previous?.version ?? 0, hostTTL: policy.hostTTL)
    view.hosts = planner.machines.compactMap { machine in
        guard machine.isResolvable else { return nil }
        return Membership.Host(
            id: machine.id, addresses: machine.record.addresses, weight: machine.rule.weight)
    }
    let guests = Colocation(planner).guests
    for (role, id) in guests.sorted(by: { $0.key < $1.key }) {
        notes.append("colocated: nobody is free for \(role); \(id) is answered for it too")
    }
    for rule in policy.roles where !rule.names.isEmpty {
        let members = answered(rule, planner, guests[rule.role], &notes).filter { id in
            planner.place(of: id).map { planner.machines[$0].isResolvable } ?? false
        }
        let ramping = planner.ramping(rule, members)
        for name in rule.names {
            var records = Membership.RoleRecords(
                owner: name.owner, kind: name.kind, members: members, ttl: planner.ttl(of: rule),
                whenEmpty: rule.empty == .nodata ? .nodata : .servfail, limit: rule.answer)
            records.ramping = ramping.isEmpty ? nil : ramping
            view.records.append(records)
        }
    }
    view.senders = senders(planner, guests)
    view.senderOwners = policy.senderOwners
    view.texts = state.answeredTexts(at: planner.now)
    if view != previous { view.version += 1 }
    return view
}

private func answered(
    _ rule: RolePolicy, _ planner: Planner, _ guest: SmurfID?, _ notes: inout [String]
) -> [SmurfID] {
    let serving = planner.machines.filter { $0.record.state == .serving(rule.role) }
    let healthy = planner.healthyServing(rule.role)
    if !serving.isEmpty,
        Double(healthy.count) < planner.policy.guards.panicBelow * Double(serving.count)
    {
        notes.append(
            "panic: \(healthy.count) of \(serving.count) \(rule.role) are fit; all are answered")
        return serving.map(\.id)
    }
    if !healthy.isEmpty { return healthy }
    if let guest { return [guest] }
    guard rule.empty == .keep else { return [] }
    let last = planner.state.lastMembers[rule.role] ?? []
    if !last.isEmpty {
        notes.append("fail-open: nobody serves \(rule.role); its last members are still answered")
    }
    return last
}

/// Machines that send, will send as soon as they are answered, or may still have mail under way: SPF
/// names them before the first message and after the last.
private func senders(_ planner: Planner, _ guests: [Role: SmurfID]) -> [IPAddress] {
    let roles = Set(planner.policy.roles.filter(\.sends).map(\.role))
    let sending = Set(guests.filter { roles.contains($0.key) }.values)
    let departed = planner.state.departedSenders
    var addresses: [IPAddress] = []
    for machine in planner.machines {
        let isSending = machine.record.role.map(roles.contains) ?? false
        guard isSending || sending.contains(machine.id) || departed[machine.id] != nil
        else { continue }
        addresses += machine.record.addresses
    }
    return Set(addresses).sorted()
}

extension Policy {
    /// Every name that the farm may ever publish by this policy, with nobody behind the roles yet: to
    /// be held against the zone file before anything is served.
    public var everyName: Membership {
        var view = Membership(version: 0, hostTTL: hostTTL, senderOwners: senderOwners)
        view.hosts = members.map { Membership.Host(id: $0.id, addresses: $0.addresses) }
        view.records = roles.flatMap { rule in
            rule.names.map {
                Membership.RoleRecords(owner: $0.owner, kind: $0.kind, members: [], ttl: rule.ttl)
            }
        }
        return view
    }

    /// Owners that get the SPF record: the apex, and the bounce domain when it lies in the zone.
    var senderOwners: [String] {
        guard bounceDomain.hasSuffix("." + zone) else { return ["@"] }
        return ["@", String(bounceDomain.dropLast(zone.count + 1))]
    }
}

extension Planner {
    /// How long answers of a role may be kept, in seconds: a third, though not less than ten seconds, from the moment
    /// that a member is to leave and only waits for its turn, so that its drain is short for most who ask. Drains are
    /// reckoned with the whole time all the same.
    fileprivate func ttl(of rule: RolePolicy) -> UInt32 {
        let serving = machines.count { $0.record.state == .serving(rule.role) }
        guard let wanted = state.setpoints[rule.role], wanted < serving else { return rule.ttl }
        return min(rule.ttl, max(rule.ttl / 3, 10))
    }

    /// Members of a role that are new in it, with the answers out of four that they are in by now. While
    /// every member is new there is nobody to lean on, and all are in all.
    fileprivate func ramping(_ rule: RolePolicy, _ members: [SmurfID]) -> [SmurfID: Int] {
        guard rule.slowStart > .zero else { return [:] }
        var ramping: [SmurfID: Int] = [:]
        for id in members {
            guard let place = place(of: id), case let record = record(place),
                record.state == .serving(rule.role)
            else { continue }
            let age = now.since(record.since).inSeconds / rule.slowStart.inSeconds
            if age < 1 { ramping[id] = 1 + Int(Swift.max(age, 0) * 3) }
        }
        return ramping.count < members.count ? ramping : [:]
    }
}
