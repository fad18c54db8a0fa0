import AuthDNSCore
import Testing

/// What may be said about keys in which state, and what it changes.
@Suite struct KeyOrderTests {
    private static let zone = DomainName("smurf.example.test") ?? .root
    private static let now: UInt64 = 1_800_000_000

    private func key(entry: Bool = true, at created: UInt64 = now) -> TimedKey {
        var key = TimedKey(
            ZoneKey(drawnFor: KeyOrderTests.zone, algorithm: .ed25519, isEntryPoint: entry),
            created: created)
        (key.published, key.activated) = (created, created)
        return key
    }

    private func fault(_ order: KeyOrder, _ keys: [TimedKey]) -> String? {
        var after = keys
        do throws(KeyOrderFault) {
            _ = try after.follow(order, now: KeyOrderTests.now)
            return nil
        } catch {
            #expect(after == keys, "a refused order changes nothing")
            return error.description
        }
    }

    @Test func anUnsignedZoneTakesNone() {
        for order in [
            KeyOrder.replace(isEntryPoint: true), .delegated(tag: nil), .withdraw,
            .undelegated(true), .signAgain,
        ] { #expect(fault(order, [])?.contains("not signed") == true) }
    }

    @Test func aKindOfKeyIsReplacedOnceAtATime() throws {
        var keys = [key()]
        #expect(try keys.follow(.replace(isEntryPoint: true), now: KeyOrderTests.now) == [true])
        #expect(fault(.replace(isEntryPoint: false), keys)?.contains("(csk)") == true)
        var second = key()
        second.activated = nil
        keys.append(second)
        #expect(
            fault(.replace(isEntryPoint: true), keys)?.contains("\(second.key.tag)") == true)
    }

    @Test func theParentsAnswerIsForTheNewestThatWaits() throws {
        var keys = [key(), key()]
        #expect(fault(.delegated(tag: nil), keys)?.contains("no key waits") == true)
        keys[0].announced = 1
        keys[1].announced = 2
        #expect(keys.awaiting(nil) == keys[1])
        #expect(
            fault(.delegated(tag: keys[0].key.tag &+ 1), keys) != nil
                || keys[1].key.tag == keys[0].key.tag &+ 1)
        #expect(try keys.follow(.delegated(tag: nil), now: KeyOrderTests.now).isEmpty)
        #expect(keys[1].delegated == KeyOrderTests.now && keys[0].delegated == nil)
        _ = try keys.follow(.delegated(tag: keys[0].key.tag), now: KeyOrderTests.now)
        #expect(keys[0].delegated == KeyOrderTests.now)
    }

    @Test func theWayOutOfDNSSECIsGoneStepByStep() throws {
        var keys = [key()]
        #expect(fault(.undelegated(true), keys)?.contains("unsign") == true)
        #expect(fault(.signAgain, keys) == "the zone is signed")
        _ = try keys.follow(.withdraw, now: KeyOrderTests.now)
        #expect(keys.withdrawal == .asked)
        #expect(fault(.withdraw, keys)?.contains("already") == true)
        #expect(fault(.replace(isEntryPoint: true), keys)?.contains("on its way out") == true)
        _ = try keys.follow(.undelegated(true), now: KeyOrderTests.now)
        #expect(keys.withdrawal == .undelegated(since: KeyOrderTests.now))
        _ = try keys.follow(.undelegated(false), now: KeyOrderTests.now)
        #expect(keys.withdrawal == .asked)
        _ = try keys.follow(.signAgain, now: KeyOrderTests.now)
        #expect(keys.withdrawal == .none)
    }
}
