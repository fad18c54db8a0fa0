import Delivery
import Farm
import FarmProtocol
import Foundation
import GRPCCore
import RoleScheduler
import RoleSchedulerCore
import SwiftProtobuf

/// The control node's side of the agents' protocol: reports go to the scheduler, orders come back as
/// soon as they change. Of several control nodes only the leader takes reports.
struct RegistryProvider: Smurffarm_V1_Registry.SimpleServiceProtocol {
    let scheduler: RoleSchedulerService
    let deliveries: Deliveries

    func attend(
        request: RPCAsyncSequence<Smurffarm_V1_AgentReport, any Error>,
        response: RPCWriter<Smurffarm_V1_RoleOrder>, context: ServerContext
    ) async throws {
        var reports = request.makeAsyncIterator()
        guard let first = try await reports.next() else { return }
        guard let id = SmurfID(first.smurf) else {
            throw RPCError(
                code: .invalidArgument,
                message: "'\(first.smurf)' is no smurf id: use one LDH label")
        }
        var particulars = Particulars(first)
        try await take(first, id, particulars)
        let orders = await scheduler.orders(for: id)
        // A child, so that it runs where this task runs.
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                for await order in orders { try await response.write(self.order(order)) }
            }
            while let report = try await reports.next() {
                guard report.smurf == first.smurf else {
                    throw RPCError(code: .invalidArgument, message: "one stream, one smurf")
                }
                particulars.read(report)
                try await take(report, id, particulars)
            }
        }
    }

    /// Sends an agent on to the control node that leads.
    private func checkThatThisNodeLeads(_ scheduler: isolated RoleSchedulerService) throws {
        guard !scheduler.leads else { return }
        let standing = scheduler.standing
        let leader = standing.leader.map { "'\($0.node)' leads, at \($0.agents)" }
        throw RPCError(
            code: .unavailable,
            message:
                "control node '\(standing.node)' does not lead: \(leader ?? "no node does now")")
    }

    private func take(
        _ report: Smurffarm_V1_AgentReport, _ id: SmurfID, _ particulars: Particulars
    ) async throws {
        try await hand(report, id, particulars, to: scheduler)
        guard report.webP95Ms > 0 else { return }
        await deliveries.monitor.note(latency: report.webP95Ms / 1000, of: id.name)
    }

    /// All that the scheduler has to do for a report, in one visit: a thousand come each second.
    private func hand(
        _ report: Smurffarm_V1_AgentReport, _ id: SmurfID, _ particulars: Particulars,
        to scheduler: isolated RoleSchedulerService
    ) throws {
        try checkThatThisNodeLeads(scheduler)
        let sum = report.sent.addingReportingOverflow(report.bounces)
        let work = sum.overflow ? report.sent : sum.partialValue
        do {
            try scheduler.report(
                smurf: id, addresses: particulars.addresses, ready: report.ready,
                role: particulars.role, connections: Int(report.connections),
                load: report.load, work: work &+ report.unsubscribes, labels: particulars.labels)
        } catch {
            throw RPCError(code: .permissionDenied, message: "\(error)")
        }
    }

    private func order(_ order: Order) -> Smurffarm_V1_RoleOrder {
        .with {
            $0.role = order.role?.name ?? ""
            $0.service = order.service == .none ? "" : order.service.rawValue
            $0.state = BoardSource.state(order.state, isHeld: order.isHeld)
            $0.zone = deliveries.zone
            $0.bounceDomain = deliveries.bounceDomain
            $0.tokenKeys = deliveries.tokenKeys.map { Data($0) }
            $0.version = order.version
        }
    }

    func deposit(
        request: Smurffarm_V1_FeedbackBatch, context: ServerContext
    ) async throws -> Smurffarm_V1_FeedbackReceipt {
        try await checkThatThisNodeLeads(scheduler)
        try await deliveries.deposit(request.items)
        // What was no longer known here is receipted too: asking again would not help.
        return .with { $0.upTo = request.items.map(\.sequence).max() ?? 0 }
    }
}

/// Of a machine's reports what seldom changes, read when it does: a thousand reports come each second.
private struct Particulars {
    private(set) var addresses: [IPAddress] = []
    private(set) var labels: [Label] = []
    private(set) var role: Role?
    private var texts: (addresses: [String], labels: [String], role: String) = ([], [], "")

    init(_ first: Smurffarm_V1_AgentReport) { read(first) }

    mutating func read(_ report: Smurffarm_V1_AgentReport) {
        if report.addresses != texts.addresses {
            texts.addresses = report.addresses
            addresses = Array(report.addresses.compactMap { IPAddress($0) }.prefix(16))
        }
        if report.labels != texts.labels {
            texts.labels = report.labels
            labels = report.labels.prefix(16).compactMap { Label($0) }
        }
        if report.role != texts.role {
            texts.role = report.role
            role = Role(report.role)
        }
    }
}
