import Farm
import TestSupport
import Testing

@testable import AuthDNSCore

/// A zone's keys through whole rolls under a clock of the test's own: at no moment may a resolver's cache hold a
/// signature whose key it cannot have, or a DS record without a key.
@Suite struct KeyRollTests {
    private static let day: UInt64 = 86_400

    /// A world of caches that keep everything as long as TTLs and propagation let them.
    private struct World {
        let policy: KeyPolicy
        let longestTTL: UInt32
        var keys: [TimedKey] = []
        var now: UInt64 = 1_800_000_000
        /// For each moment that a cache may still know: what it may know.
        var keySets: [(until: UInt64, tags: Set<UInt16>)] = []
        var signatures: [(until: UInt64, tag: UInt16)] = []
        var delegations: [(until: UInt64, tags: Set<UInt16>)] = []
        var parent: Set<UInt16> = []
        var parentTakesAt: UInt64?

        mutating func step(_ requested: Set<Bool> = []) throws -> KeyRoll {
            let zone = try #require(DomainName("f.test"))
            let roll = KeyRoll.step(
                keys, policy: policy, longestTTL: longestTTL, now: now, requested: requested
            ) { ZoneKey(drawnFor: zone, algorithm: .ed25519, isEntryPoint: $0) }
            keys = roll.keys
            let signing = roll.signing
            let published = Set(signing.published.map(\.tag))
            let slowest = now + policy.propagation
            keySets.append((slowest + UInt64(policy.keyTTL), published))
            for key in signing.zoneSigners {
                signatures.append((slowest + UInt64(longestTTL), key.tag))
            }
            try actAsParent(signing)
            if !parent.isEmpty { delegations.append((now + policy.delegationTTL, parent)) }
            return roll
        }

        /// The parent follows CDS a day late, and its servers are asked then.
        private mutating func actAsParent(_ signing: SigningKeys) throws {
            let asked = signing.withdraws ? [] : signing.announced?.map(\.tag)
            guard let wanted = asked, Set(wanted) != parent else { return }
            let takesAt = parentTakesAt ?? now + day
            parentTakesAt = takesAt
            guard now >= takesAt else { return }
            parent = Set(wanted)
            parentTakesAt = nil
            if signing.withdraws { keys.noteUndelegation(now: now) }
            for index in keys.indices where parent.contains(keys[index].key.tag) {
                keys[index].delegated = now
            }
        }

