import Delivery
import Farm
import Glibc
import Synchronization

/// Carries out what the world does in answer to its mail, on threads of its own: the receiving threads only
/// note it. Nothing is lost without being counted. Any thread may call anything.
final class Reactions: Sendable {
    private struct State {
        var report = ReactionReport()
        var bounced: Set<String> = []
        var unsubscribed: Set<String> = []
        /// Nothing is counted any more.
        var isClosed = false
    }

    private let configuration: ReactionConfiguration
    private let chooser: ReactionChooser
    private let bounces = ReactionQueue()
    private let clicks = ReactionQueue()
    private let state = Mutex(State())
    private let numbers = Atomic(0)
    private let threads: Mutex<[pthread_t]>

    init(_ configuration: SinkConfiguration) throws(SinkError) {
        self.configuration = configuration.reactions
        chooser = ReactionChooser(configuration)
        threads = Mutex([])
        guard configuration.reactions.isActive else { return }
        let directory = try SinkDirectory(configuration.upstream)
        let settings = configuration.reactions
        let started = (0..<settings.workers).flatMap { _ in
            [
                SinkThread.start {
                    let worker = BounceWorker(directory, port: settings.mxPort)
                    self.work(self.bounces, { worker.rest() }) { self.bounce($0, worker) }
                },
                SinkThread.start {
                    let worker = ClickWorker(directory, port: settings.webPort)
                    self.work(self.clicks, { worker.rest() }) {
                        worker.follow($0.link, unsubscribes: $0.kind == .unsubscribe)
                    }
                },
            ]
        }
        threads.withLock { $0 = started }
    }

    /// Notes what the recipients of a message will do; cheap for those who do nothing.
    func note(_ message: SinkMessage, link: String?, at now: Double) {
        guard configuration.isActive else { return }
        for recipient in message.recipients {
            for kind in chooser.kinds(of: recipient) {
                let due = now + chooser.lag(of: recipient, kind)
                var reaction = Reaction(
                    kind: kind, recipient: recipient, sender: message.sender, due: due,
                    deadline: due + configuration.patience)
                if case .bounce = kind {
                    // The null sender gets no notification (RFC 5321 §6.1).
                    if message.sender.isEmpty { continue }
                    reaction.header = Reactions.header(of: message.content)
                    begin(reaction, in: bounces)
                } else if let link {
                    reaction.link = link
                    begin(reaction, in: clicks)
                } else {
                    count(reaction) { $0.due += 1 }
                    end(reaction, .hopeless("the message has no unsubscribe link"))
                }
            }
        }
    }

    /// Reactions that are still to come.
    var outstanding: Int { bounces.outstanding + clicks.outstanding }

    var report: ReactionReport {
        state.withLock { state in
            var report = state.report
            report.bounced = state.bounced.sorted()
            report.unsubscribed = state.unsubscribed.sorted()
            return report
        }
    }

    /// Counts without the lists of people; cheap.
    var counts: ReactionReport { state.withLock { $0.report } }

    /// Gives up what is still to come. What is being carried out gets five more seconds: a server that says
    /// nothing must not hold up the end.
    func stop() {
        let over = SinkClock.now + 5
        for queue in [bounces, clicks] {
            for reaction in queue.end() {
                end(reaction, .hopeless("the sink has ended: \(reaction.last)"))
            }
        }
        while outstanding > 0 && SinkClock.now < over { usleep(20_000) }
        for reaction in bounces.unfinished + clicks.unfinished {
            end(reaction, .hopeless("the sink has ended before an answer: \(reaction.last)"))
        }
        state.withLock { $0.isClosed = true }
        for thread in threads.withLock({ $0 }) { pthread_detach(thread) }
        threads.withLock { $0 = [] }
    }

    private func begin(_ reaction: Reaction, in queue: ReactionQueue) {
        count(reaction) { $0.due += 1 }
        if !queue.add(reaction) { end(reaction, .hopeless("the sink has ended")) }
    }

    // MARK: Workers

