import EtcdProtocol
import GRPCCore

/// Why etcd did not do what it was asked for, and what to do about it where that is known.
struct EtcdFault: Error, Hashable, Sendable, CustomStringConvertible {
    let description: String
    /// Whether the member has refused. Otherwise no answer came, and what was asked for may have been done or not.
    let isDefinite: Bool
    /// Not 0: what was asked for was compacted away up to this revision.
    var compacted: Int64 = 0
    /// Whether the lease is not there any more.
    var isLostLease = false
    /// Whether etcd would like to be told anew who asks.
    var asksWho = false

    init(_ description: String, isDefinite: Bool) {
        self.description = description
        self.isDefinite = isDefinite
    }

    /// A watch that the member has ended.
    init(ended message: Etcdserverpb_WatchResponse) {
        let reason = message.cancelReason.isEmpty ? "no reason given" : message.cancelReason
        self.init(
            "the watch was ended: \(reason)\(EtcdFault.advice(reason))",
            isDefinite: message.compactRevision > 0)
        compacted = message.compactRevision
        // Whether it was the token or the right: etcd does not tell them apart here.
        asksWho = reason.contains("permission denied") || EtcdFault.asksWho(reason)
    }

    init(_ error: any Error, at member: EtcdAddress) {
        switch error {
        case let fault as EtcdFault: self = fault
        case let error as RPCError:
            let said = error.message
            self.init(
                "\(member): \(said.isEmpty ? "\(error.code)" : said)\(EtcdFault.advice(said))",
                isDefinite: EtcdFault.isRefusal(error.code))
            isLostLease = error.code == .notFound
            asksWho = EtcdFault.asksWho(said)
        default: self.init("\(member): \(error)", isDefinite: false)
        }
    }

    /// A token that is too old, of another life of etcd or of before a change of its users; or none where one is wanted.
    private static func asksWho(_ said: String) -> Bool {
        ["invalid auth token", "revision of auth store is old", "user name is empty"]
            .contains { said.contains($0) }
    }

    /// What helps, in brackets; empty when there is nothing to say.
    private static func advice(_ said: String) -> String {
        let advice: [(String, String)] = [
            (
                "invalid user ID or password",
                "check --etcd-user and the file of --etcd-password-file, which is read anew at each try"
            ),
            (
                "user name is empty",
                "etcd wants to know who asks: give --etcd-user and --etcd-password-file"
            ),
            (
                "permission denied",
                "its user needs a role with 'etcdctl role grant-permission ROLE readwrite --prefix=true /smurf/ZONE/'"
            ),
            (
                "database space exceeded",
                "etcd is full: compact, defrag, then 'etcdctl alarm disarm'"
            ),
        ]
        return advice.first { said.contains($0.0) }.map { " (\($0.1))" } ?? ""
    }

    private static func isRefusal(_ code: RPCError.Code) -> Bool {
        switch code {
        case .invalidArgument, .notFound, .alreadyExists, .permissionDenied, .failedPrecondition,
            .outOfRange, .unimplemented, .unauthenticated, .resourceExhausted:
            true
        default: false
        }
    }
}
