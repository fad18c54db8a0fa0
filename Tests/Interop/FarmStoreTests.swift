import Farm
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import RoleScheduler

extension ControlInteropTests {
    /// What every farm store promises, asked of each.
    @Suite(.serialized)
    struct FarmStoreTests {
        enum Kind: String, CaseIterable, Sendable { case sqlite, etcd }

        /// One place where farms are kept, and the ways into it.
        final class Place {
            let kind: Kind
            let directory: TemporaryDirectory
            let etcd: EtcdCluster?
            private let prefix = "/smurf/\(UInt32.random(in: 0...UInt32.max)).test"
            private(set) var opened: [Opened] = []

            init(_ kind: Kind) async throws {
                self.kind = kind
                directory = try TemporaryDirectory()
                etcd = kind == .etcd ? try EtcdCluster(members: 1) : nil
                try await etcd?.start()
            }

            /// Opens it once more, as another node.
            func open() throws -> Opened {
                let name = "n\(opened.count + 1)"
                let store: any FarmStore =
                    if let etcd {
                        try EtcdFarmStore(
                            EtcdSettings(
                                members: etcd.urls.compactMap { EtcdAddress($0) }, prefix: prefix,
                                node: name, agents: "127.0.0.1:1", leaderTTL: 2))
                    } else {
                        try SQLiteFarmStore(directory: directory.path)
                    }
                opened.append(Opened(store))
                return opened[opened.count - 1]
            }

            /// Takes the leadership away from whoever has it, without a word to it, until `new` leads.
            func pass(to new: Opened) async throws {
                guard let etcd else { return }
                try await eventually("the other leads", every: .milliseconds(300)) {
                    if new.store.standing.term != nil { return true }
                    let leases = try await etcd.control("lease", "list").output
                    for id in leases.split(separator: "\n") where !id.contains("found") {
                        let keys = try await etcd.control(
                            "lease", "timetolive", String(id), "--keys")
                        guard keys.output.contains("/live/leader") else { continue }
                        try await etcd.control("lease", "revoke", String(id))
                    }
                    return false
                }
            }

            func close() async {
                for one in opened { await one.close() }
                await etcd?.stop()
            }
        }

        /// A store that works.
        final class Opened: Sendable {
            let store: any FarmStore
            let counter = Counter()
            private let work: Task<Void, Never>

            init(_ store: any FarmStore) {
                self.store = store
                work = Task { [counter] in await store.run { counter.add() } }
            }

            /// How often the store has rung.

            final class Counter: Sendable {
                private let count = Atomic<Int>(0)
                func add() { count.add(1, ordering: .relaxed) }
                var value: Int { count.load(ordering: .relaxed) }
            }

            func leads() async throws {
                try await eventually("leads: \(store.standing)", every: .milliseconds(10)) {
                    store.standing.term != nil
                }
            }

            /// Writes as whoever leads.
            @discardableResult
            func save(
                _ text: String, _ entries: [HistoryEntry] = [], from number: UInt64 = 0,
                after revision: Int64? = nil, term: UInt64? = nil
            ) async throws -> Int64 {
                let last = try await store.load()?.revision ?? 0
                let term = try #require(term ?? store.standing.term)
                return try await store.save(
                    Data(text.utf8), adding: entries, from: number, after: revision ?? last,
                    term: term)
            }

            func close() async {
                work.cancel()
                await work.value
            }
        }

        static func entry(_ number: Int, term: UInt64 = 0) throws -> HistoryEntry {
            HistoryEntry(
                // Some entries are about no machine.
                unixMilliseconds: Int64(number),
                smurf: number % 5 == 0 ? nil : SmurfID("s\(number)"),
                from: "idle", to: "serving web", who: "scheduler", why: "why \(number) \"ü\"\n",
                version: UInt64(number), node: "n1", term: term)
        }

        @Test(arguments: Kind.allCases)
        func whatIsSavedIsFoundByTheNext(_ kind: Kind) async throws {
            let place = try await Place(kind)
            let first = try place.open()
            try await first.leads()
            #expect(try await first.store.load() == nil)
            #expect(try await first.store.history(limit: 0).isEmpty)
            let one = try await first.save("one")
            let two = try await first.save("two \u{0} ü")
            #expect(one != two)
            #expect(try await first.store.load()?.coded == Data("two \u{0} ü".utf8))
            #expect(first.store.newest?.coded == Data("two \u{0} ü".utf8))
            let second = try place.open()
            #expect(
                try await second.store.load()
                    == .init(coded: Data("two \u{0} ü".utf8), revision: two))
            try await eventually("the newest is known without asking") {
                second.store.newest?.revision == two
            }
            await place.close()
        }

