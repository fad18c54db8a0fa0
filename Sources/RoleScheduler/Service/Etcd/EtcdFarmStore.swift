import EtcdProtocol
import Farm
public import Foundation
import SwiftProtobuf
import Synchronization

/// The farm's record and history in etcd, shared by several control nodes. The one that made the leader's key leads; its
/// term is the revision at which it did. Every write compares that revision, and that of the record it follows, in the
/// same transaction: a leader of yesterday cannot write, nor can one write twice when an answer got lost.
public final class EtcdFarmStore: FarmStore {
    let client: EtcdClient
    let keys: EtcdKeys
    let settings: EtcdSettings
    let situation: Mutex<EtcdSituation>
    /// What to tell the others of this node.
    let status: Mutex<NodeStatus>
    private let bell = Mutex<(@Sendable () -> Void)?>(nil)
    /// How long an answer is waited for, and how long a write is tried in all.
    static let patience = Duration.seconds(1)
    private static let perseverance = Duration.seconds(4)
    /// Entries of the history that are kept.
    private static let longestHistory: UInt64 = 50_000
    private static let page = 500

    /// Nothing is asked of etcd before `run`.
    /// - Throws: when the files of the credentials cannot be used.
    public init(_ settings: EtcdSettings) throws(FarmStoreFault) {
        self.settings = settings
        keys = EtcdKeys(prefix: settings.prefix)
        situation = Mutex(EtcdSituation(keys: keys, node: settings.node))
        status = Mutex(NodeStatus(node: settings.node, agents: settings.agents))
        do throws(EtcdFault) {
            client = try EtcdClient(
                settings.members, settings.credentials, settings.account)
        } catch {
            throw .unusable(error.description)
        }
    }

