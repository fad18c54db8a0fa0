import Farm
import TestSupport
import Testing

@testable import AuthDNSCore

/// Transfers that come in, made by our own sender and by hand: what they amount to, and that no octets, whoever sent
/// them, do harm.
@Suite struct IncomingTransferTests {
    private let key: TSIGKey

    init() throws {
        let key = TSIGKey(
            name: DomainName("k.test") ?? .root, algorithm: .sha256,
            secret: [UInt8](repeating: 7, count: 32))
        self.key = try #require(key)
    }

    /// Every message that answers the transfer's query.
    private func messages(
        _ transfer: inout IncomingTransfer, _ responder: PeerResponder
    ) throws -> [[UInt8]] {
        let query = transfer.request(id: 4711, unixTime: 5)
        let answer = responder.answer(query, TransferTests.context(), unixTime: 5)
        guard case .stream(var stream) = answer else {
            guard case .message(let message) = answer else { return [] }
            return [message]
        }
        var messages: [[UInt8]] = []
        while let message = stream.message(unixTime: 5) { messages.append(message) }
        return messages
    }

    private func state(
        _ transfer: inout IncomingTransfer, _ messages: [[UInt8]]
    ) throws -> IncomingTransfer.State {
        var last = IncomingTransfer.State.more
        for message in messages { last = try transfer.take(message, unixTime: 5) }
        return last
    }

    @Test(arguments: [false, true]) func aWholeZoneComes(_ isSigned: Bool) throws {
        let key = isSigned ? self.key : nil
        let image = try TransferTests.image(9, Array(1...3000))
        let responder = try TransferTests.responder(image, key: key)
        var transfer = IncomingTransfer(of: TransferTests.apex, since: nil, key: key)
        let messages = try messages(&transfer, responder)
        #expect(messages.count > 1)
        guard case .whole(let content) = try state(&transfer, messages) else {
            Issue.record("no zone came")
            return
        }
        #expect(content == image.content)
        #expect(throws: ZoneFault.self) { try transfer.take(messages[0], unixTime: 5) }
    }

    /// Steps lead from any version to the last, as a model's members say, and what the zone has at the end is what
    /// the sender has.
    @Test func stepsLeadToTheLastVersion() throws {
        let seed = SeededGenerator.announcedSeed("stepsLeadToTheLastVersion")
        var random = SeededGenerator(seed: seed)
        var images = [try TransferTests.image(1, Array(1...40))]
        var history = ZoneHistory()
        for serial in 2...40 as ClosedRange<UInt32> {
            let members = (1...60).filter { _ in Bool.random(using: &random) }
            let next = try TransferTests.image(serial, members)
            history.append(ZoneDifference(from: images[images.count - 1], to: next))
            images.append(next)
        }
        let last = try #require(images.last)
        let responder = try TransferTests.responder(last, history)
        for image in images {
            var transfer = IncomingTransfer(of: TransferTests.apex, since: image.soa, key: nil)
            switch try state(&transfer, messages(&transfer, responder)) {
            case .current: #expect(image.serial == last.serial)
            case .whole(let content): #expect(content == last.content)
            case .steps(let steps):
                let content = try steps.reduce(image.content) { try $0.applying($1) }
                #expect(content.records.first == last.soa)
                #expect(Set(content.records) == Set(last.records))
            case .more, .notIncremental: Issue.record("nothing came for \(image.serial)")
            }
        }
    }

    @Test func stepsThatDoNotFitAreRefused() throws {
        let (first, second) = (
            try TransferTests.image(1, [1, 2, 3]), try TransferTests.image(2, [2, 3, 4])
        )
        let step = ZoneDifference(from: first, to: second)
        #expect(try first.content.applying(step) == second.content)
        #expect(throws: ZoneFault.self) { try second.content.applying(step) }
        let other = try TransferTests.image(1, [2, 3])
        #expect(throws: ZoneFault.self) { try other.content.applying(step) }
    }

