import AuthDNS
import AuthDNSCore
import Farm
import FarmProtocol
import Foundation
import GRPCCore
import Logging
import RoleScheduler
import SwiftProtobuf
import ZoneFile

/// The operator's commands about the zone itself: its keys, what the parent should know of them, and texts that are
/// wanted for a while.
struct ZoneDesk: Sendable {
    let nameServer: NameServer
    let scheduler: RoleSchedulerService
    let keyDesk: KeyDesk
    let logger: Logger

    func keys(_ request: Smurffarm_V1_KeysRequest) async throws -> Smurffarm_V1_KeysView {
        let zone = try zone(request.zone)
        var said = ""
        do {
            said = try await obeyed(zone, request)
        } catch let error as NameServerError {
            throw RPCError(code: .failedPrecondition, message: error.description)
        } catch let error as OverrideError {
            throw RPCError(code: .failedPrecondition, message: error.description)
        } catch let error as FarmStoreFault {
            throw RPCError(code: .failedPrecondition, message: error.description)
        }
        if !said.isEmpty { logger.notice("\(request.operator): \(said)") }
        return ZoneDesk.view(zone, said)
    }

    private func zone(_ name: String) throws -> ServedZone {
        if name.isEmpty { return nameServer.zone }
        let zones = nameServer.zones
        if let zone = zones.first(where: { $0.image.apex == DomainName(name) }) { return zone }
        let all = zones.map(\.image.apex.description).joined(separator: ", ")
        throw RPCError(code: .notFound, message: "'\(name)' is not served here; these are: \(all)")
    }

    /// - Returns: what was done; empty when nothing was asked for but a look.
    private func obeyed(
        _ zone: ServedZone, _ request: Smurffarm_V1_KeysRequest
    ) async throws -> String {
        let (order, said): (KeyOrder, String)
        switch request.action {
        case .list, .UNRECOGNIZED: return ""
        case .encrypt: return try await encrypted()
        case .replace:
            order = .replace(isEntryPoint: request.entryPoint)
            said = "a new key is published; it takes over when caches allow"
        case .unsign:
            order = .withdraw
            said = "the parent is asked to remove its DS records; the zone stays signed"
        case .undelegated:
            order = .undelegated(true)
            said =
                "noted: the parent has no DS records; signatures go when caches have forgotten them"
        case .sign:
            order = .signAgain
            said = "the zone is signed, and the parent is asked for DS records in time"
        case .delegated:
            let tag = request.tag == 0 ? nil : UInt16(clamping: request.tag)
            let awaited = zone.keys.awaiting(tag).map { "\($0.key.tag)" } ?? ""
            order = .delegated(tag: tag)
            said = "noted: the parent points at key \(awaited)"
        }
        try await keyDesk.follow(order, zone, by: request.operator)
        return said
    }

    private func encrypted() async throws -> String {
        let count = try await ControlNode.offPool {
            try nameServer.zones.reduce(0) { $0 + (try $1.encryptKeys()) }
        }
        return count == 0 ? "every key on disk is encrypted" : "keys encrypted on disk: \(count)"
    }

    private static func view(_ zone: ServedZone, _ said: String) -> Smurffarm_V1_KeysView {
        let delegation = Delegation(of: zone.image, entryPoints: zone.entryPoints)
        let encrypted = zone.encryptedKeys
        return .with {
            $0.zone = delegation.apex.description
            $0.said = said
            $0.keys = zone.keys.map { view($0, isEncrypted: encrypted.contains($0.key)) }
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
        let apex = nameServer.image.apex
        let label = request.name == "@" ? "_acme-challenge" : "_acme-challenge." + request.name
        guard let owner = apex.prepending(label) else {
            throw RPCError(
                code: .invalidArgument, message: "'\(request.name)' is no name under \(apex)")
        }
        do {
            let said = try await said(request, label.lowercased(), owner)
            return .with { $0.said = said }
        } catch let error as OverrideError {
            throw RPCError(code: .failedPrecondition, message: error.description)
        } catch let error as FarmStoreFault {
            throw RPCError(code: .failedPrecondition, message: error.description)
        }
    }

    private func said(
        _ request: Smurffarm_V1_ChallengeRequest, _ label: String, _ owner: DomainName
    ) async throws -> String {
        if request.remove {
            let value = request.value.isEmpty ? nil : request.value
            let count = try await scheduler.drop(textsAt: label, value: value)
            try await published()
            return "\(count) taken away from \(owner)"
        }
        guard (1...255).contains(request.value.utf8.count) else {
            throw RPCError(code: .invalidArgument, message: "a challenge has 1 to 255 octets")
        }
        guard nameServer.zone.canAnswerText(at: owner) else {
            throw RPCError(
                code: .failedPrecondition,
                message: "by the zone file \(owner) is an alias or another zone's: answer it there")
        }
        let seconds = min(request.forSeconds > 0 ? request.forSeconds : 600, 30 * 86_400)
        try await scheduler.want(
            .init(owner: label, value: request.value), for: .seconds(seconds))
        try await published()
        return "\(owner) answers it for \(spoken(seconds: Double(seconds)))"
    }

    /// Waits until the name server of this node answers what was said, so that an authority may look at once; not for
    /// ever, since a name server that cannot take it says why itself.
    private func published() async throws {
        for _ in 0..<250 where await !scheduler.textsArePublished {
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
