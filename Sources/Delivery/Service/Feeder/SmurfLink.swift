import DeliveryCore
import Farm
import FarmProtocol
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2
import Logging
import SwiftProtobuf

/// The core's stream to one address behind the name: the template once per mailing, rows as credit comes,
/// outcomes into the ledger. One value per stream; it ends with the stream, and the feeder begins another.
struct SmurfLink: Sendable {
    let address: IPAddress
    let port: UInt16
    let certificate: MachineCertificate?
    /// Name of this core; the smurf fences older epochs of it.
    let core: String
    let ledger: SQLiteLedger
    let journal: OutcomeJournal
    let book: FeedBook
    let logger: Logger
    let unixTime: @Sendable () -> Int64
    /// Told who answers at the address; false when that smurf is fed by another address already.
    let introduce: @Sendable (String) async -> Bool

    /// Rows of one claim.
    static let chunkRows = 256
    /// Octets of one chunk, about: well below what a gRPC message may have.
    static let chunkOctets = 1 << 20
    /// How often the ledger is asked for due rows when there were none.
    static let idlePoll = Duration.milliseconds(250)

    private typealias Requests = AsyncStream<Smurffarm_V1_FeedRequest>

    /// Feeds until the address has left the name and all is reported, the stream breaks, or the task is
    /// cancelled.
    func run() async throws {
        let transport = try HTTP2ClientTransport.Posix(
            target: target, transportSecurity: MachineSecurity.client(certificate),
            config: MachineSecurity.clientConfiguration)
        let (requests, outbox) = AsyncStream.makeStream(of: Smurffarm_V1_FeedRequest.self)
        outbox.yield(
            .with {
                $0.hello.core = core
                $0.hello.epoch = ledger.epoch
            })
        var options = CallOptions.defaults
        options.waitForReady = false
        try await withGRPCClient(transport: transport) { [options] client in
            try await Smurffarm_V1_Feed.Client(wrapping: client).deliver(
                options: options,
                requestProducer: { writer in
                    for await request in requests { try await writer.write(request) }
                },
                onResponse: { response in
                    defer { outbox.finish() }
                    try await converse(response.messages, outbox)
                })
        }
    }

    private var target: any ResolvableTarget {
        switch address {
        case .v4: .ipv4(address: address.description, port: Int(port))
        case .v6: .ipv6(address: address.description, port: Int(port))
        }
    }

    private func converse(
        _ replies: RPCAsyncSequence<Smurffarm_V1_FeedReply, any Error>,
        _ outbox: Requests.Continuation
    ) async throws {
        var replies = replies.makeAsyncIterator()
        guard case .welcome(let welcome)? = try await replies.next()?.kind else {
            throw FeedError(description: "\(address) does not speak the feed protocol")
        }
        guard await introduce(welcome.smurf) else {
            throw FeedError(description: "\(welcome.smurf) is fed by another address")
        }
        let holding = Set(
            welcome.working.flatMap { working in
                working.recipients.map { LeasedRow(mailing: working.mailing, recipient: $0) }
            })
        let released = try await ledger.welcome(
            welcome.smurf, run: welcome.run, holding: holding)
        if released > 0 { logger.warning("\(welcome.smurf) has lost \(released) rows") }
        book.begin(rowsOut: holding.count)
        let (batches, inbox) = AsyncStream.makeStream(of: Smurffarm_V1_Outcomes.self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            // Whichever fails ends the requests, and with them the stream.
            group.addTask {
                defer { outbox.finish() }
                try await record(batches, of: welcome, outbox)
            }
            group.addTask {
                defer { outbox.finish() }
                try await feed(welcome.smurf, outbox)
                outbox.yield(.with { $0.goodbye = Smurffarm_V1_FeedGoodbye() })
            }
            while let reply = try await replies.next() {
                try await take(reply, from: welcome.smurf, inbox)
            }
            inbox.finish()
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    private func take(
        _ reply: Smurffarm_V1_FeedReply, from smurf: String,
        _ inbox: AsyncStream<Smurffarm_V1_Outcomes>.Continuation
    ) async throws {
        switch reply.kind {
        case .credit(let credit): book.grant(Int(credit.rows))
        case .outcomes(let outcomes): inbox.yield(outcomes)
        case .refused(let refusal):
            let trouble = "\(smurf): \(refusal.reason)"
            logger.error("mailing \(refusal.mailing) is paused: \(trouble)")
            try await ledger.pause(refusal.mailing, trouble: trouble)
        case .welcome, nil: throw FeedError(description: "\(smurf): unexpected reply")
        }
    }

    /// Records outcomes in the order of their numbers and receipts each when it is on disk.
    private func record(
        _ batches: AsyncStream<Smurffarm_V1_Outcomes>, of welcome: Smurffarm_V1_FeedWelcome,
        _ outbox: Requests.Continuation
    ) async throws {
        for await outcomes in batches {
            try await journal.record(
                OutcomeBatch(
                    smurf: welcome.smurf, run: welcome.run, number: outcomes.batch,
                    mailing: outcomes.mailing, epoch: outcomes.epoch,
                    items: outcomes.items.map(RowOutcome.init)))
            outbox.yield(.with { $0.receipt.upTo = outcomes.batch })
            book.settle(outcomes.items.count)
        }
    }

    /// Claims rows as long as the smurf wants them; returns when the address has left the name and the smurf
    /// holds nothing more.
    private func feed(_ smurf: String, _ outbox: Requests.Continuation) async throws {
        while !Task.isCancelled {
            let credit = await book.waitForCredit()
            if credit == 0 {
                await book.waitForEnd()
                if book.isLeaving { return }
                continue
            }
            let claimed = try await ledger.claim(
                for: smurf, limit: min(credit, Self.chunkRows), now: unixTime())
            guard let claimed else {
                try? await Task.sleep(for: Self.idlePoll)
                continue
            }
            if book.feed(claimed.rows.count, of: claimed.mailing) {
                outbox.yield(try await offer(claimed.mailing))
            }
            for part in claimed.rows.split(octets: Self.chunkOctets) {
                outbox.yield(
                    .with {
                        $0.chunk.mailing = claimed.mailing
                        $0.chunk.epoch = ledger.epoch
                        $0.chunk.count = UInt32(part.count)
                        $0.chunk.rows = Data(part.bytes)
                    })
            }
        }
    }

    private func offer(_ mailing: UInt32) async throws -> Smurffarm_V1_FeedRequest {
        let record = try await ledger.mailing(mailing)
        return .with {
            $0.template.mailing = mailing
            $0.template.digest = Data(record.digest)
            $0.template.source = Data(record.template)
            $0.template.fields = record.fields
            $0.template.identity = Smurffarm_V1_MailingIdentity(record.identity)
        }
    }
}

/// Why a stream to a smurf ended.
struct FeedError: Error, CustomStringConvertible {
    let description: String
}

extension RowOutcome {
    init(_ outcome: Smurffarm_V1_Outcome) {
        let verdict: Verdict =
            switch outcome.verdict {
            case .accepted: .accepted
            case .refused: .refused
            case .doubtful: .doubtful
            case .unrenderable: .unrenderable
            case .returned: .returned
            // What a newer agent may say is tried again.
            case .deferred, .unspecified, .UNRECOGNIZED: .deferred
            }
        self.init(recipient: outcome.recipient, verdict: verdict, reply: outcome.reply)
    }
}
