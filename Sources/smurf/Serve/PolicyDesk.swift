import ArgumentParser
import Crypto
import Farm
import FarmProtocol
import Foundation
import GRPCCore
import Logging
import RoleScheduler
import RoleSchedulerCore
import SwiftProtobuf

/// Where an operator brings another policy: it is held against the zone and the farm as it stands, and when it
/// is to be applied, written to the policy's file and taken up as by SIGHUP.
struct PolicyDesk: Sendable {
    let scheduler: RoleSchedulerService
    let sources: FarmSources
    let logger: Logger
    /// Takes up what the files say now.
    let reload: @Sendable () async throws -> Void

    func answer(_ request: Smurffarm_V1_PolicyRequest) async throws -> Smurffarm_V1_PolicyView {
        let policy = try checked(request.text)
        let preview = await scheduler.preview(policy)
        if request.apply {
            guard preview.emptied.isEmpty || request.force else {
                throw RPCError(
                    code: .failedPrecondition,
                    message: "names would become empty: "
                        + preview.emptied.joined(separator: "; ") + "; --force does it anyway")
            }
            try await refuseForOthers(request)
            try await apply(request, preview.differences)
        }
        let standing = await scheduler.standing
        var view = view(preview, isApplied: request.apply)
        view.others = standing.nodes.map(\.node).filter { $0 != standing.node }
        return view
    }

    /// - Throws: `invalidArgument` with every fault of the text.
    private func checked(_ text: Data) throws -> Policy {
        guard let string = String(validating: text, as: UTF8.self) else {
            throw RPCError(code: .invalidArgument, message: "the policy is not UTF-8 text")
        }
        let policy: Policy
        do throws(PolicyErrors) {
            policy = try parsePolicy(string, file: sources.policyPath).policy
        } catch {
            throw RPCError(code: .invalidArgument, message: error.description)
        }
        guard policy.zone == sources.policy.zone else {
            throw RPCError(
                code: .invalidArgument,
                message: "the policy is for '\(policy.zone)', but this control node serves "
                    + "'\(sources.policy.zone)'")
        }
        return policy
    }

    /// Each node of a farm with several follows a file of its own, whoever leads: one that knows nothing of the new policy
    /// would go back to the old one as soon as it comes to lead.
    private func refuseForOthers(_ request: Smurffarm_V1_PolicyRequest) async throws {
        if !request.reason.isEmpty {
            do throws(OverrideError) {
                _ = try OperatorReason(request.reason)
            } catch {
                throw RPCError(code: .invalidArgument, message: error.description)
            }
        }
        let standing = await scheduler.standing
        let names = standing.nodes.map(\.node).sorted()
        guard names.contains(where: { $0 != standing.node }), !request.thisNode else { return }
        throw RPCError(
            code: .failedPrecondition,
            message: PolicyDesk.othersHint(names, leader: standing.leader?.node))
    }

    static func othersHint(_ names: [String], leader: String?) -> String {
        "this farm has the control nodes \(names.joined(separator: ", ")), and each follows a policy file of "
            + "its own: say 'smurf policy apply FILE --this-node' at every one of them"
            + (leader.map { ", at '\($0)', which leads, last" } ?? "")
    }

    private func apply(
        _ request: Smurffarm_V1_PolicyRequest, _ differences: [PolicyDifference]
    ) async throws {
        let path = sources.policyPath
        let before = FileManager.default.contents(atPath: path)
        do {
            try request.text.write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw RPCError(
                code: .failedPrecondition,
                message:
                    "the control node cannot write \(path) (\(error.localizedDescription)): copy the "
                    + "file there yourself and send SIGHUP")
        }
        do {
            try await reload()
        } catch {
            // All or nothing: the next start must find what is followed.
            try? before?.write(to: URL(fileURLWithPath: path), options: .atomic)
            throw RPCError(
                code: .failedPrecondition,
                message: "the policy does not fit the zone file; the control node's log says why")
        }
        let (old, new) = (PolicyDesk.digest(before ?? Data()), PolicyDesk.digest(request.text))
        logger.notice(
            "policy applied",
            metadata: [
                "operator": "\(request.operator)", "why": "\(request.reason)", "from": "\(old)",
                "to": "\(new)",
            ])
        do {
            _ = try await scheduler.notePolicy(
                from: old, to: new, by: request.operator, reason: request.reason, differences)
        } catch {
            logger.error("the history does not know of the new policy: \(error)")
        }
    }

    /// The first digits of a text's SHA-256: `sha256sum FILE` begins with them.
    private static func digest(_ text: Data) -> String {
        SHA256.hash(data: text).prefix(6).hexadecimal
    }

    private func view(_ preview: PolicyPreview, isApplied: Bool) -> Smurffarm_V1_PolicyView {
        .with {
            $0.current = FileManager.default.contents(atPath: sources.policyPath) ?? Data()
            $0.path = sources.policyPath
            $0.changes = preview.differences.map { change in
                .with {
                    $0.key = change.key
                    $0.old = change.old ?? ""
                    $0.new = change.new ?? ""
                    $0.text = change.text
                }
            }
            $0.moves = preview.outlook.moves.map { move in
                .with {
                    $0.second = UInt32(clamping: move.second)
                    $0.smurf = move.action.smurf.name
                    $0.from = move.action.from.description
                    $0.to = move.action.to.description
                    $0.why = move.action.why
                }
            }
            $0.moveCount = UInt32(clamping: preview.outlook.count)
            $0.atRest = preview.outlook.isAtRest
            $0.roles = preview.roles.map { line in
                .with {
                    $0.role = line.role.name
                    $0.now = UInt32(clamping: line.now)
                    $0.then = UInt32(clamping: line.then)
                }
            }
            $0.emptied = preview.emptied
            $0.applied = isApplied
        }
    }
}
