import DeliveryCore
import FarmProtocol
import Foundation
import GRPCCore
import SwiftProtobuf
import Synchronization

/// The smurf's side of the feed protocol: templates and rows in, credit and outcomes out. What it takes it
/// hands to the sender; what is held it leaves to `HeldRows`.
final class FeedProvider: Smurffarm_V1_Feed.SimpleServiceProtocol {
    private let smurf: String
    private let rows: HeldRows
    private let sender: RelaySender
    private let keys: @Sendable () -> [[UInt8]]
    private let mailings = Mutex<
        [UInt32: (offer: Smurffarm_V1_TemplateOffer, loaded: LoadedMailing)]
    >(
        [:])

    /// - Parameter keys: the farm's token keys as of now; the first signs.
    init(
        smurf: String, rows: HeldRows, sender: RelaySender,
        keys: @escaping @Sendable () -> [[UInt8]]
    ) {
        self.smurf = smurf
        self.rows = rows
        self.sender = sender
        self.keys = keys
    }

    func deliver(
        request: RPCAsyncSequence<Smurffarm_V1_FeedRequest, any Error>,
        response: RPCWriter<Smurffarm_V1_FeedReply>, context: ServerContext
    ) async throws {
        var requests = request.makeAsyncIterator()
        guard let first = try await requests.next() else { return }
        guard case .hello(let hello) = first.kind else {
            throw RPCError(code: .failedPrecondition, message: "a feed begins with hello")
        }
        let (generation, replies) = try attach(hello)
        defer { rows.detach(generation: generation) }
        // A core that is gone must not keep the next one out, whatever here still waits for it.
        try await withRPCCancellationHandler {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await reply in replies { try await response.write(reply) }
                }
                while let request = try await requests.next() {
                    guard try take(request, generation) else { break }
                }
                rows.detach(generation: generation)
                try await group.waitForAll()
            }
        } onCancelRPC: { [rows] in
            rows.detach(generation: generation)
        }
    }

    private func attach(
        _ hello: Smurffarm_V1_FeedHello
    ) throws -> (Int, AsyncStream<Smurffarm_V1_FeedReply>) {
        do throws(HeldRows.Refusal) {
            return try rows.attach(epoch: hello.epoch, smurf: smurf)
        } catch .busy {
            throw RPCError(code: .alreadyExists, message: "\(smurf) is being fed")
        } catch {
            throw RPCError(
                code: .failedPrecondition,
                message: "epoch \(hello.epoch) is over: another core feeds \(smurf)")
        }
    }

    /// - Returns: false at the end of the stream.
    private func take(_ request: Smurffarm_V1_FeedRequest, _ generation: Int) throws -> Bool {
        switch request.kind {
        case .template(let offer): load(offer)
        case .chunk(let chunk): try take(chunk, generation)
        case .receipt(let receipt): rows.receipt(upTo: receipt.upTo)
        case .goodbye: return false
        case .hello, nil:
            throw RPCError(code: .invalidArgument, message: "not expected here")
        }
        return true
    }

    private func load(_ offer: Smurffarm_V1_TemplateOffer) {
        let isKnown = mailings.withLock { $0[offer.mailing]?.offer == offer }
        if isKnown { return }
        guard let mint = TokenMint(keys: keys()) else {
            return rows.refuse(mailing: offer.mailing, reason: "this smurf has no token keys yet")
        }
        let identity = MailingIdentity(offer.identity)
        do throws(TemplateRefusal) {
            let template = try MessageTemplate.compile(
                source: Array(offer.source), fields: offer.fields, identity: identity)
            let loaded = LoadedMailing(
                id: offer.mailing, template: template, mint: mint, identity: identity)
            mailings.withLock { $0[offer.mailing] = (offer, loaded) }
        } catch {
            rows.refuse(mailing: offer.mailing, reason: error.description)
        }
    }

    private func take(_ chunk: Smurffarm_V1_Chunk, _ generation: Int) throws {
        let batch: [RowBatch.Row]
        do throws(RowBatchError) {
            batch = try RowBatch.rows(in: Array(chunk.rows))
        } catch {
            throw RPCError(code: .invalidArgument, message: error.description)
        }
        let fresh = rows.take(
            batch.map(\.recipient), mailing: chunk.mailing, epoch: chunk.epoch,
            generation: generation)
        guard let fresh else {
            throw RPCError(code: .aborted, message: "a newer stream has begun")
        }
        guard let loaded = mailings.withLock({ $0[chunk.mailing]?.loaded }) else {
            // The template was refused: the rows go back and the core knows why.
            for recipient in fresh {
                rows.note(
                    .with {
                        $0.recipient = recipient
                        $0.verdict = .returned
                    }, mailing: chunk.mailing, epoch: chunk.epoch)
            }
            return
        }
        sender.send(
            batch.filter { fresh.contains($0.recipient) }.map {
                DeliveryJob(.row($0, of: loaded, epoch: chunk.epoch))
            })
    }
}

extension MailingIdentity {
    init(_ identity: Smurffarm_V1_MailingIdentity) {
        self.init(
            name: identity.name, listID: identity.listID, from: identity.from,
            bounceDomain: identity.bounceDomain, unsubscribeBase: identity.unsubscribeBase,
            feedbackSender: identity.feedbackSender, date: identity.date,
            tokenExpiryDay: UInt16(clamping: identity.tokenExpiryDay))
    }
}

extension Smurffarm_V1_MailingIdentity {
    init(_ identity: MailingIdentity) {
        self = .with {
            $0.name = identity.name
            $0.listID = identity.listID
            $0.from = identity.from
            $0.bounceDomain = identity.bounceDomain
            $0.unsubscribeBase = identity.unsubscribeBase
            $0.feedbackSender = identity.feedbackSender
            $0.date = identity.date
            $0.tokenExpiryDay = UInt32(identity.tokenExpiryDay)
        }
    }
}

extension Smurffarm_V1_Outcome {
    /// - Parameter recipient: the row's number.
    init(_ report: DeliveryReport, of recipient: UInt32) {
        self = .with {
            $0.recipient = recipient
            $0.reply = report.text
            $0.verdict =
                switch report.verdict {
                case .accepted, .bogged: .accepted
                case .deferred: .deferred
                case .refused: .refused
                case .doubtful: .doubtful
                case .unrenderable: .unrenderable
                case .returned: .returned
                }
        }
    }
}
