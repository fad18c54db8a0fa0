import AuthDNSCore
import Farm

/// Any octets as the messages of a primary: they are a transfer or a fault, and what they amount to is a zone that can be
/// laid out or a fault. The first octet of an input chooses what is known and whether messages are signed; two octets
/// before each message say how long it is.
enum IncomingCheck {
    private static let key: TSIGKey? = TSIGKey(
        name: FuzzZone.name("xfr.example"), algorithm: .sha256,
        secret: Array("0123456789abcdef".utf8))

    static func run(_ bytes: [UInt8]) {
        var choices = Choices(bytes)
        let choice = choices.next()
        let image = FuzzZone.plain
        var transfer = IncomingTransfer(
            of: FuzzZone.apex, since: choice & 1 != 0 ? image.soa : nil,
            key: choice & 2 != 0 ? key : nil)
        let query = transfer.request(id: 0x1234, unixTime: 1_800_000_000)
        precondition(query.count >= 12)
        while !choices.isEmpty {
            let length = choices.next() << 8 | choices.next()
            var message: [UInt8] = []
            while message.count < length, !choices.isEmpty {
                message.append(UInt8(choices.next()))
            }
            // What would else be a guess: the number of the query, and that it is a response.
            if choice & 4 != 0, message.count >= 12 {
                message.replaceSubrange(0..<3, with: [0x12, 0x34, 0x80])
            }
            guard let state = try? transfer.take(message, unixTime: 1_800_000_000) else { return }
            switch state {
            case .more: continue
            case .current, .notIncremental: precondition(choice & 1 != 0, "nothing was known")
            case .whole(let content): expectZone(content)
            case .steps(let steps):
                precondition(choice & 1 != 0, "nothing was known")
                var content: ZoneContent? = image.content
                for step in steps { content = try? content?.applying(step) }
                if let content { expectZone(content) }
            }
            precondition(choice & 2 == 0 || key != nil)
            return
        }
    }

    /// A zone that can be laid out answers for its apex in good form.
    private static func expectZone(_ content: ZoneContent) {
        precondition(content.apex == FuzzZone.apex)
        guard let image = try? ZoneImage(content, serial: 7) else { return }
        _ = QueryCheck.askApex(of: image)
    }
}
