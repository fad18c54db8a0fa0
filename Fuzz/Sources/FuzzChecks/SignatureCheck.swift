import AuthDNSCore
import Farm

/// Any octets as a signed query or a transfer: what is not signed with the key gets nothing that it guards, and
/// every reply has the form of a message. The first octet of an input chooses the transport and whether the rest is
/// signed with the right key before it is asked.
enum SignatureCheck {
    private static let key: TSIGKey = {
        let name = FuzzZone.name("xfr.example")
        let secret = Array("0123456789abcdef".utf8)
        guard let key = TSIGKey(name: name, algorithm: .sha256, secret: secret) else {
            fatalError("no key")
        }
        return key
    }()

    private static let responder: PeerResponder = {
        guard let network = Network("127.0.0.0/8") else { fatalError("no network") }
        return PeerResponder(
            peers: TransferPeers(peers: [.init(network: network, key: key.name)], keys: [key]),
            image: FuzzZone.plain, history: ZoneHistory(), settings: AnswerSettings())
    }()

    static func run(_ bytes: [UInt8]) {
        var choices = Choices(bytes)
        let choice = choices.next()
        var query = choices.remainder
        let isSigned = choice & 1 != 0 && query.count >= 12 && query.count < 4_000
        if isSigned {
            var exchange = TSIGExchange(key)
            exchange.sign(&query, unixTime: 1_800_000_000)
        }
        let context = QueryContext(
            transport: choice & 2 != 0 ? .tcp : .udp, random: 1, client: .v4(0x7F00_0001),
            unixTime: 1_800_000_000)
        switch responder.answer(query, context, unixTime: 1_800_000_000) {
        case .none: break
        case .notified: preconditionFailure("nobody may tell of new versions")
        case .message(let reply): QueryCheck.expectAnswer(reply, to: query)
        case .stream(var stream):
            precondition(isSigned, "a transfer without the key")
            while let message = stream.message(unixTime: 1_800_000_000) {
                var form = MessageForm(message)
                precondition(form.skipHeaderAndQuestions() && form.skipRecords() && form.isAtEnd)
            }
        }
    }
}
