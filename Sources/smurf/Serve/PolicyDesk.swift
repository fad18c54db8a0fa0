import Crypto
import Farm
import FarmProtocol
import Foundation
import GRPCCore
import Logging
import RoleScheduler
import RoleSchedulerCore
import SwiftProtobuf

/// Where an operator brings another policy: it is held against the zone and the farm as it stands, and applied on
/// demand. A node that is alone writes it to its policy's file and takes it up as by SIGHUP; of several nodes the leader
/// writes it into the farm's record, where all find it.
struct PolicyDesk: Sendable {
    let scheduler: RoleSchedulerService
    let sources: FarmSources
    let logger: Logger
    /// Takes up what the files say now.
    let reload: @Sendable () async throws -> Void

    func answer(_ request: Smurffarm_V1_PolicyRequest) async throws -> Smurffarm_V1_PolicyView {
        if request.release, await scheduler.farmPolicy == nil { return await followed() }
        guard request.release || !request.text.isEmpty else { return await followed() }
        let policy =
            request.release ? await scheduler.filePolicy : try checked(request.text)
        let preview = await scheduler.preview(policy)
        if request.apply {
            guard preview.emptied.isEmpty || request.force else {
                throw RPCError(
                    code: .failedPrecondition,
                    message: "names would become empty: "
                        + preview.emptied.joined(separator: "; ") + "; --force does it anyway")
            }
            try checkReason(request)
            if await scheduler.standing.isShared {
                try await applyToFarm(request, policy, preview.differences)
            } else {
                try await applyHere(request, preview.differences)
            }
        }
        var view = await followed()
        PolicyDesk.fill(&view, with: preview)
        view.applied = request.apply
        return view
    }

