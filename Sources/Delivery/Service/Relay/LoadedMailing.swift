import DeliveryCore

/// A mailing as a smurf holds it: the compiled template and what makes its tokens. Immutable; shared by all
/// connections that send it.
final class LoadedMailing: Sendable {
    let id: UInt32
    let template: CompiledTemplate
    private let mint: TokenMint
    private let expiryDay: UInt16
    private let bounceDomain: String

    init(id: UInt32, template: CompiledTemplate, mint: TokenMint, identity: MailingIdentity) {
        self.id = id
        self.template = template
        self.mint = mint
        expiryDay = identity.tokenExpiryDay
        bounceDomain = identity.bounceDomain
    }

    /// Renders one message into `content`, which is emptied first and may be reused.
    /// - Returns: the envelope sender; the same row gives the same octets and sender every time.
    /// - Throws: when a value does not fit its place.
    func render(_ row: RowBatch.Row, into content: inout [UInt8]) throws(RenderError) -> String {
        content.removeAll(keepingCapacity: true)
        let token = mint.mint(mailing: id, recipient: row.recipient, expiryDay: expiryDay)
        try template.render(row, token: token, into: &content)
        return TokenMint.localPart(token) + "@" + bounceDomain
    }
}

/// One row to be sent under a lease. It is rendered when a connection has room for it, and not before.
struct DeliveryJob: Sendable {
    let mailing: LoadedMailing
    /// Of the lease.
    let epoch: UInt64
    let row: RowBatch.Row
    /// Connections that were lost before the relay answered anything to it.
    var losses = 0
}

/// How a job ended.
struct DeliveryReport: Sendable {
    let job: DeliveryJob
    let verdict: RowOutcome.Verdict
    /// The reply or the reason in one line; empty for the usual 250.
    let text: String
}
