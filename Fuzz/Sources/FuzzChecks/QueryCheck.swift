import AuthDNSCore
import CLDNS
import Farm

/// Any octets as a query: the reply is no longer than the transport and the asker allow, echoes the id and the
/// question, and has the form of a message, which ldns reads too. The first octet of an input chooses zone, transport and cookies.
enum QueryCheck {
    private static let cookies = ServerCookies(active: CookieSecret(1, 2))

    static func run(_ bytes: [UInt8]) {
        guard let (query, reply, isStream) = answered(bytes) else { return }
        precondition(isStream || reply.count <= max(512, min(payload(query) ?? 512, 1_232)))
        expectAnswer(reply, to: query)
        precondition(isReadByLDNS(reply))
    }

    /// - Returns: nil when there is no reply.
    static func answered(
        _ bytes: [UInt8]
    ) -> (query: [UInt8], reply: [UInt8], isStream: Bool)? {
        var choices = Choices(bytes)
        let choice = choices.next()
        let query = choices.remainder
        let isStream = choice & 2 != 0
        let settings = AnswerSettings(
            identity: Array("here".utf8), version: Array("1".utf8),
            cookies: choice & 4 != 0 ? cookies : nil, keepalive: 100)
        let context = QueryContext(
            transport: isStream ? .tcp : .udp, random: 0x9E37_79B9_7F4A_7C15,
            client: .v4(0x7F00_0001), unixTime: 1_800_000_000, isLimited: choice & 8 != 0)
        var room = [UInt8](repeating: 0xEE, count: 65_535)
        var space = room.mutableSpan
        let outcome = respond(
            to: query.span, context: context, settings: settings,
            from: choice & 1 != 0 ? FuzzZone.signed : FuzzZone.plain, into: &space)
        guard outcome.length > 0 else { return nil }
        return (query, Array(room[..<outcome.length]), isStream)
    }

    private static func isReadByLDNS(_ reply: [UInt8]) -> Bool {
        var packet: UnsafeMutablePointer<ldns_pkt>?
        let status = unsafe reply.withUnsafeBufferPointer {
            unsafe ldns_wire2pkt(&packet, $0.baseAddress, $0.count)
        }
        unsafe ldns_pkt_free(packet)
        return status == LDNS_STATUS_OK
    }

    /// The payload size of an OPT record right behind the question, as nearly all queries have it.
    private static func payload(_ query: [UInt8]) -> Int? {
        var reader = MessageForm(query)
        guard reader.skipHeaderAndQuestions(), query[6..<10].allSatisfy({ $0 == 0 }) else {
            // Wherever it may be, it cannot ask for more.
            return 1_232
        }
        for _ in 0..<Int(query[11]) {
            guard let record = reader.record() else { return 1_232 }
            if record.type == 41 { return record.recordClass }
        }
        return nil
    }

    /// Asks an image for its SOA record; the reply must be in good form.
    static func askApex(of image: ZoneImage) -> [UInt8] {
        let query: [UInt8] = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0] + image.apex.wire + [0, 6, 0, 1]
        var room = [UInt8](repeating: 0, count: 65_535)
        var space = room.mutableSpan
        let outcome = respond(
            to: query.span, context: QueryContext(transport: .tcp, random: 1),
            settings: AnswerSettings(), from: image, into: &space)
        let reply = Array(room[..<outcome.length])
        expectAnswer(reply, to: query)
        return reply
    }

    /// Id, QR, opcode, question and form of a reply.
    static func expectAnswer(_ reply: [UInt8], to query: [UInt8]) {
        precondition(reply.count >= 12 && query.count >= 12)
        precondition(reply[0] == query[0] && reply[1] == query[1] && reply[2] & 0x80 != 0)
        precondition(reply[2] & 0x78 == query[2] & 0x78)
        var form = MessageForm(reply)
        precondition(form.skipHeaderAndQuestions())
        precondition(reply[12..<form.offset].elementsEqual(query[12..<form.offset]))
        precondition(form.skipRecords() && form.isAtEnd)
    }
}