    private func work(
        _ queue: ReactionQueue, _ rest: () -> Void, _ carryOut: (Reaction) -> ReactionResult
    ) {
        while true {
            // Idle connections would hold up machines that want to leave their role.
            switch queue.next(within: 2) {
            case .nothing: rest()
            case .ended: return rest()
            case .reaction(let reaction): settle(reaction, carryOut(reaction), queue)
            }
        }
    }

    private func bounce(_ reaction: Reaction, _ worker: BounceWorker) -> ReactionResult {
        guard case .bounce(let status) = reaction.kind else { return .hopeless("no bounce") }
        let number = numbers.add(1, ordering: .relaxed).newValue
        let message = BounceMessage(
            reaction, status: status, number: number, date: Reactions.date())
        return worker.send(message, to: reaction.sender)
    }

    private func settle(_ reaction: Reaction, _ result: ReactionResult, _ queue: ReactionQueue) {
        guard case .later(let why, let pause) = result else {
            end(reaction, result)
            return queue.finish(reaction)
        }
        var again = reaction
        again.tries += 1
        again.last = why
        // 0.5, 1, 2 … at most 15 seconds.
        let patience = min(0.5 * Double(1 << min(reaction.tries, 10)), 15)
        again.due = SinkClock.now + max(pause ?? 0, patience)
        guard again.due <= again.deadline else {
            end(reaction, .hopeless(why))
            return queue.finish(reaction)
        }
        count(reaction) { $0.retries += 1 }
        if !queue.postpone(again) { end(reaction, .hopeless(why)) }
    }

    // MARK: Counts

    private func end(_ reaction: Reaction, _ result: ReactionResult) {
        switch result {
        case .done(let address):
            count(reaction) {
                $0.done += 1
                $0.byAddress[address.description, default: 0] += 1
            }
            state.withLock {
                guard !$0.isClosed else { return }
                switch reaction.kind {
                case .bounce: $0.bounced.insert(reaction.recipient)
                case .unsubscribe: $0.unsubscribed.insert(reaction.recipient)
                case .prefetch: break
                }
            }
        case .refused(let why):
            count(reaction) { $0.refused += 1 }
            fail(reaction, why)
        case .later(let why, _), .hopeless(let why):
            count(reaction) { $0.givenUp += 1 }
            fail(reaction, why)
        }
    }

    private func fail(_ reaction: Reaction, _ why: String) {
        let name =
            switch reaction.kind {
            case .bounce: "bounce"
            case .unsubscribe: "click"
            case .prefetch: "prefetch"
            }
        state.withLock {
            guard !$0.isClosed, $0.report.failures.count < SinkTally.mostFaults else { return }
            $0.report.failures.append(
                .init(kind: name, recipient: reaction.recipient, reason: String(why.prefix(512))))
        }
    }

    private func count(_ reaction: Reaction, _ change: (inout ReactionReport.Count) -> Void) {
        state.withLock {
            guard !$0.isClosed else { return }
            switch reaction.kind {
            case .bounce: change(&$0.report.bounces)
            case .unsubscribe: change(&$0.report.clicks)
            case .prefetch: change(&$0.report.prefetches)
            }
        }
    }

    // MARK: Contents

    /// The header section, at most 8 KiB of whole lines, with CRLF at its end.
    private static func header(of content: [UInt8]) -> [UInt8] {
        var end = 0
        var index = 0
        while index < min(content.count, 8192) {
            guard let feed = content[index...].firstIndex(of: 0x0A), feed < 8192 else { break }
            if feed - index <= 1 { break }
            end = feed + 1
            index = end
        }
        return Array(content[..<end])
    }

    /// Now, as in RFC 5322 §3.3.
    private static func date() -> String {
        var seconds = time(nil)
        var parts = unsafe tm()
        _ = unsafe gmtime_r(&seconds, &parts)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        let clock = unsafe [parts.tm_hour, parts.tm_min, parts.tm_sec].map {
            ($0 < 10 ? "0" : "") + String($0)
        }.joined(separator: ":")
        let day = unsafe "\(days[Int(parts.tm_wday)]), \(parts.tm_mday)"
        let month = unsafe "\(months[Int(parts.tm_mon)]) \(1900 + parts.tm_year)"
        return "\(day) \(month) \(clock) +0000"
    }
}
