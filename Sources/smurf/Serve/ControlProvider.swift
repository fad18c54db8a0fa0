import AuthDNS
import Farm
import FarmProtocol
import GRPCCore
import RoleScheduler
import SwiftProtobuf

/// The control node's side of the operator's commands.
struct ControlProvider: Smurffarm_V1_Control.SimpleServiceProtocol {
    let scheduler: RoleSchedulerService
    let board: BoardSource
    let deliveries: Deliveries
    let zone: ZoneDesk
    let policies: PolicyDesk

    func policy(
        request: Smurffarm_V1_PolicyRequest, context: ServerContext
    ) async throws -> Smurffarm_V1_PolicyView {
        try await policies.answer(request)
    }

    func keys(
        request: Smurffarm_V1_KeysRequest, context: ServerContext
    ) async throws -> Smurffarm_V1_KeysView {
        try await zone.keys(request)
    }

    func challenge(
        request: Smurffarm_V1_ChallengeRequest, context: ServerContext
    ) async throws -> Smurffarm_V1_ChallengeReply {
        try await zone.challenge(request)
    }

    func statistics(
        request: Smurffarm_V1_StatisticsRequest, context: ServerContext
    ) async throws -> Smurffarm_V1_StatisticsView {
        let text = await ClusterGauges.text(zone.nameServer, scheduler)
        return .with { $0.text = text }
    }

    func board(
        request: Smurffarm_V1_BoardRequest, response: RPCWriter<Smurffarm_V1_BoardView>,
        context: ServerContext
    ) async throws {
        try await response.write(await board.view())
        while request.watch, !Task.isCancelled {
            try await Task.sleep(for: .seconds(1))
            try await response.write(await board.view())
        }
    }

    func explain(
        request: Smurffarm_V1_ExplainRequest, context: ServerContext
    ) async throws -> Smurffarm_V1_ExplainView {
        do {
            return try await ExplanationSource(scheduler: scheduler, zone: board.zone)
                .view(of: request.subject)
        } catch let error as OverrideError {
            throw RPCError(code: .notFound, message: error.description)
        }
    }

    func override(
        request: Smurffarm_V1_OverrideRequest, context: ServerContext
    ) async throws -> Smurffarm_V1_OverrideReply {
        guard let id = SmurfID(request.smurf) else {
            throw RPCError(code: .invalidArgument, message: "'\(request.smurf)' is no smurf id")
        }
        let seconds = request.forSeconds > 0 ? min(request.forSeconds, 366 * 86_400) : 3600
        let duration = Duration.seconds(seconds)
        do {
            let said = try await apply(request, id, duration)
            return .with { $0.said = said }
        } catch let error as OverrideError {
            throw RPCError(code: .failedPrecondition, message: error.description)
        } catch let error as RPCError {
            throw error
        } catch {
            throw RPCError(
                code: .internalError, message: "the farm's state cannot be written: \(error)")
        }
    }

    private func apply(
        _ request: Smurffarm_V1_OverrideRequest, _ id: SmurfID, _ duration: Duration
    ) async throws -> String {
        let (reason, by) = (request.reason, request.operator)
        let time = spoken(seconds: duration.inSeconds)
        switch request.action {
        case .move:
            guard let role = Role(request.role) else {
                throw RPCError(code: .invalidArgument, message: "'\(request.role)' is no role")
            }
            try await scheduler.move(id, to: role, for: duration, reason: reason, by: by)
            return "\(id) moves to \(role) for \(time); 'smurf release \(id)' ends it"
        case .hold:
            try await scheduler.hold(id, for: duration, reason: reason, by: by)
            return "\(id) is drained and held for \(time); 'smurf release \(id)' ends it"
        case .release:
            try await scheduler.release(id, reason: reason, by: by)
            let isCordoned = await scheduler.isCordoned(id)
            return "\(id) is the scheduler's again"
                + (isCordoned ? ", but still cordoned; 'smurf uncordon \(id)' ends that" : "")
        case .pin:
            let role = try await pin(request, id, duration)
            return "\(id) stays in \(role) for \(time); 'smurf release \(id)' ends it"
        case .cordon:
            try await scheduler.cordon(id, for: duration, reason: reason, by: by)
            return "\(id) stays where it is for \(time); 'smurf uncordon \(id)' ends it"
        case .uncordon:
            try await scheduler.uncordon(id, reason: reason, by: by)
            return "\(id) may take roles again"
        case .unspecified, .UNRECOGNIZED:
            throw RPCError(code: .invalidArgument, message: "an override needs an action")
        }
    }

    private func pin(
        _ request: Smurffarm_V1_OverrideRequest, _ id: SmurfID, _ duration: Duration
    ) async throws -> Role {
        let role = Role(request.role)
        guard role != nil || request.role.isEmpty else {
            throw RPCError(code: .invalidArgument, message: "'\(request.role)' is no role")
        }
        return try await scheduler.pin(
            id, to: role, for: duration, reason: request.reason, by: request.operator)
    }

    func history(
        request: Smurffarm_V1_HistoryRequest, context: ServerContext
    ) async throws -> Smurffarm_V1_HistoryList {
        let entries = try await scheduler.history(limit: Int(request.limit))
        return .with {
            $0.lines = entries.map(ExplanationSource.line)
        }
    }
}