    /// - Throws: `invalidArgument` with every fault of the text.
    private func checked(_ text: Data) throws -> Policy {
        guard let string = String(validating: text, as: UTF8.self) else {
            throw RPCError(code: .invalidArgument, message: "the policy is not UTF-8 text")
        }
        let policy: Policy
        do throws(PolicyErrors) {
            policy = try parsePolicy(string, file: "the policy").policy
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

    private func checkReason(_ request: Smurffarm_V1_PolicyRequest) throws {
        guard !request.reason.isEmpty else { return }
        do throws(OverrideError) {
            _ = try OperatorReason(request.reason)
        } catch {
            throw RPCError(code: .invalidArgument, message: error.description)
        }
    }

    private static let misfit =
        "the policy does not fit the zone file; the control node's log says why"

    /// - Throws: `failedPrecondition` when something else is followed by now than the operator has seen.
    private func checkBase(_ request: Smurffarm_V1_PolicyRequest, _ followed: String) throws {
        guard request.base.isEmpty || request.base == followed else {
            throw RPCError(
                code: .failedPrecondition,
                message:
                    "another policy is followed by now (\(followed)): look again at what yours changes"
            )
        }
    }

    // MARK: Several control nodes

    private func applyToFarm(
        _ request: Smurffarm_V1_PolicyRequest, _ policy: Policy,
        _ differences: [PolicyDifference]
    ) async throws {
        if let refusal = await scheduler.refusal {
            throw RPCError(code: .failedPrecondition, message: refusal)
        }
        guard request.text.count <= FarmPolicy.longest else {
            throw RPCError(
                code: .invalidArgument,
                message: "the policy has \(request.text.count) octets; "
                    + "\(FarmPolicy.longest) go into etcd with the farm")
        }
        do {
            _ = try CheckedZone(at: sources.zonePath, for: policy, mail: sources.mail)
        } catch {
            throw RPCError(code: .failedPrecondition, message: PolicyDesk.misfit)
        }
        let own = FileManager.default.contents(atPath: sources.policyPath) ?? Data()
        // What would be followed was read at the start or at the last SIGHUP: it is what was looked at and checked.
        if request.release { try checkIsRead(policy) }
        if await scheduler.farmPolicy == nil { try checkBase(request, PolicyDesk.digest(own)) }
        let new = FarmPolicy(
            text: request.release ? "" : String(decoding: request.text, as: UTF8.self),
            digest: request.release ? "" : PolicyDesk.digest(request.text), by: request.operator,
            reason: request.reason, unixTime: Int64(Date().timeIntervalSince1970),
            node: await scheduler.standing.node)
        do {
            try await scheduler.applyToFarm(
                new, over: request.base, file: PolicyDesk.digest(own), differences)
        } catch let error as OverrideError {
            throw RPCError(code: .failedPrecondition, message: error.description)
        } catch FarmStoreFault.unreachable(let why) {
            throw RPCError(
                code: .unavailable,
                message: "etcd did not say whether it has the policy (\(why)): "
                    + "'smurf policy show' says it once etcd answers again")
        } catch {
            throw RPCError(code: .failedPrecondition, message: "nothing was changed: \(error)")
        }
    }

    /// - Throws: when the file says something else by now than what would be followed.
    private func checkIsRead(_ policy: Policy) throws {
        var own = try? FarmSources.policy(at: sources.policyPath)
        own?.staticLabels = policy.staticLabels
        guard own != policy else { return }
        throw RPCError(
            code: .failedPrecondition,
            message:
                "\(sources.policyPath) was changed after this node had read it: send SIGHUP to "
                + "the control nodes first")
    }

    // MARK: A node that is alone

    private func applyHere(
        _ request: Smurffarm_V1_PolicyRequest, _ differences: [PolicyDifference]
    ) async throws {
        let path = sources.policyPath
        let before = FileManager.default.contents(atPath: path)
        let (old, new) = (PolicyDesk.digest(before ?? Data()), PolicyDesk.digest(request.text))
        try checkBase(request, old)
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
            throw RPCError(code: .failedPrecondition, message: PolicyDesk.misfit)
        }
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

    // MARK: What is shown

    /// What is followed now, and whether another policy can be applied here.
    private func followed() async -> Smurffarm_V1_PolicyView {
        let farm = await PolicyDesk.farmPolicy(of: scheduler)
        let text = await scheduler.farmPolicy.map { Data($0.text.utf8) }
        let refusal = await scheduler.refusal ?? ""
        let isShared = await scheduler.standing.isShared
        let current = text ?? FileManager.default.contents(atPath: sources.policyPath) ?? Data()
        return .with {
            $0.current = current
            $0.digest = PolicyDesk.digest(current)
            $0.path = sources.policyPath
            $0.shared = isShared
            $0.refusal = refusal
            if let farm { $0.farm = farm }
        }
    }

    /// The policy that was applied to the farm, in the words of the protocol; nil while none was.
    static func farmPolicy(
        of scheduler: RoleSchedulerService
    ) async -> Smurffarm_V1_FarmPolicy? {
        guard let farm = await scheduler.farmPolicy else { return nil }
        let (differs, trouble) = (await scheduler.fileDiffers, await scheduler.policyTrouble)
        return .with {
            $0.digest = farm.digest
            $0.operator = farm.by
            $0.reason = farm.reason
            $0.unixTime = farm.unixTime
            $0.node = farm.node
            $0.fileDiffers = differs
            $0.trouble = trouble
        }
    }

    private static func fill(
        _ view: inout Smurffarm_V1_PolicyView, with preview: PolicyPreview
    ) {
        view.changes = preview.differences.map { change in
            .with {
                $0.key = change.key
                $0.old = change.old ?? ""
                $0.new = change.new ?? ""
                $0.text = change.text
            }
        }
        view.moves = preview.outlook.moves.map { move in
            .with {
                $0.second = UInt32(clamping: move.second)
                $0.smurf = move.action.smurf.name
                $0.from = move.action.from.description
                $0.to = move.action.to.description
                $0.why = move.action.why
            }
        }
        view.moveCount = UInt32(clamping: preview.outlook.count)
        view.atRest = preview.outlook.isAtRest
        view.roles = preview.roles.map { line in
            .with {
                $0.role = line.role.name
                $0.now = UInt32(clamping: line.now)
                $0.then = UInt32(clamping: line.then)
            }
        }
        view.emptied = preview.emptied
    }
}
