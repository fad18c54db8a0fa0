import DeliveryCore
import Farm
import Foundation
import NIOPosix
import TestSupport
import Testing

@testable import Delivery

/// A disk that is full: nothing is promised that is not kept, what was kept stays whole, and all goes on
/// when there is room again.
@Suite(.enabled(if: SmallDisk.isPossible, "mounting needs root"))
struct FullDiskTests {
    private func item(_ number: UInt32) -> AgentFeedback {
        AgentFeedback(kind: .bounce, mailing: 1, recipient: number, status: "5.1.1", unixTime: 1)
    }

    @Test func theSpoolRefusesAndRecovers() async throws {
        let disk = try await SmallDisk(kibibytes: 256)
        var spool = try FeedbackSpool(directory: disk.path)
        try await spool.append(item(1))
        try disk.fill()
        // What is left of the last block may still take an item or two.
        var kept: [UInt32] = [1]
        for number in 2...300 as ClosedRange<UInt32> {
            if (try? await spool.append(item(number))) != nil { kept.append(number) }
        }
        #expect(kept.count < 200, "the disk took \(kept.count) items")
        #expect(spool.pending(limit: 999).map(\.feedback.recipient) == kept)
        try disk.relieve()
        try await spool.append(item(301))
        kept.append(301)
        spool = try FeedbackSpool(directory: disk.path)
        #expect(spool.pending(limit: 999).map(\.feedback.recipient) == kept)
        #expect(Set(spool.pending(limit: 999).map(\.sequence)).count == kept.count)
    }

    @Test func peopleAreToldToTryAgain() async throws {
        let disk = try await SmallDisk(kibibytes: 64)
        let spool = try FeedbackSpool(directory: disk.path)
        let people = PostmasterMail(directory: disk.path)
        let desk = BounceDesk(
            zone: "smurf.example.test", bounceDomain: "bounce.smurf.example.test",
            hostName: "s01.smurf.example.test", spool: spool, people: people,
            counters: AgentCounters(), keys: { [] })
        let message = SMTPServer.Message(
            sender: nil, recipients: [try Mailbox("postmaster@smurf.example.test")],
            content: Array("Subject: hello\r\n\r\nHello\r\n".utf8), isEightBit: false)
        let client = SMTPPeer(address: .v4(0x7F00_0001), name: "there")
        #expect(await desk.accept(message, from: client).code == 250)
        try disk.fill()
        #expect(await desk.accept(message, from: client).code == 452)
        let folders = disk.path + "/postmaster/"
        #expect(try FileManager.default.contentsOfDirectory(atPath: folders + "tmp").isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folders + "new").count == 1)
        try disk.relieve()
        #expect(await desk.accept(message, from: client).code == 250)
    }

    @Test func theLedgerStaysWhole() async throws {
        let disk = try await SmallDisk(kibibytes: 4096)
        var ledger = try SQLiteLedger(directory: disk.path)
        let first = try await imported(ledger, "first", rows: 200)
        #expect(try await ledger.claim(for: "s01", limit: 50, now: 10)?.rows.count == 50)
        try disk.fill()
        await #expect(throws: (any Error).self) {
            for round in 0..<1000 { _ = try await imported(ledger, "more\(round)", rows: 500) }
        }
        let counts = try await ledger.mailing(first).counts
        #expect(counts[.leased] == 50 && counts[.pending] == 150)
        try disk.relieve()
        #expect(try await ledger.recount(first) == counts)
        #expect(try await ledger.claim(for: "s01", limit: 50, now: 10)?.rows.count == 50)
        try ledger.close()
        ledger = try SQLiteLedger(directory: disk.path)
        for mailing in try await ledger.mailings() {
            #expect(mailing.state == .sending)
            #expect(try await ledger.recount(mailing.id) == mailing.counts)
        }
        _ = try await imported(ledger, "last", rows: 100)
    }

    private func imported(_ ledger: SQLiteLedger, _ name: String, rows: Int) async throws -> UInt32
    {
        let identity = MailingIdentity(
            name: name, bounceDomain: "b.example", date: 1, tokenExpiryDay: 21_000)
        let id = try await ledger.beginImport(
            template: [65], fields: ["x"], identity: identity, now: 1)
        var batch = RowBatch()
        for number in 0..<UInt32(rows) {
            batch.append(
                recipient: number, address: "r\(number)@mail.example",
                values: [[UInt8](repeating: 0x78, count: 40)])
        }
        try await ledger.appendImport(mailing: id, rows: batch.bytes)
        _ = try await ledger.finishImport(mailing: id, rows: UInt64(rows))
        return id
    }
}

/// Strangers may leave mail for people only up to a quota.
@Suite struct PostmasterQuotaTests {
    @Test func beyondTheQuotaMailIsPutOff() async throws {
        let directory = try TemporaryDirectory()
        let quota = PostmasterMail.Quota(octets: 100_000, messages: 3)
        let people = PostmasterMail(directory: directory.path, quota: quota)
        let client = SMTPPeer(address: .v4(0x7F00_0001), name: "there")
        func message(_ size: Int) throws -> SMTPServer.Message {
            SMTPServer.Message(
                sender: nil, recipients: [try Mailbox("abuse@x.example")],
                content: [UInt8](repeating: 0x41, count: size), isEightBit: false)
        }
        try await people.keep(try message(60_000), from: client)
        await #expect(throws: PostmasterMail.Full.self) {
            try await people.keep(try message(60_000), from: client)
        }
        try await people.keep(try message(100), from: client)
        try await people.keep(try message(100), from: client)
        await #expect(throws: PostmasterMail.Full.self) {
            try await people.keep(try message(100), from: client)
        }
        // Also another start of the agent knows; and room that people made counts at once.
        let again = PostmasterMail(directory: directory.path, quota: quota)
        await #expect(throws: PostmasterMail.Full.self) {
            try await again.keep(try message(100), from: client)
        }
        let new = directory.file("postmaster/new")
        for name in try FileManager.default.contentsOfDirectory(atPath: new) {
            try FileManager.default.removeItem(atPath: new + "/" + name)
        }
        try await people.keep(try message(60_000), from: client)
    }

    @Test(arguments: [(1, 1), (10, 10), (19, 19), (20, 19), (21, 20), (100, 95), (4096, 3892)])
    func thePercentileIsTheNearestRank(count: Int, rank: Int) {
        #expect(RequestMeter.rank(of: count) == rank)
    }
}
