import DeliveryCore
import Farm
import TestSupport
import Testing

@testable import Sink

@Suite struct ReactionChooserTests {
    private func configuration(seed: UInt64 = 1) -> SinkConfiguration {
        var configuration = SinkConfiguration(listen: [])
        configuration.seed = seed
        configuration.reject = 0.1
        configuration.defer = 0.1
        configuration.reactions.bounce = 0.2
        configuration.reactions.unsubscribe = 0.1
        configuration.reactions.prefetch = 0.3
        return configuration
    }

    private let people = (0..<5000).map { "user\($0)@mail.example" }

    @Test func theSamePeopleDoTheSameThings() {
        let one = ReactionChooser(configuration())
        let two = ReactionChooser(configuration())
        let other = ReactionChooser(configuration(seed: 2))
        #expect(people.allSatisfy { one.kinds(of: $0) == two.kinds(of: $0) })
        #expect(people.contains { one.kinds(of: $0) != other.kinds(of: $0) })
    }

    @Test func sharesHoldAndNobodyIsBothGoneAndLeaving() {
        let chooser = ReactionChooser(configuration())
        var bounces = 0
        var clicks = 0
        var prefetches = 0
        for person in people {
            let kinds = chooser.kinds(of: person)
            let isGone = kinds.contains { if case .bounce = $0 { true } else { false } }
            bounces += isGone ? 1 : 0
            clicks += kinds.contains(.unsubscribe) ? 1 : 0
            prefetches += kinds.contains(.prefetch) ? 1 : 0
            #expect(!(isGone && kinds.contains(.unsubscribe)))
            if RecipientChooser.draw(person, seed: 1) < 0.2 {
                #expect(!isGone && !kinds.contains(.unsubscribe), "refused: nothing came")
            }
        }
        #expect((800...1200).contains(bounces))
        #expect((400...600).contains(clicks))
        #expect((1300...1700).contains(prefetches))
    }

    @Test func lagsHaveTheirMeanAndAnEnd() {
        var configuration = configuration()
        configuration.reactions.clickLag = 4
        let chooser = ReactionChooser(configuration)
        let lags = people.map { chooser.lag(of: $0, .unsubscribe) }
        let mean = lags.reduce(0, +) / Double(lags.count)
        #expect((3.7...4.3).contains(mean))
        #expect(lags.allSatisfy { (0...32).contains($0) })
    }
}

@Suite struct ReactionQueueTests {
    private func reaction(_ due: Double) -> Reaction {
        Reaction(kind: .unsubscribe, recipient: "a@b.example", sender: "", due: due, deadline: 0)
    }

    @Test func handsOutInTheOrderOfTime() {
        var generator = SeededGenerator(seed: 11)
        let queue = ReactionQueue()
        let now = SinkClock.now
        for _ in 0..<1000 {
            #expect(queue.add(reaction(now - Double.random(in: 0...100, using: &generator))))
        }
        var last = -Double.infinity
        for _ in 0..<1000 {
            guard case .reaction(let next) = queue.next(within: 0) else {
                Issue.record("nothing is due")
                return
            }
            #expect(next.due >= last)
            last = next.due
            queue.finish(next)
        }
        #expect(queue.outstanding == 0)
    }

    @Test func keepsAccountOfWhatIsInHand() {
        let queue = ReactionQueue()
        let now = SinkClock.now
        _ = queue.add(reaction(now))
        _ = queue.add(reaction(now + 1000))
        guard case .reaction(let first) = queue.next(within: 1) else {
            Issue.record("nothing is due")
            return
        }
        guard case .nothing = queue.next(within: 0.01) else {
            Issue.record("what is due in 1000 seconds came")
            return
        }
        #expect(queue.outstanding == 2 && queue.unfinished.count == 1)
        #expect(queue.end().count == 1)
        #expect(!queue.postpone(first) && queue.outstanding == 0)
        #expect(!queue.add(reaction(now)))
    }
}

@Suite struct BounceMessageTests {
    private func message(
        to recipient: String = "gone@mail.example", header: String, status: String = "5.1.1"
    ) -> BounceMessage {
        BounceMessage(
            Reaction(
                kind: .bounce(status: status), recipient: recipient,
                sender: "b-abc@bounce.example", header: Array(header.utf8), due: 0, deadline: 0),
            status: status, number: 7, date: "Mon, 23 Nov 2026 22:00:00 +0000")
    }

