import AuthDNS
import AuthDNSCore
import FarmProtocol
import Foundation
import GRPCCore
import Logging
import SwiftProtobuf
import ZoneFile

/// The operator's commands about the zone itself: its keys, what the parent should know of them, and records that
/// are wanted for a while.
struct ZoneDesk: Sendable {
    let nameServer: NameServer
    /// Whether other control nodes answer for the zone too.
    let isShared: Bool
    let logger: Logger

    func keys(_ request: Smurffarm_V1_KeysRequest) async throws -> Smurffarm_V1_KeysView {
        var said = ""
        do {
            said = try await ControlNode.offPool { [nameServer] in
                switch request.action {
                case .list, .UNRECOGNIZED: return ""
                case .replace:
                    try nameServer.replaceKey(isEntryPoint: request.entryPoint)
                    return "a new key is published; it takes over when caches allow"
                case .encrypt:
                    let count = try nameServer.encryptKeys()
                    return count == 0
                        ? "every key on disk is encrypted" : "keys encrypted on disk: \(count)"
                case .unsign:
                    try nameServer.unsign()
                    return "the parent is asked to remove its DS records; the zone stays signed"
                case .undelegated:
                    try nameServer.noteUndelegation()
                    return
                        "noted: the parent has no DS records; signatures go when caches have forgotten them"
                case .sign:
                    try nameServer.sign()
                    return "the zone is signed, and the parent is asked for DS records in time"
                case .delegated:
                    let tag = request.tag == 0 ? nil : UInt16(clamping: request.tag)
                    let key = try nameServer.noteDelegation(of: tag)
                    return "noted: the parent points at key \(key.key.tag)"
                }
            }
        } catch let error as NameServerError {
            throw RPCError(code: .failedPrecondition, message: error.description)
        }
        if !said.isEmpty { logger.notice("\(request.operator): \(said)") }
        return view(said)
    }

    private func view(_ said: String) -> Smurffarm_V1_KeysView {
        let delegation = Delegation(
            of: nameServer.image, entryPoints: nameServer.entryPoints)
        let encrypted = nameServer.encryptedKeys
        return .with {
            $0.zone = delegation.apex.description
            $0.said = said
            $0.keys = nameServer.keys.map {
                ZoneDesk.view($0, isEncrypted: encrypted.contains($0.key))
            }
            $0.nameServers = delegation.nameServers.map(\.description).sorted()
            $0.glue = delegation.glue.map(Presentation.address).sorted()
            $0.ds = delegation.keys.map(Presentation.delegation).sorted()
        }
    }

    private static func view(_ key: TimedKey, isEncrypted: Bool) -> Smurffarm_V1_KeyView {
        .with {
            $0.tag = UInt32(key.key.tag)
            $0.algorithm = key.key.algorithm.mnemonic
            $0.entryPoint = key.key.isEntryPoint
            $0.state = key.state
            $0.created = Int64(key.created)
            $0.published = Int64(key.published ?? 0)
            $0.announced = Int64(key.announced ?? 0)
            $0.delegated = Int64(key.delegated ?? 0)
            $0.activated = Int64(key.activated ?? 0)
            $0.retired = Int64(key.retired ?? 0)
            $0.removed = Int64(key.removed ?? 0)
            $0.encrypted = isEncrypted
            $0.withdrawn = Int64(key.withdrawn ?? 0)
            $0.undelegated = Int64(key.undelegated ?? 0)
        }
    }

    func challenge(
        _ request: Smurffarm_V1_ChallengeRequest
    ) async throws -> Smurffarm_V1_ChallengeReply {
        guard !isShared else {
            throw RPCError(
                code: .failedPrecondition,
                message:
                    "only this one of the control nodes would answer it: write it into every node's zone file "
                    + "and send SIGHUP")
        }
        let apex = nameServer.image.apex
        let asked = request.name == "@" ? apex : apex.prepending(request.name)
        guard let name = asked else {
            throw RPCError(
                code: .invalidArgument, message: "'\(request.name)' is no name under \(apex)")
        }
        let seconds = UInt64(min(max(request.forSeconds, 1), 30 * 86_400))
        do {
            let said = try await ControlNode.offPool { [nameServer] in
                guard request.remove else {
                    try nameServer.addChallenge(request.value, for: name, seconds: seconds)
                    let time = spoken(seconds: Double(seconds))
                    return "_acme-challenge.\(name) answers it for \(time)"
                }
                let value = request.value.isEmpty ? nil : request.value
                let count = try nameServer.removeChallenge(value, for: name)
                return "\(count) taken away from _acme-challenge.\(name)"
            }
            return .with { $0.said = said }
        } catch let error as NameServerError {
            throw RPCError(code: .failedPrecondition, message: error.description)
        }
    }
}
