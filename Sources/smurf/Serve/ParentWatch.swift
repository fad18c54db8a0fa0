import AuthDNS
import AuthDNSCore
import Logging
import ZoneFile

/// Asks the parent's servers for the DS record of a key that waits for it, so that a roll goes on by itself
/// (RFC 7583 §3.3: the successor may take over once every one of them has it), or whether all of them have none, on the
/// way out of DNSSEC.
struct ParentWatch: Sendable {
    let servers: [ParentServer]
    /// The zone that they delegate.
    let zone: ServedZone
    let desk: KeyDesk
    let logger: Logger

    /// Ends when the task is cancelled.
    func run() async throws {
        while !Task.isCancelled {
            if await desk.isInCharge { await look() }
            try await Task.sleep(for: .seconds(5))
        }
    }

    private func look() async {
        switch zone.keys.withdrawal {
        case .asked: await watchRemoval(isNoted: false)
        case .undelegated: await watchRemoval(isNoted: true)
        case .none, .done: break
        }
        guard let key = waiting else { return }
        do {
            guard try await ControlNode.offPool({ try isKnown(key) }) else { return }
            try await desk.follow(.delegated(tag: key.tag), zone, by: ParentWatch.name)
            logger.notice("the parent points at key \(key.tag)")
        } catch {
            logger.warning("the parent cannot be asked about key \(key.tag): \(error)")
        }
    }

    /// Who it is in the history.
    private static let name = "watch of the parent"

    /// - Parameter isNoted: whether they had none when they were asked last.
    private func watchRemoval(isNoted: Bool) async {
        let apex = zone.image.apex
        do {
            let isSo = try await ControlNode.offPool {
                try servers.allSatisfy { try $0.delegation(of: apex).keys.isEmpty }
            }
            guard isSo != isNoted else { return }
            try await desk.follow(.undelegated(isSo), zone, by: ParentWatch.name)
            logger.notice("the parent has \(isSo ? "no DS records any more" : "DS records again")")
        } catch {
            logger.warning("the parent cannot be asked whether its DS records are gone: \(error)")
        }
    }

    private var waiting: ZoneKey? {
        zone.keys.last(where: \.awaitsDelegation)?.key
    }

    private func isKnown(_ key: ZoneKey) throws -> Bool {
        try servers.allSatisfy {
            try $0.delegation(of: key.zone).keys.contains(key.delegationData)
        }
    }
}