    /// Of the messages between the first and the last some may be unsigned (RFC 8945 §5.3.1), but not altered.
    @Test func someMessagesMayBeUnsigned() throws {
        let image = try TransferTests.image(9, Array(1...4000))
        var transfer = IncomingTransfer(of: TransferTests.apex, since: nil, key: key)
        let query = transfer.request(id: 1, unixTime: 5)
        guard
            case .good(let bare, let exchange) = TSIGExchange.judge(
                query, keys: [key], unixTime: 5)
        else {
            Issue.record("the query is not signed well")
            return
        }
        let plain = try TransferTests.responder(image)
        guard case .stream(var stream) = plain.answer(bare, TransferTests.context(), unixTime: 5)
        else {
            Issue.record("there is no transfer")
            return
        }
        var whole: [[UInt8]] = []
        while let message = stream.message(unixTime: 5) { whole.append(message) }
        #expect(whole.count > 3)
        let verdicts = [false, true].map { isAltered -> Bool in
            var (signer, receiver) = (exchange, transfer)
            var pending: [[UInt8]] = []
            for (index, message) in whole.enumerated() {
                var sent = message
                if index == 0 || index == whole.count - 1 {
                    signer.sign(&sent, after: pending, unixTime: 5)
                    pending = []
                } else {
                    pending.append(message)
                }
                if isAltered && index == 1 { sent[sent.count - 1] ^= 1 }
                guard let state = try? receiver.take(sent, unixTime: 5) else { return false }
                if case .whole = state { return true }
            }
            return false
        }
        #expect(verdicts == [true, false])
    }

    @Test(arguments: [1, 4, 5, 9]) func refusalsAreUnderstood(_ code: UInt8) throws {
        for known in [nil, TransferTests.soa(1)] {
            var transfer = IncomingTransfer(of: TransferTests.apex, since: known, key: nil)
            var reply = transfer.request(id: 3, unixTime: 5)
            reply[2] |= 0x80
            reply[3] = code
            if known != nil, [1, 4].contains(code) {
                guard case .notIncremental = try transfer.take(reply, unixTime: 5) else {
                    Issue.record("the whole zone should be asked for")
                    return
                }
            } else {
                #expect(throws: ZoneFault.self) { try transfer.take(reply, unixTime: 5) }
            }
        }
    }

    @Test func noOctetsDoHarm() throws {
        let seed = SeededGenerator.announcedSeed("noOctetsDoHarm")
        var random = SeededGenerator(seed: seed)
        let image = try TransferTests.image(9, Array(1...200))
        let responder = try TransferTests.responder(image)
        for round in 0..<4000 {
            let known = round % 2 == 0 ? nil : TransferTests.soa(3)
            var transfer = IncomingTransfer(of: TransferTests.apex, since: known, key: nil)
            var messages = try messages(&transfer, responder)
            for index in messages.indices {
                for _ in 0..<Int.random(in: 0...4, using: &random) {
                    let at = Int.random(in: 0..<messages[index].count, using: &random)
                    messages[index][at] = UInt8.random(in: 0...255, using: &random)
                }
                if Int.random(in: 0..<8, using: &random) == 0 {
                    messages[index].removeLast(
                        Int.random(in: 0..<messages[index].count, using: &random))
                }
            }
            // Whatever comes of it, it is a zone that can be laid out, or a fault.
            if case .whole(let content)? = try? state(&transfer, messages) {
                _ = try? ZoneImage(content, serial: 1)
            }
        }
    }
}

extension TSIGExchange {
    /// Signs a message and, with it, those since the last signed one.
    fileprivate mutating func sign(
        _ message: inout [UInt8], after others: [[UInt8]], unixTime: UInt64
    ) {
        for other in others { _ = accept(other, unixTime: unixTime) }
        sign(&message, unixTime: unixTime)
    }
}