        /// What any mixture of what caches may hold now must satisfy.
        func check(_ roll: KeyRoll) {
            let signing = roll.signing
            if keys.withdrawal == .done {
                return #expect(
                    !delegations.contains { $0.until > now }, "a cached DS leads nowhere")
            }
            for cached in keySets where cached.until > now {
                for signature in signatures where signature.until > now {
                    #expect(cached.tags.contains(signature.tag), "a cached key set lacks a signer")
                }
                for key in signing.zoneSigners {
                    #expect(cached.tags.contains(key.tag), "a signer is not in every cache")
                }
            }
            let keySigners = Set(signing.keySigners.map(\.tag))
            for delegation in delegations where delegation.until > now {
                #expect(!delegation.tags.isDisjoint(with: keySigners), "a cached DS leads nowhere")
            }
        }
    }

    private func live(_ world: inout World, until: UInt64, requests: [UInt64: Set<Bool>]) throws {
        let start = world.now
        while world.now < start + until {
            let due = requests.filter {
                $0.key >= world.now - start && $0.key < world.now - start + 1800
            }
            let roll = try world.step(due.values.reduce([]) { $0.union($1) })
            world.check(roll)
            world.now += 1800
        }
    }

    @Test(arguments: [true, false])
    func rollsNeverBreakACache(isSplit: Bool) throws {
        var world = World(
            policy: KeyPolicy(
                isSplit: isSplit, algorithm: .ed25519, entryLifetime: 60 * Self.day,
                zoneKeyLifetime: 10 * Self.day, propagation: 900, keyTTL: 7200,
                delegationTTL: 2 * Self.day), longestTTL: 86_400)
        try live(&world, until: 200 * Self.day, requests: [20 * Self.day: [true]])
        let entries = world.keys.filter(\.key.isEntryPoint)
        // One at the start, one on request, and one each 60 days from then.
        #expect((3...5).contains(entries.count), "\(entries.map(\.state))")
        #expect(entries.filter(\.isPublished).count <= 2)
        #expect(isSplit == world.keys.contains { !$0.key.isEntryPoint })
        if isSplit {
            #expect(world.keys.filter { !$0.key.isEntryPoint }.count > 12)
            #expect(world.keys.filter { !$0.key.isEntryPoint && $0.isPublished }.count <= 2)
        }
    }

    /// Keys and signatures stay until no cache has a DS record, whatever else was going on; then the zone is left alone,
    /// and can be signed anew.
    @Test(arguments: [true, false], [0, 1, 2, 3, 4, 6] as [UInt64])
    func aZoneLeavesDNSSECWithoutABogusMoment(isSplit: Bool, daysAfterRoll: UInt64) throws {
        var world = World(
            policy: KeyPolicy(
                isSplit: isSplit, algorithm: .ed25519, zoneKeyLifetime: 10 * Self.day,
                propagation: 900, keyTTL: 7200, delegationTTL: 2 * Self.day), longestTTL: 86_400)
        try live(&world, until: 20 * Self.day, requests: [:])
        #expect(!world.parent.isEmpty)
        try live(&world, until: daysAfterRoll * Self.day + 1, requests: [0: [true]])
        world.keys.withdraw(now: world.now)
        let asked = try world.step()
        #expect(asked.signing.withdraws && asked.signing.entryPoints.isEmpty)
        #expect(!asked.signing.zoneSigners.isEmpty && !asked.signing.keySigners.isEmpty)
        let apex = try #require(DomainName("f.test"))
        let records = asked.signing.records(at: apex)
        #expect(records.filter { $0.type == .cds }.map(\.data) == [[0, 0, 0, 0, 0]])
        #expect(records.filter { $0.type == .cdnskey }.map(\.data) == [[0, 0, 3, 0, 0]])
        // The parent follows a day late, or sooner if it comes to look for what was asked before.
        let start = world.now
        while world.keys.withdrawal != .done {
            try live(&world, until: 1800, requests: [:])
            try #require(world.now < start + 4 * Self.day)
        }
        #expect(world.parent.isEmpty)
        for key in world.keys where key.undelegated != nil {
            #expect((key.removed ?? 0) > (key.undelegated ?? 0) + 2 * Self.day)
        }
        let left = world.keys
        try live(&world, until: 30 * Self.day, requests: [3600: [true, false]])
        #expect(world.keys == left, "nothing moves until somebody wants it")
        world.keys.signAgain()
        (world.keySets, world.signatures) = ([], [])
        try live(&world, until: 20 * Self.day, requests: [:])
        let signing = try world.step().signing
        #expect(!world.parent.isEmpty && !signing.withdraws && signing.announced?.count == 1)
    }

    @Test func leavingIsTakenBackAtAnyMoment() throws {
        var world = World(
            policy: KeyPolicy(algorithm: .ed25519, delegationTTL: 2 * Self.day), longestTTL: 3600)
        try live(&world, until: 10 * Self.day, requests: [:])
        let (keys, tag) = (world.keys, world.keys[0].key.tag)
        for later in [0, 1800, Self.day, 2 * Self.day] {
            world.keys.withdraw(now: world.now)
            try live(&world, until: later, requests: [:])
            #expect(world.keys.withdrawal != .done)
            world.keys.signAgain()
            #expect(world.keys.withdrawal == .none)
            #expect(try world.step().signing.announced?.map(\.tag) == [tag])
            try live(&world, until: 5 * Self.day, requests: [:])
            #expect(world.parent == [tag] && world.keys.count == keys.count)
        }
        // A parent that points at the zone again is waited for again.
        world.keys.withdraw(now: world.now)
        world.keys.noteUndelegation(now: world.now)
        #expect(world.keys.withdrawal == .undelegated(since: world.now))
        world.keys.noteUndelegation(now: nil)
        #expect(world.keys.withdrawal == .asked)
    }

    @Test func aSuccessorWaitsForTheParentForEver() throws {
        let zone = try #require(DomainName("f.test"))
        func step(_ keys: [TimedKey], _ now: UInt64, _ requested: Set<Bool> = []) -> KeyRoll {
            KeyRoll.step(
                keys, policy: KeyPolicy(), longestTTL: 3600, now: now, requested: requested
            ) { ZoneKey(drawnFor: zone, algorithm: .ecdsaP256SHA256, isEntryPoint: $0) }
        }
        let first = step([], 1_000_000)
        #expect(first.keys.count == 1 && first.keys[0].isActive)
        #expect(first.signing.announced == nil, "caches may still hold the unsigned zone")
        let later = step(first.keys, 1_010_000, [true])
        #expect(later.signing.announced?.map(\.tag) == [first.keys[0].key.tag])
        #expect(later.keys.count == 2)
        let waiting = step(later.keys, 9_000_000)
        #expect(waiting.keys[1].announced != nil && !waiting.keys[1].isActive)
        #expect(waiting.nextStep == nil, "only the parent can do something now")
        #expect(waiting.signing.announced?.map(\.tag) == [waiting.keys[1].key.tag])
        // A step taken again changes nothing.
        #expect(step(waiting.keys, 9_000_000).keys == waiting.keys)
    }

    @Test func stepsAtOneMomentAreOne() throws {
        var world = World(
            policy: KeyPolicy(isSplit: true, algorithm: .ed25519, zoneKeyLifetime: Self.day),
            longestTTL: 3600)
        for _ in 0..<50 {
            _ = try world.step()
            let before = world.keys
            _ = try world.step()
            #expect(world.keys == before)
            world.now += 7 * 3600
        }
    }

    /// Files are named by a key's tag, and so are signers.
    @Test func noTwoKeysHaveOneTag() throws {
        let zone = try #require(DomainName("f.test"))
        let first = ZoneKey(drawnFor: zone, algorithm: .ed25519, isEntryPoint: true)
        var old = TimedKey(first, created: 1)
        (old.published, old.activated, old.announced) = (1, 1, 1)
        var draws = 0
        let roll = KeyRoll.step(
            [old], policy: KeyPolicy(algorithm: .ed25519), longestTTL: 60, now: 1_000_000,
            requested: [true]
        ) { isEntryPoint in
            draws += 1
            return draws == 1
                ? first : ZoneKey(drawnFor: zone, algorithm: .ed25519, isEntryPoint: isEntryPoint)
        }
        #expect(roll.keys.count == 2 && draws > 1)
        #expect(Set(roll.keys.map(\.key.tag)).count == 2)
    }
}
