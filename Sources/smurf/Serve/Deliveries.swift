import Delivery
import DeliveryCore
import Farm
import FarmProtocol
import Foundation
import GRPCCore
import Logging
import RoleScheduler
import RoleSchedulerCore
import Synchronization

/// The delivery core as a control node runs it: ledger, feeder, monitor and the farm's token keys, together
/// with what every mailing gets from this node: bounce domain, unsubscribe link, sender name.
final class Deliveries: Sendable {
    /// What the command line says of it.
    struct Options: Sendable {
        var feedPort: UInt16
        /// nil: the web role's name.
        var unsubscribeBase: String?
        var leaseTime: Duration
        /// Who is asked for the farm's names; nil: this node itself.
        var resolver: Endpoint?
        var tokenDays: Int
    }

    let ledger: SQLiteLedger
    let monitor: MailingMonitor
    let feeder: Feeder
    let tokenKeys: [[UInt8]]
    let zone: String
    private let names: Mutex<MailNames>
    private let ownUnsubscribeBase: String?
    private let tokenDays: Int
    private let logger: Logger

    /// - Parameter nameServer: where this node answers DNS.
    init(
        _ options: Options, policy: Policy, dataDirectory: String, nameServer: Endpoint,
        certificate: MachineCertificate?, logger: Logger
    ) throws {
        self.logger = logger
        zone = policy.zone
        ownUnsubscribeBase = options.unsubscribeBase
        names = Mutex(MailNames(policy, unsubscribeBase: options.unsubscribeBase))
        tokenDays = options.tokenDays
        tokenKeys = try TokenKeyFile.keys(inDirectory: dataDirectory)
        ledger = try SQLiteLedger(directory: dataDirectory)
        monitor = MailingMonitor(ledger: ledger)
        let upstream: Resolver.Upstream =
            if let own = options.resolver {
                .forward([Resolver.Server(address: own.address, port: own.port)])
            } else {
                .stub(
                    zone: policy.zone,
                    servers: [Resolver.Server(address: nameServer.address, port: nameServer.port)])
            }
        var feeding = Feeder.Configuration(
            names: policy.addressNames(of: .smtpOut), port: options.feedPort,
            certificate: certificate, core: policy.zone, zone: policy.zone)
        feeding.leaseTime = options.leaseTime
        feeder = Feeder(
            feeding, ledger: ledger, resolver: try Resolver(upstream), logger: logger)
    }

    /// What a mailing of this name is sent with.
    func identity(name: String, listID: String, from: String) -> MailingIdentity {
        let now = Int64(Date().timeIntervalSince1970)
        let names = names.withLock { $0 }
        return MailingIdentity(
            name: name, listID: listID, from: from, bounceDomain: names.bounceDomain,
            unsubscribeBase: names.unsubscribeBase,
            feedbackSender: String(zone.prefix { $0 != "." }), date: now,
            tokenExpiryDay: UInt16(clamping: Int(now / 86_400) + tokenDays))
    }

    var bounceDomain: String { names.withLock { $0.bounceDomain } }

    /// Takes a new policy up: the names that are fed. What is in every mailing stays until the next start, or until this
    /// node begins to lead another time, because mailings that are under way rely on it.
    func follow(_ policy: Policy) async {
        await feeder.follow(names: policy.addressNames(of: .smtpOut))
        let own = bounceDomain
        if policy.bounceDomain != own {
            logger.warning("the bounce domain stays \(own) until the next start")
        }
    }

    /// Feeds and reports demand while this node leads, until the task is cancelled.
    func run(_ scheduler: RoleSchedulerService) async throws {
        while !Task.isCancelled {
            guard await scheduler.leads else {
                try? await Task.sleep(for: .milliseconds(100))
                continue
            }
            let policy = await scheduler.policy
            names.withLock { [ownUnsubscribeBase] in
                $0 = MailNames(policy, unsubscribeBase: ownUnsubscribeBase)
            }
            // Of several nodes the one that feeds last must have the greatest epoch, whatever its ledger has counted.
            if await scheduler.standing.isShared {
                try await ledger.beginEpoch(atLeast: UInt64(Date().timeIntervalSince1970))
            }
            await withTaskGroup(of: Void.self) { group in
                group.addTask { [feeder] in await feeder.run() }
                group.addTask { await self.reportDemand(to: scheduler) }
                group.addTask { await self.letGo(of: scheduler) }
                while await scheduler.leads, !Task.isCancelled {
                    try? await Task.sleep(for: .milliseconds(100))
                }
                group.cancelAll()
            }
        }
    }

    /// Tells the scheduler, while a machine drains that only cores have to let go of, what this core is done with.
    private func letGo(of scheduler: RoleSchedulerService) async {
        while !Task.isCancelled {
            if await scheduler.awaitsCores, let asOf = await scheduler.answeredAsOf,
                let uses = await feeder.lookAgain()
            {
                await scheduler.note(core: zone, asOf: asOf, uses: uses)
            }
            try? await Task.sleep(for: .milliseconds(250))
        }
    }

    private func reportDemand(to scheduler: RoleSchedulerService) async {
        // Else what came before the first look would be missing from the trace.
        await scheduler.note(await monitor.counts)
        while !Task.isCancelled {
            do {
                for (signal, value) in try await monitor.look() {
                    await scheduler.note(signal, value)
                }
                await scheduler.note(await monitor.counts)
            } catch {
                logger.error("cannot look at the ledger: \(error)")
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    /// Takes in what agents have collected.
    /// - Returns: when all of it is on disk.
    func deposit(_ items: [Smurffarm_V1_Feedback]) async throws {
        let feedback = items.compactMap(RecipientFeedback.init)
        try await ledger.record(feedback, now: Int64(Date().timeIntervalSince1970))
    }
}

/// What stands in every mailing and comes from the policy.
private struct MailNames: Sendable {
    var bounceDomain: String
    var unsubscribeBase: String

    /// - Parameter unsubscribeBase: nil: the web role's name.
    init(_ policy: Policy, unsubscribeBase: String?) {
        bounceDomain = policy.bounceDomain
        self.unsubscribeBase =
            unsubscribeBase
            ?? policy.addressNames(of: .web).first.map { "https://\($0)/u/" } ?? ""
    }
}

extension Policy {
    /// Full names with addresses of the roles that run `service`, without trailing dot.
    func addressNames(of service: Service) -> [String] {
        roles.filter { $0.service == service }.flatMap(\.names)
            .filter { $0.kind == .address }
            .map { $0.owner == "@" ? zone : $0.owner + "." + zone }
    }
}

extension RecipientFeedback {
    init?(_ item: Smurffarm_V1_Feedback) {
        let kind: Kind
        switch item.kind {
        case .bounce: kind = .bounce
        case .unsubscribe: kind = .unsubscribe
        case .complaint: kind = .complaint
        case .unspecified, .UNRECOGNIZED: return nil
        }
        self.init(
            kind: kind, mailing: item.mailing, recipient: item.recipient, status: item.status,
            diagnostic: item.diagnostic)
    }
}
