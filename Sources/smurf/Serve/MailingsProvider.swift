import Delivery
import DeliveryCore
import FarmProtocol
import Foundation
import GRPCCore
import RoleScheduler
import SwiftProtobuf

/// The part of the operator's protocol that is about mailings: import, progress, brakes, recipients. A
/// mailing that cannot be imported leaves nothing behind.
extension ControlProvider {
    func submit(
        request: RPCAsyncSequence<Smurffarm_V1_ImportPart, any Error>, context: ServerContext
    ) async throws -> Smurffarm_V1_MailingView {
        var parts = request.makeAsyncIterator()
        guard case .head(let head)? = try await parts.next()?.kind else {
            throw RPCError(code: .invalidArgument, message: "an import begins with its head")
        }
        guard await scheduler.leads else {
            let leader = await scheduler.standing.leader?.node ?? ""
            throw RPCError(
                code: .failedPrecondition,
                message:
                    "this control node does not lead, and mailings are sent by the one that does: "
                    + (leader.isEmpty ? "try again soon" : "send it on '\(leader)'"))
        }
        return try await explained {
            let number = try await begin(head)
            do {
                while let part = try await parts.next() {
                    switch part.kind {
                    case .rows(let rows):
                        try await deliveries.ledger.appendImport(
                            mailing: number, rows: Array(rows.rows))
                    case .done(let done):
                        return await view(
                            try await deliveries.ledger.finishImport(
                                mailing: number, rows: done.rows))
                    case .head, nil:
                        throw RPCError(code: .invalidArgument, message: "not expected here")
                    }
                }
                throw RPCError(code: .aborted, message: "the import broke off: nothing was sent")
            } catch {
                // In a task of its own: this one is cancelled when the importer has gone.
                let ledger = deliveries.ledger
                await Task { try? await ledger.abortImport(mailing: number) }.value
                throw error
            }
        }
    }

    /// Compiles the template once, so that no smurf will refuse it, and opens the import.
    private func begin(_ head: Smurffarm_V1_MailingHead) async throws -> UInt32 {
        let name = head.name
        guard !name.isEmpty, name.utf8.count <= 128, UInt32(name) == nil,
            !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
        else {
            throw RPCError(
                code: .invalidArgument,
                message:
                    "a mailing's name has 1…128 octets, no control characters, and is no number")
        }
        let identity = deliveries.identity(name: name, listID: head.listID, from: head.from)
        do throws(TemplateRefusal) {
            _ = try MessageTemplate.compile(
                source: Array(head.template), fields: head.fields, identity: identity)
        } catch {
            throw RPCError(code: .invalidArgument, message: "the template: \(error)")
        }
        return try await deliveries.ledger.beginImport(
            template: Array(head.template), fields: head.fields, identity: identity,
            deadline: head.deadline, now: identity.date)
    }

    func mailings(
        request: Smurffarm_V1_MailingsRequest, context: ServerContext
    ) async throws -> Smurffarm_V1_MailingList {
        var views: [Smurffarm_V1_MailingView] = []
        for record in try await deliveries.ledger.mailings() { views.append(await view(record)) }
        return .with { $0.mailings = views }
    }

    func follow(
        request: Smurffarm_V1_MailingRequest, response: RPCWriter<Smurffarm_V1_MailingView>,
        context: ServerContext
    ) async throws {
        while !Task.isCancelled {
            let record = try await explained {
                try await deliveries.ledger.mailing(request.mailing)
            }
            try await response.write(await view(record))
            let isOver = record.state == .finished || record.state == .cancelled
            if isOver && record.counts.open == 0 { return }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    func steer(
        request: Smurffarm_V1_SteerRequest, context: ServerContext
    ) async throws -> Smurffarm_V1_MailingView {
        try await explained {
            let ledger = deliveries.ledger
            let mailing = try await ledger.mailing(request.mailing).id
            switch request.action {
            case .pause: return await view(try await ledger.pause(mailing))
            case .resume: return await view(try await ledger.resume(mailing))
            case .cancel: return await view(try await ledger.cancel(mailing))
            case .unspecified, .UNRECOGNIZED:
                throw RPCError(code: .invalidArgument, message: "steering needs an action")
            }
        }
    }

    func recipients(
        request: Smurffarm_V1_RecipientsRequest, response: RPCWriter<Smurffarm_V1_RecipientList>,
        context: ServerContext
    ) async throws {
        guard let filter = RecipientFilter(request.state) else {
            throw RPCError(
                code: .invalidArgument, message: "'\(request.state)' is no state of a recipient")
        }
        let ledger = deliveries.ledger
        let mailing = try await explained { try await ledger.mailing(request.mailing).id }
        var last: UInt32?
        while true {
            let page = try await ledger.recipients(of: mailing, filter, after: last, limit: 500)
            guard let end = page.last else { return }
            try await response.write(.with { $0.recipients = page.map(ControlProvider.line) })
            last = end.recipient
        }
    }

    private static func line(_ record: RecipientRecord) -> Smurffarm_V1_RecipientLine {
        .with {
            $0.recipient = record.recipient
            $0.address = record.address
            $0.state = record.state.name
            $0.detail = record.detail
            $0.doubtful = record.marks.contains(.doubtful)
            $0.unsubscribed = record.marks.contains(.unsubscribed)
            $0.bounced = record.marks.contains(.bounced)
        }
    }

    private func view(_ record: MailingRecord) async -> Smurffarm_V1_MailingView {
        let rate = await deliveries.monitor.rate(of: record.id)
        let smurfs = await deliveries.feeder.smurfs.count
        let isGoing = record.state == .sending && record.counts.open > 0
        let trouble = isGoing && smurfs == 0 ? "no smurf is in the smtp-out role" : record.trouble
        return .with {
            $0.mailing = record.id
            $0.name = record.name
            $0.state = record.state.rawValue
            $0.total = UInt64(record.total)
            for state in RecipientState.allCases where record.counts[state] != 0 {
                $0.counts[state.name] = UInt64(clamping: record.counts[state])
            }
            $0.rate = rate
            $0.etaSeconds =
                record.counts.open == 0 ? 0 : rate > 0 ? Double(record.counts.open) / rate : -1
            $0.created = record.created
            $0.doubtful = UInt64(clamping: record.counts.doubtful)
            $0.unsubscribed = UInt64(clamping: record.counts.unsubscribed)
            $0.bounced = UInt64(clamping: record.counts.bounced)
            $0.trouble = trouble
        }
    }

    /// What the ledger refuses, in the protocol's words.
    private func explained<Result>(_ work: () async throws -> Result) async throws -> Result {
        do {
            return try await work()
        } catch let error as LedgerError {
            let code: RPCError.Code =
                switch error {
                case .noSuchMailing: .notFound
                case .nameTaken: .alreadyExists
                case .wrongState: .failedPrecondition
                case .badRows: .invalidArgument
                case .damaged, .unusable: .dataLoss
                }
            throw RPCError(code: code, message: error.description)
        } catch let error as RPCError {
            throw error
        } catch {
            throw RPCError(code: .internalError, message: "the ledger cannot be written: \(error)")
        }
    }
}