    public func run(_ changed: @escaping @Sendable () -> Void) async {
        bell.withLock { $0 = changed }
        // Not in the group: letting go of the leadership at the end needs connections.
        let connections = Task { [client] in await client.run() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.keepWatching() }
            group.addTask { await self.keepSession() }
            group.addTask { await self.keepStanding() }
            group.addTask { await self.keepLooking() }
        }
        connections.cancel()
        await connections.value
        bell.withLock { $0 = nil }
    }

    /// Changes what is known, and says so.
    func change(_ body: (inout EtcdSituation) -> Void) {
        situation.withLock { body(&$0) }
        bell.withLock { $0 }?()
    }

    public var standing: Standing { situation.withLock { $0.standing(at: .now) } }

    public var newest: SavedRecord? { situation.withLock { $0.record } }

    public func tell(serial: UInt32) { status.withLock { $0.serial = serial } }

    public func abstain(_ abstains: Bool) { situation.withLock { $0.abstains = abstains } }

    // MARK: The record

    public func load() async throws(FarmStoreFault) -> SavedRecord? {
        let answer = try await reading { (client) throws(EtcdFault) in
            try await client.range(.with { $0.key = self.keys.record }, within: Self.patience)
        }
        return answer.kvs.first.map { SavedRecord(coded: $0.value, revision: $0.modRevision) }
    }

    public func save(
        _ coded: Data, adding entries: [HistoryEntry], from number: UInt64, after revision: Int64,
        term: UInt64
    ) async throws(FarmStoreFault) -> Int64 {
        let request = try transaction(coded, entries, number, revision, term)
        let end = ContinuousClock.now + Self.perseverance
        var lastFault = EtcdFault("etcd: no answer", isDefinite: false)
        var isCertain = true
        // The transaction takes effect once, however often it is sent.
        repeat {
            var answer: Etcdserverpb_TxnResponse?
            do throws(EtcdFault) {
                answer = try await client.transact(request, within: Self.patience)
            } catch {
                // Once one was sent and not answered, the refusal of another says nothing of it.
                if error.isDefinite, isCertain { throw .unusable(error.description) }
                isCertain = false
                lastFault = error
            }
            if let answer { return try settle(answer, coded, term) }
            try? await Task.sleep(for: .milliseconds(50))
        } while ContinuousClock.now < end && standing.term == term && !Task.isCancelled
        change { $0.mistrust(lastFault.description) }
        client.endWatch()
        throw .unreachable(lastFault.description)
    }

    private func transaction(
        _ coded: Data, _ entries: [HistoryEntry], _ number: UInt64, _ revision: Int64,
        _ term: UInt64
    ) throws(FarmStoreFault) -> Etcdserverpb_TxnRequest {
        var request = Etcdserverpb_TxnRequest()
        request.compare = [
            .madeAt(keys.leader, Int64(clamping: term)), .changedAt(keys.record, revision),
        ]
        request.success = [.put(keys.record, coded)]
        if !entries.isEmpty {
            do {
                // All of them under one key: a transaction has 128 steps at most.
                let value = try JSONEncoder().encode(entries)
                request.success.append(.put(keys.entry(number), value))
            } catch {
                throw .unusable("the history cannot be written down: \(error)")
            }
        }
        if !entries.isEmpty, number > Self.longestHistory {
            request.success.append(
                .delete(keys.entry(0), upTo: keys.entry(number - Self.longestHistory)))
        }
        request.failure = [.get(keys.leader), .get(keys.record)]
        return request
    }

    /// - Returns: the record's revision, also when an earlier sending of the same transaction has written it.
    private func settle(
        _ answer: Etcdserverpb_TxnResponse, _ coded: Data, _ term: UInt64
    ) throws(FarmStoreFault) -> Int64 {
        if answer.succeeded {
            let saved = SavedRecord(coded: coded, revision: answer.header.revision)
            change { $0.wrote(saved) }
            return saved.revision
        }
        let found = answer.responses.map(\.responseRange.kvs)
        let record = found.count > 1 ? found[1].first : nil
        if let record, record.value == coded {
            change { $0.wrote(SavedRecord(coded: coded, revision: record.modRevision)) }
            return record.modRevision
        }
        guard found.first?.first?.createRevision == Int64(clamping: term) else {
            change { $0.lostLeadership() }
            client.endWatch()
            throw .superseded
        }
        throw .unexpected(revision: record?.modRevision ?? 0)
    }

    // MARK: History

    public func history(limit: Int) async throws(FarmStoreFault) -> [HistoryEntry] {
        var entries: [HistoryEntry] = []
        let (first, behind) = EtcdClient.range(ofPrefix: keys.history)
        var end = behind
        while limit <= 0 || entries.count < limit {
            // A key has an entry at least.
            let wanted = limit <= 0 ? Self.page : min(Self.page, limit - entries.count)
            let answer = try await reading { [end] (client) throws(EtcdFault) in
                try await client.range(
                    .with {
                        ($0.key, $0.rangeEnd, $0.limit) = (first, end, Int64(wanted))
                        ($0.sortOrder, $0.sortTarget) = (.descend, .key)
                    }, within: Self.patience)
            }
            for pair in answer.kvs {
                let some = try? JSONDecoder().decode([HistoryEntry].self, from: pair.value)
                entries += (some ?? []).reversed()
            }
            guard answer.kvs.count == wanted, let last = answer.kvs.last else { break }
            end = last.key
        }
        if limit > 0 { entries.removeLast(max(entries.count - limit, 0)) }
        return entries
    }

    /// Reads from one member after the other until one answers.
    private func reading<Answer>(
        _ read: (EtcdClient) async throws(EtcdFault) -> Answer
    ) async throws(FarmStoreFault) -> Answer {
        var lastFault = EtcdFault("etcd: no answer", isDefinite: false)
        for _ in 0...settings.members.count {
            do throws(EtcdFault) {
                return try await read(client)
            } catch {
                if error.isDefinite { throw .unusable(error.description) }
                lastFault = error
            }
        }
        throw .unreachable(lastFault.description)
    }
}
