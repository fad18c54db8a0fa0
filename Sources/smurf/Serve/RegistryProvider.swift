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
        try await take(first, id)
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
                try await take(report, id)
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

    private func take(_ report: Smurffarm_V1_AgentReport, _ id: SmurfID) async throws {
        try await hand(report, id, to: scheduler)
        guard report.webP95Ms > 0 else { return }
        await deliveries.monitor.note(latency: report.webP95Ms / 1000, of: id.name)
    }

    /// All that the scheduler has to do for a report, in one visit: a thousand come each second.
    private func hand(
        _ report: Smurffarm_V1_AgentReport, _ id: SmurfID,
        to scheduler: isolated RoleSchedulerService
    ) throws {
        try checkThatThisNodeLeads(scheduler)
        let addresses = report.addresses.compactMap { IPAddress($0) }
        let sum = report.sent.addingReportingOverflow(report.bounces)
        let work = sum.overflow ? report.sent : sum.partialValue
        do {
            try scheduler.report(
                smurf: id, addresses: Array(addresses.prefix(16)), ready: report.ready,
                role: Role(report.role), connections: Int(report.connections), load: report.load,
                work: work &+ report.unsubscribes,
                labels: report.labels.prefix(16).compactMap { Label($0) })
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
