import EtcdProtocol
import Farm
import Foundation
import TestSupport
import Testing

@testable import RoleScheduler

/// Who leads, by what was heard of etcd and when; no etcd is needed for it.
@Suite struct EtcdSituationTests {
    private let keys = EtcdKeys(prefix: "/smurf/a.test")
    private let start = ContinuousClock.now

    private func pair(
        _ key: Data, _ value: String = "", made: Int64, changed: Int64? = nil, lease: Int64 = 0
    ) -> Etcdserverpb_KeyValue {
        .with {
            ($0.key, $0.value, $0.lease) = (key, Data(value.utf8), lease)
            ($0.createRevision, $0.modRevision) = (made, changed ?? made)
        }
    }

    private func status(_ name: String) -> String {
        #"{"node":"\#(name)","agents":"127.0.0.1:1"}"#
    }

    private func put(_ pair: Etcdserverpb_KeyValue) -> Etcdserverpb_Event {
        .with { ($0.type, $0.kv) = (.put, pair) }
    }

    private func deletion(_ key: Data, at revision: Int64) -> Etcdserverpb_Event {
        .with { ($0.type, $0.kv) = (.delete, .with { ($0.key, $0.modRevision) = (key, revision) }) }
    }

    private func list(_ revision: Int64, _ pairs: [Etcdserverpb_KeyValue])
        -> Etcdserverpb_RangeResponse
    {
        .with { ($0.header.revision, $0.kvs) = (revision, pairs) }
    }

    /// A situation with a lease that holds for five seconds.
    private func fresh() -> EtcdSituation {
        var situation = EtcdSituation(keys: keys, node: "n1")
        situation.begin(7, until: start + .seconds(5))
        return situation
    }

    @Test func oneStandsOnlyWhenNobodyLeadsAndAllIsKnown() {
        var situation = fresh()
        #expect(situation.candidacy(at: start) == nil, "nothing is known")
        situation.take(list(10, []))
        #expect(situation.candidacy(at: start) == 7)
        #expect(situation.candidacy(at: start + .seconds(5)) == nil, "the lease is over")
        situation.take([put(pair(keys.leader, status("n2"), made: 11, lease: 8))])
        #expect(situation.candidacy(at: start) == nil)
        #expect(situation.standing(at: start).leader?.node == "n2")
        situation.take([deletion(keys.leader, at: 12)])
        #expect(situation.candidacy(at: start) == 7)
        situation.mistrust("gone")
        #expect(situation.candidacy(at: start) == nil)
    }

    @Test func oneLeadsOnlyForAsLongAsTheLeaseHoldsForCertain() {
        var situation = fresh()
        situation.take(list(10, []))
        let own = NodeStatus(node: "n1", agents: "")
        situation.note(.init(status: own, term: 11, lease: 7), at: 11)
        #expect(situation.term(at: start) == 11)
        #expect(situation.term(at: start + .seconds(5)) == nil)
        // A process that was stopped and goes on does not lead, whatever etcd says later.
        #expect(situation.standing(at: start + .seconds(6)).leader == nil)
        situation.renew(7, until: start + .seconds(9))
        #expect(situation.term(at: start + .seconds(6)) == 11)
        situation.begin(9, until: start + .seconds(12))
        #expect(situation.term(at: start + .seconds(6)) == nil, "another lease")
    }

    @Test func whatIsHeardLateChangesNothing() {
        var situation = fresh()
        situation.take(list(10, []))
        situation.note(
            .init(status: NodeStatus(node: "n1", agents: ""), term: 20, lease: 7), at: 20)
        situation.take([deletion(keys.leader, at: 15)])
        #expect(situation.term(at: start) == 20)
        situation.take([put(pair(keys.leader, status("n2"), made: 14, lease: 8))])
        #expect(situation.term(at: start) == 20)
        situation.take(list(19, [pair(keys.leader, status("n2"), made: 14, lease: 8)]))
        #expect(situation.term(at: start) == 20, "the list was drawn up before")
        situation.take(list(25, [pair(keys.leader, status("n2"), made: 24, lease: 8)]))
        #expect(situation.term(at: start) == nil)
        #expect(situation.standing(at: start).leaderTerm == 24)
    }

    /// A restored backup begins again at smaller revisions.
    @Test func aListReplacesEverythingEvenByWhatIsOlder() {
        var situation = EtcdSituation(keys: keys, node: "n1")
        situation.take(
            list(
                100,
                [
                    pair(keys.record, "new", made: 1, changed: 99),
                    pair(keys.leader, status("n2"), made: 90, lease: 8),
                    pair(keys.node("n2"), status("n2"), made: 5),
                ]))
        #expect(situation.standing(at: start).nodes.map(\.node) == ["n2"])
        situation.take(list(40, [pair(keys.record, "old", made: 1, changed: 39)]))
        #expect(situation.record?.coded == Data("old".utf8))
        #expect(situation.leader == nil)
        #expect(situation.standing(at: start).nodes.isEmpty)
        situation.take([put(pair(keys.leader, status("n3"), made: 41, lease: 8))])
        #expect(situation.standing(at: start).leader?.node == "n3")
    }

    @Test func nodesComeAndGo() {
        var situation = fresh()
        situation.take(list(1, []))
        situation.take([
            put(pair(keys.node("n2"), status("n2"), made: 2)),
            put(pair(keys.node("n1"), status("n1"), made: 3)),
            put(pair(keys.node("n3"), "not JSON", made: 4)),
            put(pair(Data("/smurf/a.test/live/else".utf8), "?", made: 5)),
        ])
        #expect(situation.standing(at: start).nodes.map(\.node) == ["n1", "n2"])
        situation.take([deletion(keys.node("n1"), at: 6)])
        #expect(situation.standing(at: start).nodes.map(\.node) == ["n2"])
    }

    @Test(arguments: [
        ("http://127.0.0.1", "http://127.0.0.1:2379"), ("https://[::1]:99/", "https://[::1]:99"),
        ("https://etcd1.example.net:2380", "https://etcd1.example.net:2380"),
        ("http://localhost:1", "http://localhost:1"),
    ])
    func addressesAreRead(_ text: String, _ shown: String) {
        #expect(EtcdAddress(text)?.description == shown)
    }

    @Test(arguments: [
        "", "127.0.0.1:2379", "ftp://h", "http://", "http://h:0", "http://h:70000", "http://[::1",
        "http://[h]:1", "http://h/path", "http://u@h", "http://h:1:2", "http://-h", "http://a b",
    ])
    func whatIsNoAddressIsRefused(_ text: String) { #expect(EtcdAddress(text) == nil) }
}
