import Farm
import NIOCore
import NIOPosix
import RoleSchedulerCore

/// One machine to be checked from outside.
struct CheckTarget: Sendable {
    var id: SmurfID
    var role: Role
    var addresses: [IPAddress]
    var rule: CheckRule
    /// Named in EHLO and Host.
    var zone: String
}

/// What the checks of a machine in a role have come to.
struct CheckedMember: Sendable {
    var role: Role
    var state = CheckState()
}

/// Looks at members from outside, as clients would: each by its role's rule, at times of its own, a bounded number at
/// once. It judges nothing; the scheduler notes what it finds.
struct HealthChecker: Sendable {
    private let scheduler: RoleSchedulerService
    /// Checks under way at most.
    private static let concurrency = 64

    init(_ scheduler: RoleSchedulerService) { self.scheduler = scheduler }

    /// Checks until the task is cancelled.
    func run() async {
        var nextAt: [SmurfID: ContinuousClock.Instant] = [:]
        var underWay: Set<SmurfID> = []
        await withTaskGroup(of: SmurfID?.self) { group in
            group.addTask { await Self.pause() }
            while let ended = await group.next() {
                if Task.isCancelled { return group.cancelAll() }
                if let id = ended {
                    underWay.remove(id)
                    continue
                }
                let now = ContinuousClock.now
                let targets = await scheduler.checkTargets()
                nextAt = nextAt.filter { id, _ in targets.contains { $0.id == id } }
                for target in targets where !underWay.contains(target.id) {
                    guard underWay.count < Self.concurrency, nextAt[target.id] ?? now <= now else {
                        continue
                    }
                    // Not all at the same moment, and not in step with anything else.
                    nextAt[target.id] = now + target.rule.every * Double.random(in: 0.9...1.1)
                    underWay.insert(target.id)
                    group.addTask {
                        let trouble = await Self.trouble(of: target)
                        if !Task.isCancelled { await scheduler.note(target, trouble) }
                        return target.id
                    }
                }
                group.addTask { await Self.pause() }
            }
        }
    }

    private static func pause() async -> SmurfID? {
        try? await Task.sleep(for: .milliseconds(100))
        return nil
    }

    /// What is wrong with the machine; nil when every address answers well.
    private static func trouble(of target: CheckTarget) async -> String? {
        for address in target.addresses {
            let found = await trouble(at: address, target.rule, target.zone)
            guard let found else { continue }
            return target.addresses.count == 1 ? found : "\(address): \(found)"
        }
        return nil
    }

    private static func trouble(
        at address: IPAddress, _ rule: CheckRule, _ name: String
    ) async -> String? {
        await withTaskGroup(of: String?.self) { group in
            group.addTask { await talk(to: address, rule, name) }
            group.addTask {
                try? await Task.sleep(for: rule.timeout)
                return "no answer in time"
            }
            defer { group.cancelAll() }
            return await group.next() ?? "no answer in time"
        }
    }

    private static func talk(to address: IPAddress, _ rule: CheckRule, _ name: String) async
        -> String?
    {
        do {
            let timeout = TimeAmount.nanoseconds(rule.timeout.clampedNanoseconds)
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(timeout)
                .connect(host: address.description, port: Int(rule.port)) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                            wrappingChannelSynchronously: channel)
                    }
                }
            return try await channel.executeThenClose { inbound, outbound in
                var dialogue = CheckDialogue(rule.kind, name: name)
                var step = dialogue.connected()
                var pieces = inbound.makeAsyncIterator()
                while true {
                    switch step {
                    case .good(let farewell):
                        if !farewell.isEmpty {
                            try? await outbound.write(ByteBuffer(bytes: farewell))
                        }
                        return nil
                    case .bad(let trouble): return trouble
                    case .say(let octets): try await outbound.write(ByteBuffer(bytes: octets))
                    case .wait: break
                    }
                    guard let piece = try await pieces.next() else {
                        return trouble(dialogue.ended())
                    }
                    step = dialogue.heard(piece.readableBytesView)
                }
            }
        } catch let error as IOError {
            return String(
                describing: error.errnoCode == ECONNREFUSED ? "connection refused" : "\(error)")
        } catch {
            return "cannot connect: \(error)"
        }
    }

    private static func trouble(_ step: CheckDialogue.Step) -> String? {
        if case .bad(let text) = step { text } else { nil }
    }
}

extension RoleSchedulerService {
    /// Who is to be checked now: members that hold a role with a check, as they are answered or soon will be. A node that
    /// follows looks too, so that it knows at once when it comes to lead.
    func checkTargets() -> [CheckTarget] {
        // Whoever comes back to a role is looked at anew.
        if !checks.isEmpty {
            checks = checks.filter { id, found in state.smurfs[id]?.assigned == found.role }
        }
        // Most farms have no checks, and this is asked ten times a second.
        let rules = Dictionary(
            policy.roles.compactMap { rule in rule.check.map { (rule.role, $0) } },
            uniquingKeysWith: { first, _ in first })
        guard !rules.isEmpty else { return [] }
        return state.smurfs.compactMap { id, record in
            guard let role = record.assigned, let rule = rules[role] else { return nil }
            return CheckTarget(
                id: id, role: role, addresses: record.addresses, rule: rule, zone: policy.zone)
        }.sorted { $0.id < $1.id }
    }

    /// Members that fail their checks, for the board.
    var failedChecks: [String] {
        checks.keys.sorted().compactMap { id in
            guard let found = checks[id], found.state.isGood == false,
                let rule = policy[found.role]?.check, state.smurfs[id]?.assigned == found.role
            else { return nil }
            return "\(id) fails its check \(rule.name): \(found.state.trouble)"
        }
    }
}