    @Test(arguments: [
        ("5.1.1", DeliveryStatus.Bounce.Kind.addressGone), ("5.2.1", .addressGone),
        ("5.2.2", .transient),
    ])
    func isReadAsABounce(_ status: String, _ kind: DeliveryStatus.Bounce.Kind) throws {
        let message = message(header: "Subject: é\r\nFrom: a@b.example\r\n", status: status)
        guard case .bounce(let bounce) = DeliveryStatus.read(message.content) else {
            Issue.record("\(DeliveryStatus.read(message.content))")
            return
        }
        #expect(bounce.kind == kind && bounce.status == status)
        #expect(bounce.finalRecipient == "gone@mail.example")
        #expect(bounce.diagnostic.contains(status))
        #expect(message.isEightBit)
    }

    @Test func linesThatBeginWithADotAreDoubled() {
        let message = message(header: "X: y\r\n .\r\n")
        #expect(!message.isEightBit)
        let text = String(decoding: message.dotStuffed, as: UTF8.self)
        #expect(text.hasSuffix("--\r\n") && !text.contains("\r\n.\r\n"))
        let bare = self.message(header: ".\r\n")
        #expect(String(decoding: bare.dotStuffed, as: UTF8.self).contains("\r\n..\r\n"))
    }

    @Test func addressesBeyondASCIIStayReadable() {
        let message = message(to: "юлия@mail.example", header: "Subject: x\r\n")
        let text = String(decoding: message.content, as: UTF8.self)
        #expect(text.contains("Final-Recipient: utf-8; \\x{44E}\\x{43B}\\x{438}\\x{44F}@mail"))
        #expect(!message.isEightBit)
    }
}

@Suite struct WebReplyTests {
    private func read(_ text: String, isEnd: Bool = false) -> WebReply.Parsed {
        WebReply.read(Array(text.utf8), isEnd: isEnd)
    }

    @Test func knowsWhereRepliesEnd() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
        let reply = WebReply(status: 200, retryAfter: nil, keepsOpen: true)
        #expect(read(head + "ab") == .needMore)
        #expect(read(head + "abc") == .reply(reply))
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(read(chunked + "3\r\nabc\r\n0\r\n") == .needMore)
        #expect(read(chunked + "3\r\nabc\r\n0\r\n\r\n") == .reply(reply))
        #expect(read("HTTP/1.1 100 Continue\r\n\r\n" + head + "abc") == .reply(reply))
        #expect(read("HTTP/1.1 204 No Content\r\n\r\n").status == 204)
        #expect(read("HTTP/1.0 200 OK\r\n\r\nabc") == .needMore)
        #expect(
            read("HTTP/1.0 200 OK\r\n\r\nabc", isEnd: true)
                == .reply(WebReply(status: 200, retryAfter: nil, keepsOpen: false)))
    }

    @Test func readsWhenToComeAgain() {
        let text = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nConnection: close\r\n"
        #expect(
            read(text + "Content-Length: 0\r\n\r\n")
                == .reply(WebReply(status: 503, retryAfter: 7, keepsOpen: false)))
    }

    @Test func noReplyOfAnyShapeTraps() {
        var generator = SeededGenerator(seed: 5)
        let model = Array(
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n"
                + "Retry-After: 3\r\n\r\n4;x=y\r\nabcd\r\n0\r\nA: b\r\n\r\n").utf8)
        for _ in 0..<20_000 {
            var bytes = model
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let at = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[at] = UInt8.random(in: 0...255, using: &generator)
                if Bool.random(using: &generator) { bytes.removeLast(bytes.count / 9) }
            }
            guard case .needMore = WebReply.read(bytes, isEnd: true) else { continue }
            Issue.record("waits for more after the end: \(bytes)")
        }
        for field in ["Content-Length: -1", "Content-Length: 99999999999999999999"] {
            guard case .garbage = read("HTTP/1.1 200 OK\r\n\(field)\r\n\r\n") else {
                Issue.record("\(field) is taken")
                continue
            }
        }
        guard case .garbage = read("220 smtp.example ESMTP\r\n\r\n") else {
            Issue.record("SMTP is taken for HTTP")
            return
        }
    }
}

extension WebReply.Parsed {
    fileprivate var status: Int? { if case .reply(let reply) = self { reply.status } else { nil } }
}
