import EtcdProtocol
import Farm
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import RoleScheduler
@testable import RoleSchedulerCore

extension ControlInteropTests {
    /// What is particular about etcd: certificates, compaction, a member without a leader.
    @Suite(.serialized)
    struct EtcdTests {
        private func settings(
            _ cluster: EtcdCluster, _ credentials: EtcdSettings.Credentials? = nil,
            urls: [String]? = nil
        ) -> EtcdSettings {
            EtcdSettings(
                members: (urls ?? cluster.urls).compactMap { EtcdAddress($0) },
                credentials: credentials, prefix: "/smurf/a.test", node: "n1",
                agents: "127.0.0.1:1", leaderTTL: 2)
        }

        private func credentials(_ trust: MachineTrust, _ name: String) -> EtcdSettings.Credentials
        {
            .init(
                certificate: trust.directory.file(name + ".pem"),
                key: trust.directory.file(name + ".key"),
                authority: trust.directory.file("ca.pem"))
        }

        @Test(.timeLimit(.minutes(2)))
        func certificatesAreAskedForOnBothSides() async throws {
            let trust = try await MachineTrust("etcd", "operator", "n1")
            let cluster = try EtcdCluster(members: 1, trust: trust)
            try await cluster.start()
            let good = FarmStoreTests.Opened(
                try EtcdFarmStore(settings(cluster, credentials(trust, "n1"))))
            try await good.leads()
            try await good.save("sealed")
            #expect(try await good.store.load()?.coded == Data("sealed".utf8))
            await good.close()

            let foreign = try await MachineTrust("etcd", "n1")
            // The stranger does not believe this etcd, and this etcd does not believe the stranger.
            var mixed = credentials(foreign, "n1")
            for authority in [foreign, trust] {
                mixed.authority = authority.directory.file("ca.pem")
                let bad = FarmStoreTests.Opened(try EtcdFarmStore(settings(cluster, mixed)))
                try await eventually("it says that it cannot") {
                    bad.store.standing.trouble.contains("127.0.0.1")
                }
                #expect(bad.store.standing.term == nil)
                await bad.close()
            }
            await cluster.stop()
        }

        @Test(.timeLimit(.minutes(2)))
        func aWatchOfWhatIsCompactedAwayEndsAndSaysSo() async throws {
            let cluster = try EtcdCluster(members: 1)
            try await cluster.start()
            for value in 1...5 { try await cluster.control("put", "/k", "\(value)") }
            let compacted = try await cluster.control("compact", "5")
            #expect(compacted.status == 0, "\(compacted.errors)")
            let client = try EtcdClient(cluster.urls.compactMap { EtcdAddress($0) }, nil)
            let work = Task { await client.run() }
            do throws(EtcdFault) {
                try await client.watch(prefix: "/k", from: 1) { _ in }
                Issue.record("a watch that ends must throw")
            } catch {
                #expect(error.compacted == 5 && error.isDefinite, "\(error)")
            }
            work.cancel()
            await work.value
            await cluster.stop()
        }

        /// A store that lost its watch, and slept while everything it would have been told was compacted away.
        @Test(.timeLimit(.minutes(2)))
        func whatWasCompactedMeanwhileIsListedAnew() async throws {
            let cluster = try EtcdCluster(members: 1)
            try await cluster.start()
            let first = FarmStoreTests.Opened(try EtcdFarmStore(settings(cluster)))
            try await first.leads()
            try await first.save("before")
            await cluster.signal(0, SIGKILL)
            try await eventually("the loss is noticed") { !first.store.standing.trouble.isEmpty }
            try cluster.start(0)
            try await cluster.isHealthy()
            try await cluster.control("put", "/smurf/a.test/live/record", "after")
            let revision = try await cluster.control("get", "/", "--write-out", "fields")
            let number =
                revision.output.split(separator: "\n")
                .first { $0.hasPrefix("\"Revision\"") }?.split(separator: " ").last ?? ""
            try await cluster.control("compact", String(number))
            try await eventually("the new record is known") {
                first.store.newest?.coded == Data("after".utf8)
            }
            try await first.leads()
            await first.close()
            await cluster.stop()
        }

        @Test(.timeLimit(.minutes(2)))
        func aMemberWithoutLeaderIsLeftInsteadOfWaitedFor() async throws {
            let cluster = try EtcdCluster(members: 3)
            try await cluster.start()
            let alone = 0
            let client = try EtcdClient([try #require(EtcdAddress(cluster.url(alone)))], nil)
            let work = Task { await client.run() }
            let began = Atomic<Bool>(false)
            let watch = Task {
                try await client.watch(prefix: "/k", from: 1) { _ in
                    began.store(true, ordering: .relaxed)
                }
            }
            try await eventually("the watch stands") { began.load(ordering: .relaxed) }
            for index in 1...2 { await cluster.signal(index, SIGKILL) }
            let lost = ContinuousClock.now
            await #expect(throws: EtcdFault.self) { try await watch.value }
            let took = ContinuousClock.now - lost
            print("a watch without a leader ended after \(took)")
            #expect(took < .seconds(20))
            work.cancel()
            await work.value
            await cluster.stop()
        }

        /// etcd takes requests of 1.5 MB unless it is told to take more: a record is written whole.
        @Test(.timeLimit(.minutes(2)))
        func aFarmOfThousandsFitsIntoOneRecord() async throws {
            let cluster = try EtcdCluster(members: 3)
            try await cluster.start()
            let store = FarmStoreTests.Opened(try EtcdFarmStore(settings(cluster)))
            try await store.leads()
            let role = try #require(Role("smtp-out"))
            for count in [1_000, 5_000] {
                var record = FarmRecord()
                for number in 0..<count {
                    let id = try #require(SmurfID("smurf-\(number)"))
                    var machine = SmurfRecord(
                        addresses: [.v4(0x0A00_0000 + UInt32(number))],
                        since: Moment(seconds: Double(number)))
                    (machine.state, machine.reason) = (.serving(role), "ready")
                    record.state.smurfs[id] = machine
                }
                var membership = Membership(version: 1)
                membership.hosts = record.state.ids.map {
                    .init(id: $0, addresses: record.state.smurfs[$0]?.addresses ?? [])
                }
                membership.records = [
                    .init(owner: "smtp-out", kind: .address, members: record.state.ids, ttl: 30)
                ]
                record.state.lastMembers[role] = record.state.ids
                record.view = FarmView(membership: membership, serial: 1)
                let began = ContinuousClock.now
                let coded = try record.coded(now: Moment(seconds: 9_000), unixTime: 0)
                let made = ContinuousClock.now
                _ = try await store.store.save(
                    coded, adding: [], from: 0,
                    after: store.store.load()?.revision ?? 0,
                    term: #require(store.store.standing.term))
                print(
                    "\(count) machines: \(coded.count) octets, coded in \(made - began), written "
                        + "in \(ContinuousClock.now - made)")
            }
            await store.close()
            await cluster.stop()
        }
    }
}