        @Test(arguments: Kind.allCases)
        func theHistoryIsKeptInOrder(_ kind: Kind) async throws {
            let place = try await Place(kind)
            let store = try place.open()
            try await store.leads()
            var all: [HistoryEntry] = []
            // More at once than a transaction of etcd has steps, and single ones.
            for batch in 0..<13 {
                let size = [300, 1, 7][batch % 3]
                let fresh = try (0..<size).map {
                    try FarmStoreTests.entry(all.count + $0, term: 3)
                }
                try await store.save("\(batch)", fresh, from: UInt64(all.count))
                all += fresh
            }
            let read = try await store.store.history(limit: 0)
            #expect(read == all.reversed())
            #expect(try await store.store.history(limit: 7) == Array(all.reversed().prefix(7)))
            #expect(
                try await store.store.history(limit: 1_000) == Array(all.reversed().prefix(1_000)))
            await place.close()
        }

        @Test(arguments: Kind.allCases)
        func aLeaderOfYesterdayCannotWrite(_ kind: Kind) async throws {
            let place = try await Place(kind)
            let old = try place.open()
            try await old.leads()
            let term = try #require(old.store.standing.term)
            try await old.save("old", [FarmStoreTests.entry(1, term: term)])
            let new = try place.open()
            try await place.pass(to: new)
            let later = try #require(new.store.standing.term)
            #expect(later > term)
            try await new.save("new", [FarmStoreTests.entry(2, term: later)], from: 1)
            await #expect(throws: FarmStoreFault.superseded) {
                try await old.save(
                    "late", [FarmStoreTests.entry(3, term: term)], from: 2, term: term)
            }
            #expect(try await new.store.load()?.coded == Data("new".utf8))
            #expect(try await new.store.history(limit: 0).map(\.term) == [later, term])
            #expect(old.store.standing.term == nil)
            await place.close()
        }

        @Test(arguments: Kind.allCases)
        func aWriteFollowsTheRecordThatWasRead(_ kind: Kind) async throws {
            let place = try await Place(kind)
            let store = try place.open()
            try await store.leads()
            let first = try await store.save("first")
            let second = try await store.save("second")
            await #expect(throws: FarmStoreFault.unexpected(revision: second)) {
                try await store.save("third", [FarmStoreTests.entry(1)], after: first)
            }
            #expect(try await store.store.load()?.coded == Data("second".utf8))
            #expect(try await store.store.history(limit: 0).isEmpty)
            try await store.save("third", [FarmStoreTests.entry(1)], after: second)
            #expect(try await store.store.history(limit: 0).count == 1)
            await place.close()
        }

        @Test(arguments: Kind.allCases)
        func aWriteRings(_ kind: Kind) async throws {
            let place = try await Place(kind)
            let store = try place.open()
            try await store.leads()
            // Whatever else rings has come to rest: only then does silence mean something.
            try await Task.sleep(for: .milliseconds(300))
            let before = store.counter.value
            try await store.save("x")
            try await eventually("it rings") { store.counter.value > before }
            await place.close()
        }

        @Test(arguments: Kind.allCases)
        func whoEndsLetsTheNextLead(_ kind: Kind) async throws {
            let place = try await Place(kind)
            let first = try place.open()
            try await first.leads()
            try await first.save("first")
            let second: Opened
            if kind == .etcd {
                second = try place.open()
                try await eventually("the second follows") {
                    second.store.standing.leader?.node == "n1"
                }
                #expect(second.store.standing.term == nil)
                let began = ContinuousClock.now
                await first.close()
                try await second.leads()
                // By itself the lease would hold for two seconds and a half.
                #expect(ContinuousClock.now - began < .seconds(1.5))
            } else {
                await first.close()
                second = try place.open()
            }
            try await second.leads()
            #expect(try await second.store.load()?.coded == Data("first".utf8))
            try await second.save("second")
            await place.close()
        }
    }
}
