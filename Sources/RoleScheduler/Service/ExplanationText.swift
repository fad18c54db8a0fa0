public import Farm
public import RoleSchedulerCore

/// A reason of the scheduler's as scripts and as people read it: a code that stays the same, what it is
/// about, and a sentence.
public struct Reason: Hashable, Sendable {
    /// "down-window", "cordoned", …
    public var code: String
    public var text: String
    /// The other role that it is about.
    public var role: Role?
    /// Seconds left, a share or a count, as the code says.
    public var value: Double?

    init(_ code: String, _ text: String, role: Role? = nil, value: Double? = nil) {
        self.code = code
        self.text = text
        self.role = role
        self.value = value
    }
}

extension Bound {
    public var reason: Reason {
        switch self {
        case .demand: Reason("demand", "demand")
        case .prediction: Reason("prediction", "what was sent will come back soon")
        case .minimum: Reason("minimum", "minimum")
        case .maximum: Reason("maximum", "maximum")
        case .tolerance: Reason("tolerance", "demand is within tolerance")
        case .saturation: Reason("saturation", "arrivals are at what its members can take")
        case .latency(let signal): Reason("latency", "\(signal) is over its limit")
        case .signalLoss: Reason("signal-loss", "signal missing: keeps what it has")
        case .fallback: Reason("fallback", "signal missing: fallback")
        case .upWindow(let share):
            Reason(
                "up-window",
                "demand is up, for \(Int(share * 100)) % of the up window; half is needed",
                value: share)
        case .downWindow(let left):
            Reason(
                "down-window", "demand is down; it must stay so \(whole(left)) s more",
                value: left.inSeconds)
        case .shareOfFarm(let share):
            Reason(
                "share-of-farm",
                "its share of the farm, \(Int((share * 100).rounded())) %", value: share)
        case .share: Reason("share", "too few machines that may hold it")
        case .phase(let name): Reason("phase", "the limit of phase '\(name)'")
        case .soak: Reason("soak", "soaks spare machines")
        }
    }
}

extension Delay {
    public var reason: Reason {
        switch self {
        case .frozen(let down, let all):
            Reason("frozen", "frozen: \(down) of \(all) machines are down", value: Double(down))
        case .starting(let awaited):
            Reason(
                "starting", "just started: \(awaited) machines have not reported yet",
                value: Double(awaited))
        case .inflight(let moving):
            Reason(
                "inflight", "movement limit: \(moving) machines are moving", value: Double(moving))
        case .gap(let left):
            Reason("gap", "next move in \(whole(left)) s", value: left.inSeconds)
        case .warming(let count): Reason("warming", "\(count) warming up", value: Double(count))
        case .canary(let smurf, let left):
            Reason(
                "canary", "\(smurf) goes first: the next in \(whole(left)) s if it serves well",
                value: left.inSeconds)
        case .drain: Reason("drain", "waits for a drain")
        case .noMachine: Reason("no-machine", "no machine can be spared")
        case .noneSpare: Reason("none-spare", "has more than its target, but nobody may leave yet")
        case .inTurn: Reason("in-turn", "gives up what it has too much, one after the other")
        }
    }
}

extension WhyNot {
    public var reason: Reason {
        switch self {
        case .member: Reason("member", "has the role")
        case .joining: Reason("joining", "not healthy for long enough yet")
        case .quarantined: Reason("quarantined", "quarantined for falling: 'smurf release' ends it")
        case .unfit: Reason("unfit", "silent, or not ready for what it serves")
        case .doubted(let doubt):
            Reason(doubt == .blackHole ? "black-hole" : "check-fails", doubt.description)
        case .awaited: Reason("awaited", "not heard since the control node started")
        case .held: Reason("held", "held by an operator")
        case .cordoned: Reason("cordoned", "cordoned by an operator")
        case .moved(let role):
            Reason("moved", "an operator wants it in \(role)", role: role)
        case .pinned(let role): Reason("pinned", "the policy pins it to \(role)", role: role)
        case .forbidden: Reason("forbidden", "the policy bars it from the role")
        case .lacks(let label): Reason("lacks", "has no label \(label), which the role needs")
        case .warming(let role): Reason("warming", "warming up for \(role)", role: role)
        case .draining(let role):
            Reason("draining", "on its way out of \(role): free soon", role: role)
        case .moving: Reason("moving", "has just begun to move")
        case .dwell(let role, let left):
            Reason(
                "dwell", "in \(role) too short: may leave in \(whole(left)) s", role: role,
                value: left.inSeconds)
        case .needed(let role):
            Reason("needed", "\(role) has no more than its target", role: role)
        case .floor(let role):
            Reason("floor", "\(role) would have fewer healthy members than its floor", role: role)
        }
    }
}

/// Seconds, rounded up: "in 0 s" would be now.
private func whole(_ duration: Duration) -> Int {
    Int(min(duration.inSeconds.rounded(.up), 1e9))
}

extension RawDemand {
    /// The formula with its numbers.
    public var text: String {
        let lack = missing.joined(separator: ", ")
        guard let formula else {
            return missing.isEmpty ? "floor \(rounded(members))" : "signal missing: \(lack)"
        }
        let measured = formula.measured.map { " as measured (\(rounded($0))/s)" } ?? ""
        let predicted = formula.predicted.map { "\(rounded($0))/s soon, now " } ?? ""
        return "(\(predicted)\(rounded(formula.arrival))/s + \(rounded(formula.backlog))/"
            + "\(rounded(formula.seconds))s) / (\(rounded(formula.capacity))/s\(measured) × "
            + "\(rounded(formula.utilisation))) = \(rounded(members))"
            + (missing.isEmpty ? "" : ", without \(lack)")
    }

    private func rounded(_ value: Double) -> String {
        let tenths = (Swift.min(value, 1e12) * 10).rounded() / 10
        return tenths == tenths.rounded() ? String(Int(tenths)) : String(tenths)
    }
}

extension RoleExplanation {
    /// In one line: the numbers' way, and the reason of the last that matters.
    public var text: String {
        let reasons = [bound.reason.text] + (delay.map { [$0.reason.text] } ?? [])
        return "\(raw.text) → \(setpoint) → \(target): \(reasons.joined(separator: "; "))"
    }
}
