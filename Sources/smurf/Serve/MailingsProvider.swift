import FarmProtocol
import GRPCCore

/// The part of the operator's protocol that needs a ledger, which this control node does not keep yet:
/// every call says so.
extension ControlProvider {
    private var noLedger: RPCError {
        RPCError(
            code: .unimplemented, message: "this control node keeps no ledger: it sends no mail")
    }

    func submit(
        request: RPCAsyncSequence<Smurffarm_V1_ImportPart, any Error>, context: ServerContext
    ) async throws -> Smurffarm_V1_MailingView { throw noLedger }

    func mailings(
        request: Smurffarm_V1_MailingsRequest, context: ServerContext
    ) async throws -> Smurffarm_V1_MailingList { throw noLedger }

    func follow(
        request: Smurffarm_V1_MailingRequest, response: RPCWriter<Smurffarm_V1_MailingView>,
        context: ServerContext
    ) async throws { throw noLedger }

    func steer(
        request: Smurffarm_V1_SteerRequest, context: ServerContext
    ) async throws -> Smurffarm_V1_MailingView { throw noLedger }

    func recipients(
        request: Smurffarm_V1_RecipientsRequest, response: RPCWriter<Smurffarm_V1_RecipientList>,
        context: ServerContext
    ) async throws { throw noLedger }
}
