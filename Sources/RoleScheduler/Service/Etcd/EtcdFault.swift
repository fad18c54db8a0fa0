import EtcdProtocol
import GRPCCore

/// Why etcd did not do what it was asked for.
struct EtcdFault: Error, Hashable, Sendable, CustomStringConvertible {
    let description: String
    /// Whether the member has refused. Otherwise no answer came, and what was asked for may have been done or not.
    let isDefinite: Bool
    /// Not 0: what was asked for was compacted away up to this revision.
    var compacted: Int64 = 0

    init(_ description: String, isDefinite: Bool) {
        self.description = description
        self.isDefinite = isDefinite
    }

    /// A watch that the member has ended.
    init(ended message: Etcdserverpb_WatchResponse) {
        let reason = message.cancelReason.isEmpty ? "no reason given" : message.cancelReason
        self.init("the watch was ended: \(reason)", isDefinite: message.compactRevision > 0)
        compacted = message.compactRevision
    }

    init(_ error: any Error, at member: EtcdAddress) {
        switch error {
        case let fault as EtcdFault: self = fault
        case let error as RPCError:
            self.init(
                "\(member): \(error.message.isEmpty ? "\(error.code)" : error.message)",
                isDefinite: EtcdFault.isRefusal(error.code))
        default: self.init("\(member): \(error)", isDefinite: false)
        }
    }

    private static func isRefusal(_ code: RPCError.Code) -> Bool {
        switch code {
        case .invalidArgument, .notFound, .alreadyExists, .permissionDenied, .failedPrecondition,
            .outOfRange, .unimplemented, .unauthenticated:
            true
        default: false
        }
    }
}
