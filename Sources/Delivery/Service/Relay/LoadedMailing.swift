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

/// One message to be sent to one recipient. It is rendered when a connection has room for it, and not before.
struct DeliveryJob: Sendable {
    enum Content: Sendable {
        /// A row under a lease of this epoch.
        case row(RowBatch.Row, of: LoadedMailing, epoch: UInt64)
        /// A message that somebody submitted: dot-stuffed, ending by CRLF.
        case message(Submission)
    }

    struct Submission: Sendable {
        /// The submitter's own number.
        var number: UInt64
        var sender: String
        var recipient: String
        var content: [UInt8]
    }

    let content: Content
    /// Connections that were lost before the relay answered anything to it.
    var losses = 0

    init(_ content: Content) { self.content = content }

    /// A serialised mailbox.
    var recipient: String {
        switch content {
        case .row(let row, _, _): String(decoding: row.address, as: UTF8.self)
        case .message(let message): message.recipient
        }
    }

    /// Puts the message into `octets`, dot-stuffed, in place of what is there.
    /// - Returns: the envelope sender.
    func render(into octets: inout [UInt8]) throws(RenderError) -> String {
        switch content {
        case .row(let row, let mailing, _): return try mailing.render(row, into: &octets)
        case .message(let message):
            octets.removeAll(keepingCapacity: true)
            octets.append(contentsOf: message.content)
            return message.sender
        }
    }
}

/// How a job ended.
struct DeliveryReport: Sendable {
    let job: DeliveryJob
    let verdict: RowOutcome.Verdict
    /// The reply or the reason in one line; empty for the usual 250.
    let text: String
}
