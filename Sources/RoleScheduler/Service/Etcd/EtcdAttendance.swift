import EtcdProtocol
import Farm
import Foundation
import SwiftProtobuf
import Synchronization

/// How a control node attends to its farm's keys in etcd: it watches them, keeps a lease, says who it is, and makes the
/// leader's key when there is none, and it looks how etcd is. Things that go on at the same time, each for itself trying
/// again for ever.
extension EtcdFarmStore {
    private static let pause = Duration.milliseconds(200)

    // MARK: Watching

    /// Lists the keys, then watches them from there; again and again.
    func keepWatching() async {
        while !Task.isCancelled {
            do throws(EtcdFault) {
                let (first, end) = EtcdClient.range(ofPrefix: keys.live)
                let list = try await client.range(
                    .with { ($0.key, $0.rangeEnd) = (first, end) }, within: Self.patience)
                change { $0.take(list) }
                try await client.watch(prefix: keys.live, from: list.header.revision + 1) {
                    [self] message in
                    if !message.events.isEmpty { change { $0.take(message.events) } }
                }
            } catch {
                // Compacted away while nobody looked: the next list has it all.
                if error.compacted == 0 { change { $0.mistrust(error.description) } }
            }
            try? await Task.sleep(for: Self.pause)
        }
    }

    // MARK: The lease

    private var time: Duration { .seconds(settings.leaderTTL) }

    /// Keeps a lease; takes another when it is lost.
    func keepSession() async {
        while !Task.isCancelled {
            let sent = ContinuousClock.now
            do throws(EtcdFault) {
                let lease = try await client.grant(
                    seconds: settings.leaderTTL, within: Self.patience)
                change { $0.begin(lease, until: sent + time) }
                await keep(lease)
                change { $0.endSession() }
                if Task.isCancelled { await letGo(of: lease) }
            } catch {
                change { $0.trouble = error.description }
            }
            try? await Task.sleep(for: Self.pause)
        }
    }

    /// Renews the lease, and tells the others of this node under it, until it is lost or the task is cancelled.
    private func keep(_ lease: Int64) async {
        var renewed = ContinuousClock.now
        var told: NodeStatus?
        var hasFailed = false
        while !Task.isCancelled {
            let now = ContinuousClock.now
            if situation.withLock({ $0.mustLetGo }) { return await letGo(of: lease) }
            do throws(EtcdFault) {
                if now - renewed >= time / 3 || hasFailed {
                    guard try await client.keepAlive(lease, within: Self.patience) else { return }
                    renewed = now
                    change { $0.renew(lease, until: now + time) }
                }
                let own = status.withLock { $0 }
                if own != told {
                    try await tell(own, under: lease)
                    told = own
                }
                hasFailed = false
            } catch {
                // "lease not found". Otherwise it may have outlived the silence: without quorum no lease ends, and afterwards
                // each begins anew in full. What hangs on it is this node's again as soon as it is renewed.
                if error.isLostLease { return }
                hasFailed = true
                change { $0.trouble = error.description }
            }
            try? await Task.sleep(for: hasFailed ? Self.pause : .milliseconds(50))
        }
    }

    private func tell(_ own: NodeStatus, under lease: Int64) async throws(EtcdFault) {
        let request = Etcdserverpb_TxnRequest.with {
            $0.success = [.put(keys.node(own.node), EtcdFarmStore.coded(own), lease: lease)]
        }
        _ = try await client.transact(request, within: Self.patience)
    }

    /// Ends the lease at once, so that another node can lead without waiting for its end.
    private func letGo(of lease: Int64) async {
        // In a task of its own, because this one is cancelled.
        await Task { [client] in try? await client.revoke(lease, within: Self.patience) }.value
    }

    // MARK: Alarms

    /// Asks the member how it is. An etcd that is full or damaged refuses to write, which nobody would see who
    /// has nothing to write.
    func keepLooking() async {
        while !Task.isCancelled {
            // That no answer comes the lease and the watch find out sooner.
            if let found = try? await client.status(within: Self.patience) {
                change { $0.alarm = EtcdSituation.alarm(found.errors) }
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    // MARK: Election

    /// Makes the leader's key whenever there is none.
    func keepStanding() async {
        while !Task.isCancelled {
            if let lease = situation.withLock({ $0.candidacy(at: .now) }) {
                do throws(EtcdFault) {
                    try await stand(with: lease)
                } catch {
                    change { $0.trouble = error.description }
                    try? await Task.sleep(for: Self.pause)
                }
            }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    private func stand(with lease: Int64) async throws(EtcdFault) {
        let own = status.withLock { $0 }
        let request = Etcdserverpb_TxnRequest.with {
            $0.compare = [.madeAt(keys.leader, 0)]
            $0.success = [.put(keys.leader, EtcdFarmStore.coded(own), lease: lease)]
            $0.failure = [.get(keys.leader)]
        }
        let answer = try await client.transact(request, within: Self.patience)
        let revision = answer.header.revision
        if answer.succeeded {
            change {
                $0.note(.init(status: own, term: revision, lease: lease), at: revision)
            }
        } else if let found = answer.responses.first?.responseRange.kvs.first {
            change { $0.take([.with { ($0.type, $0.kv) = (.put, found) }]) }
        }
    }

    private static func coded(_ status: NodeStatus) -> Data {
        (try? JSONEncoder().encode(status)) ?? Data()
    }
}
