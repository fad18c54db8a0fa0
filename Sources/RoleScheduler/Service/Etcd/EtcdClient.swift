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
    private let place = Mutex(0)
    private let watching = Mutex<Task<Void, any Error>?>(nil)

    /// Nothing is connected before `run`.
    /// - Throws: when the files of the credentials cannot be used.
    init(_ members: [EtcdAddress], _ credentials: EtcdSettings.Credentials?) throws(EtcdFault) {
        self.members = members
        do {
            connections = try members.map { member in
                GRPCClient(
                    transport: try HTTP2ClientTransport.Posix(
                        target: EtcdClient.target(member),
                        transportSecurity: EtcdClient.security(member, credentials),
                        config: .defaults {
                            $0.backoff.initial = .milliseconds(100)
                            $0.backoff.max = .seconds(1)
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
        return .mTLS(
            certificateChain: [.file(path: credentials.certificate, format: .pem)],
            privateKey: .file(path: credentials.key, format: .pem)
        ) {
            $0.trustRoots = .certificates([.file(path: credentials.authority, format: .pem)])
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
        _ call: (Connection, CallOptions) async throws -> Answer
    ) async throws(EtcdFault) -> Answer {
        let index = place.withLock { $0 }
        var options = CallOptions.defaults
        options.timeout = limit
        options.waitForReady = false
        do {
            return try await call(connections[index], options)
        } catch {
            let fault = EtcdFault(error, at: members[index])
            if !fault.isDefinite { move(from: index) }
            throw fault
        }
    }

    // MARK: Calls

    func range(
        _ request: Etcdserverpb_RangeRequest, within limit: Duration
    ) async throws(EtcdFault) -> Etcdserverpb_RangeResponse {
        try await ask(within: limit) { connection, options in
            try await Etcdserverpb_KV.Client(wrapping: connection).range(request, options: options)
        }
    }

    func transact(
        _ request: Etcdserverpb_TxnRequest, within limit: Duration
    ) async throws(EtcdFault) -> Etcdserverpb_TxnResponse {
        try await ask(within: limit) { connection, options in
            try await Etcdserverpb_KV.Client(wrapping: connection).txn(request, options: options)
        }
    }

    /// - Returns: the lease.
    func grant(seconds: Int, within limit: Duration) async throws(EtcdFault) -> Int64 {
        try await ask(within: limit) { connection, options in
            try await Etcdserverpb_Lease.Client(wrapping: connection)
                .leaseGrant(.with { $0.ttl = Int64(seconds) }, options: options).id
        }
    }

    func revoke(_ lease: Int64, within limit: Duration) async throws(EtcdFault) {
        _ = try await ask(within: limit) { connection, options in
            try await Etcdserverpb_Lease.Client(wrapping: connection)
                .leaseRevoke(.with { $0.id = lease }, options: options)
        }
    }

    /// - Returns: whether the lease was still there.
    func keepAlive(_ lease: Int64, within limit: Duration) async throws(EtcdFault) -> Bool {
        try await ask(within: limit) { connection, options in
            try await Etcdserverpb_Lease.Client(wrapping: connection).leaseKeepAlive(
                options: options,
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
        let connection = connections[index]
        let task = Task {
            var options = CallOptions.defaults
            options.waitForReady = false
            try await Etcdserverpb_Watch.Client(wrapping: connection).watch(
                // Without it a member that has lost its leader is silent for ever.
                metadata: ["hasleader": "true"], options: options,
                requestProducer: { writer in
                    try await writer.write(.prefix(prefix, from: revision))
                    while !Task.isCancelled { try await Task.sleep(for: .seconds(3600)) }
                },
                onResponse: { response in
                    for try await message in response.messages {
                        if message.canceled { throw EtcdFault(ended: message) }
                        told(message)
                    }
                })
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
