import EtcdProtocol
import Farm
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2
import GRPCProtobuf
import SwiftProtobuf
import Synchronization

/// The calls of etcd that the farm store needs, made to one member of the cluster at a time. When that member does not
/// answer, this call fails, the watch ends, and the next member is asked from then on. It knows nothing of farms, repeats
/// nothing by itself, and waits for no answer longer than it is told to.
final class EtcdClient: Sendable {
    typealias Connection = GRPCClient<HTTP2ClientTransport.Posix>
    private let members: [EtcdAddress]
    private let connections: [Connection]
    /// nil: this node has no account.
    private let tokens: EtcdTokens?
    private let place = Mutex(0)
    private let watching = Mutex<Task<Void, any Error>?>(nil)

    /// Nothing is connected before `run`.
    /// - Throws: when the files of the credentials cannot be used.
    init(
        _ members: [EtcdAddress], _ credentials: EtcdSettings.Credentials?,
        _ account: EtcdSettings.Account? = nil
    ) throws(EtcdFault) {
        self.members = members
        tokens = account.map(EtcdTokens.init)
        do {
            connections = try members.map { member in
                GRPCClient(
                    transport: try HTTP2ClientTransport.Posix(
                        target: EtcdClient.target(member),
                        transportSecurity: EtcdClient.security(member, credentials),
                        config: .defaults {
                            $0.backoff.initial = .milliseconds(100)
                            $0.backoff.max = .seconds(1)
                            // Where a network loses everything, nothing else ends a connection for minutes. etcd bears
                            // a ping every five seconds, and none while there is no call.
                            $0.connection.keepalive = .init(
                                time: .seconds(10), timeout: .seconds(3), allowWithoutCalls: false)
                        }))
            }
        } catch {
            throw EtcdFault("etcd: \(error)", isDefinite: true)
        }
    }

    private static func target(_ member: EtcdAddress) -> any ResolvableTarget {
        switch IPAddress(member.host) {
        case .v4: .ipv4(address: member.host, port: Int(member.port))
        case .v6: .ipv6(address: member.host, port: Int(member.port))
        case nil: .dns(host: member.host, port: Int(member.port))
        }
    }

    private static func security(
        _ member: EtcdAddress, _ credentials: EtcdSettings.Credentials?
    ) -> HTTP2ClientTransport.Posix.TransportSecurity {
        guard member.isEncrypted, let credentials else { return .plaintext }
        let authority = TLSConfig.CertificateSource.file(path: credentials.authority, format: .pem)
        guard let certificate = credentials.certificate, let key = credentials.key else {
            return .tls { $0.trustRoots = .certificates([authority]) }
        }
        return .mTLS(
            certificateChain: [.file(path: certificate, format: .pem)],
            privateKey: .file(path: key, format: .pem)
        ) {
            $0.trustRoots = .certificates([authority])
        }
    }

