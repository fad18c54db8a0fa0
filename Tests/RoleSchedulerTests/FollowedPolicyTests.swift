import Farm
import Foundation
import TestSupport
import Testing

@testable import RoleScheduler
@testable import RoleSchedulerCore

/// Of the two policies a control node may know, its file's and the farm's, which one it goes by.
@Suite struct FollowedPolicyTests {
    private func text(_ zone: String = "a.test", min: Int) -> String {
        "version: 1\nzone: \(zone)\nroles: {web: {names: {web: A}, min: \(min)}}\n"
    }

    private func policy(min: Int) throws -> Policy {
        try parsePolicy(text(min: min), file: "farm.yml").policy
    }

    private func farm(_ number: UInt64, _ text: String) -> FarmPolicy {
        FarmPolicy(
            number: number, text: text, digest: "d\(number)", by: "ann", reason: "",
            unixTime: 1_800_000_000, node: "n1")
    }

    @Test func theFileHoldsUntilTheFarmHasAPolicy() throws {
        var followed = FollowedPolicy(file: try policy(min: 1))
        #expect(try followed.policy == policy(min: 1))
        #expect(!followed.fileDiffers)
        followed.reread(try policy(min: 2))
        #expect(try followed.policy == policy(min: 2))

        let isNew = followed.take(farm(1, text(min: 3)))
        #expect(isNew)
        #expect(try followed.policy == policy(min: 3))
        #expect(followed.fileDiffers)
        let isAgain = followed.take(farm(1, text(min: 3)))
        #expect(!isAgain, "the same once more")
        followed.reread(try policy(min: 4))
        #expect(try followed.policy == policy(min: 3))
        #expect(followed.fileDiffers)
        followed.reread(try policy(min: 3))
        #expect(!followed.fileDiffers, "another text with the same meaning is no difference")
    }

    /// No machine may be called what the node's own zone file has records for, whosever the policy is.
    @Test func labelsOfTheZoneFileHoldForTheFarmsPolicyToo() throws {
        var own = try policy(min: 1)
        own.staticLabels = ["ns1"]
        var followed = FollowedPolicy(file: own)
        _ = followed.take(farm(1, text(min: 3)))
        #expect(followed.policy.staticLabels == ["ns1"])
        own.staticLabels = ["ns2"]
        followed.reread(own)
        #expect(followed.policy.staticLabels == ["ns2"])
    }

    /// The end of a policy is known by its number too: a restored backup does not bring the policy back.
    @Test func aReleaseBringsTheFileBackAndStays() throws {
        var followed = FollowedPolicy(file: try policy(min: 1))
        _ = followed.take(farm(4, text(min: 3)))
        let isNews = followed.take(farm(5, ""))
        #expect(isNews)
        #expect(try followed.policy == policy(min: 1))
        #expect(followed.farm == nil && followed.number == 5 && followed.trouble.isEmpty)
        #expect(!followed.fileDiffers)
        followed.reread(try policy(min: 2))
        #expect(try followed.policy == policy(min: 2))
        for older in [farm(4, text(min: 3)), nil] {
            let isTaken = followed.take(older)
            #expect(!isTaken)
        }
        _ = followed.take(farm(6, text(min: 7)))
        #expect(try followed.policy == policy(min: 7))
    }

    @Test func anOlderOneIsNotTaken() throws {
        var followed = FollowedPolicy(file: try policy(min: 1))
        let isNewer = followed.take(farm(2, text(min: 3)))
        #expect(isNewer)
        let isOlder = followed.take(farm(1, text(min: 5)))
        #expect(!isOlder, "of a restored backup")
        let isNone = followed.take(nil)
        #expect(!isNone)
        #expect(try followed.policy == policy(min: 3))
        #expect(followed.number == 2)
    }

    @Test func whatCannotBeReadLeavesInForceWhatWas() throws {
        var followed = FollowedPolicy(file: try policy(min: 1))
        _ = followed.take(farm(1, text(min: 3)))
        let isUnreadable = followed.take(farm(2, text(min: 3) + "novelty: 7\n"))
        #expect(isUnreadable)
        #expect(try followed.policy == policy(min: 3))
        #expect(followed.trouble.contains("policy d2:4:1: error: unknown key 'novelty'"))
        let isElsewhere = followed.take(farm(3, text("b.test", min: 3)))
        #expect(isElsewhere)
        #expect(followed.trouble == "policy d3 is for 'b.test', not for 'a.test'")
        let isGood = followed.take(farm(4, text(min: 6)))
        #expect(isGood)
        #expect(followed.trouble.isEmpty)
        #expect(try followed.policy == policy(min: 6))
    }

    /// A program that knows nothing of the farm's policy would write the record without it: the form tells it to keep off.
    @Test func onlyARecordWithAPolicyHasTheNewForm() throws {
        var record = FarmRecord()
        let now = Moment(seconds: 1)
        #expect(
            String(decoding: try record.coded(now: now, unixTime: 0), as: UTF8.self)
                .contains("\"form\":1"))
        record.policy = farm(7, text(min: 1))
        let coded = try record.coded(now: now, unixTime: 0)
        #expect(String(decoding: coded, as: UTF8.self).contains("\"form\":2"))
        #expect(try FarmRecord(coded: coded, now: now, unixTime: 0).policy == record.policy)
    }
}