    /// Keeps the connections until the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            for connection in connections {
                group.addTask { try? await connection.runConnections() }
            }
        }
    }

    /// The member that is asked now.
    var member: EtcdAddress { members[place.withLock { $0 }] }

    /// Asks the next member from now on, unless that has happened already.
    private func move(from index: Int) {
        let isFirst = place.withLock { place in
            guard place == index else { return false }
            place = (index + 1) % members.count
            return true
        }
        if isFirst { endWatch() }
    }

    /// Ends the watch that is under way, so that its owner looks at everything anew.
    func endWatch() { watching.withLock { $0?.cancel() } }

    private func ask<Answer: Sendable>(
        within limit: Duration,
        _ call: (Connection, Metadata, CallOptions) async throws -> Answer
    ) async throws(EtcdFault) -> Answer {
        let index = place.withLock { $0 }
        let options = EtcdClient.options(within: limit)
        do {
            let shown = try await token(at: index)
            do {
                return try await call(connections[index], EtcdClient.metadata(shown), options)
            } catch {
                guard let tokens, EtcdFault(error, at: members[index]).asksWho else { throw error }
                // Nothing was done: etcd looks at the token first. Once more, with another.
                await tokens.forget(shown)
                let new = try await token(at: index)
                return try await call(connections[index], EtcdClient.metadata(new), options)
            }
        } catch {
            let fault = EtcdFault(error, at: members[index])
            if !fault.isDefinite { move(from: index) }
            throw fault
        }
    }

    private static func options(within limit: Duration?) -> CallOptions {
        var options = CallOptions.defaults
        options.timeout = limit
        options.waitForReady = false
        return options
    }

    // MARK: Who asks

    private static func metadata(_ token: String) -> Metadata {
        token.isEmpty ? [:] : ["token": "\(token)"]
    }

    /// What to show with a call; "" for nothing.
    private func token(at index: Int) async throws -> String {
        guard let tokens else { return "" }
        let (connection, member) = (connections[index], members[index])
        return try await tokens.current { name, password in
            do {
                return try await Etcdserverpb_Auth.Client(wrapping: connection).authenticate(
                    .with { ($0.name, $0.password) = (name, password) },
                    // A password is checked slowly, so that guessing takes long.
                    options: EtcdClient.options(within: .seconds(3))
                ).token
            } catch let error as RPCError where error.message.contains("is not enabled") {
                return ""
            } catch {
                let fault = EtcdFault(error, at: member)
                if fault.isDefinite { throw fault }
                throw error
            }
        }
    }

    // MARK: Calls

    func range(
        _ request: Etcdserverpb_RangeRequest, within limit: Duration
    ) async throws(EtcdFault) -> Etcdserverpb_RangeResponse {
        try await ask(within: limit) { connection, shown, options in
            try await Etcdserverpb_KV.Client(wrapping: connection)
                .range(request, metadata: shown, options: options)
        }
    }

    func transact(
        _ request: Etcdserverpb_TxnRequest, within limit: Duration
    ) async throws(EtcdFault) -> Etcdserverpb_TxnResponse {
        try await ask(within: limit) { connection, shown, options in
            try await Etcdserverpb_KV.Client(wrapping: connection)
                .txn(request, metadata: shown, options: options)
        }
    }

    /// - Returns: the lease.
    func grant(seconds: Int, within limit: Duration) async throws(EtcdFault) -> Int64 {
        try await ask(within: limit) { connection, shown, options in
            try await Etcdserverpb_Lease.Client(wrapping: connection)
                .leaseGrant(
                    .with { $0.ttl = Int64(seconds) }, metadata: shown, options: options
                ).id
        }
    }

    func revoke(_ lease: Int64, within limit: Duration) async throws(EtcdFault) {
        _ = try await ask(within: limit) { connection, shown, options in
            try await Etcdserverpb_Lease.Client(wrapping: connection)
                .leaseRevoke(.with { $0.id = lease }, metadata: shown, options: options)
        }
    }

    /// How the member is that is asked now.
    func status(
        within limit: Duration
    ) async throws(EtcdFault) -> Etcdserverpb_StatusResponse {
        try await ask(within: limit) { connection, shown, options in
            try await Etcdserverpb_Maintenance.Client(wrapping: connection)
                .status(.init(), metadata: shown, options: options)
        }
    }

    /// - Returns: whether the lease was still there.
    func keepAlive(_ lease: Int64, within limit: Duration) async throws(EtcdFault) -> Bool {
        try await ask(within: limit) { connection, shown, options in
            try await Etcdserverpb_Lease.Client(wrapping: connection).leaseKeepAlive(
                metadata: shown, options: options,
                requestProducer: { try await $0.write(.with { $0.id = lease }) },
                onResponse: { response in
                    for try await answer in response.messages { return answer.ttl > 0 }
                    throw RPCError(code: .unavailable, message: "no answer to a keepalive")
                })
        }
    }

    /// Watches every key with the prefix until the stream ends, another member is asked, or the task is cancelled.
    /// - Parameters:
    ///   - revision: the first of interest.
    ///   - told: called in order.
    /// - Throws: always in the end. What was compacted away is a definite fault: look at everything anew.
    func watch(
        prefix: String, from revision: Int64,
        _ told: @escaping @Sendable (Etcdserverpb_WatchResponse) -> Void
    ) async throws(EtcdFault) {
        let index = place.withLock { $0 }
        let task = Task { [self] in
            let shown = try await token(at: index)
            do {
                try await stream(connections[index], shown, .prefix(prefix, from: revision), told)
            } catch {
                if EtcdFault(error, at: members[index]).asksWho { await tokens?.forget(shown) }
                throw error
            }
        }
        watching.withLock { $0 = task }
        // The member may have been left while the watch was being made.
        if place.withLock({ $0 }) != index { task.cancel() }
        defer { watching.withLock { $0 = nil } }
        do {
            try await withTaskCancellationHandler {
                try await task.value
            } onCancel: {
                task.cancel()
            }
        } catch {
            let fault = EtcdFault(error, at: members[index])
            if !fault.isDefinite { move(from: index) }
            throw fault
        }
        throw EtcdFault("\(members[index]): the watch has ended", isDefinite: false)
    }

    private func stream(
        _ connection: Connection, _ shown: String, _ request: Etcdserverpb_WatchRequest,
        _ told: @escaping @Sendable (Etcdserverpb_WatchResponse) -> Void
    ) async throws {
        var metadata = EtcdClient.metadata(shown)
        // Without it a member that has lost its leader is silent for ever.
        metadata.addString("true", forKey: "hasleader")
        try await Etcdserverpb_Watch.Client(wrapping: connection).watch(
            metadata: metadata, options: EtcdClient.options(within: nil),
            requestProducer: { writer in
                try await writer.write(request)
                while !Task.isCancelled { try await Task.sleep(for: .seconds(3600)) }
            },
            onResponse: { response in
                for try await message in response.messages {
                    if message.canceled { throw EtcdFault(ended: message) }
                    told(message)
                }
            })
    }
}

extension Etcdserverpb_WatchRequest {
    fileprivate static func prefix(_ prefix: String, from revision: Int64) -> Self {
        .with {
            $0.createRequest = .with {
                ($0.key, $0.rangeEnd) = EtcdClient.range(ofPrefix: prefix)
                $0.startRevision = revision
            }
        }
    }
}

extension EtcdClient {
    /// The first key with a prefix, and the first behind all of them.
    static func range(ofPrefix prefix: String) -> (Data, Data) {
        let first = Data(prefix.utf8)
        var end = first
        // Text has no octet 255 that would have to be carried over.
        if let last = end.popLast() { end.append(last &+ 1) }
        return (first, end)
    }
}
