/// The questions about the server itself: class CHAOS, type TXT (RFC 4892). What the operator does not
/// tell is refused, as is everything else of that class.
enum ServerIdentity {
    static let chaos: UInt16 = 3

    static func answer(
        _ query: Span<UInt8>, _ facts: Query, _ settings: AnswerSettings, _ reply: inout Reply,
        _ response: inout MutableSpan<UInt8>
    ) {
        let name = query.extracting(12..<(12 + facts.nameLength))
        if spells(name, versionBind) || spells(name, versionServer) {
            put(settings.version, facts.type, &reply, &response)
        } else if spells(name, idServer) || spells(name, hostnameBind) {
            put(settings.identity, facts.type, &reply, &response)
        } else {
            reply.refuse(.refused, .notAuthoritative)
        }
    }

    private static func put(
        _ text: [UInt8], _ type: RecordType, _ reply: inout Reply,
        _ response: inout MutableSpan<UInt8>
    ) {
        guard !text.isEmpty else { return reply.refuse(.refused, .prohibited) }
        reply.isAuthoritative = true
        reply.kind = .answer
        guard type == .txt || type == .any else { return }
        guard reply.fits(13 + text.count) else { return reply.truncate() }
        reply.put16(0xC000 | 12, &response)
        reply.put16(RecordType.txt.number, &response)
        reply.put16(Int(chaos), &response)
        // TTL 0: it says who answers now.
        for _ in 0..<4 { reply.put(0, &response) }
        reply.put16(text.count + 1, &response)
        reply.put(UInt8(text.count), &response)
        reply.put(text, 0..<text.count, &response)
        reply.count(.answer, 1)
    }

    private static func spells<let length: Int>(
        _ name: Span<UInt8>, _ wanted: InlineArray<length, UInt8>
    ) -> Bool {
        guard name.count == length else { return false }
        for index in 0..<length where ZoneImage.lowered(name[index]) != wanted[index] {
            return false
        }
        return true
    }

    /// version.bind
    private static let versionBind: InlineArray<14, UInt8> = [
        7, 0x76, 0x65, 0x72, 0x73, 0x69, 0x6F, 0x6E, 4, 0x62, 0x69, 0x6E, 0x64, 0,
    ]
    /// version.server
    private static let versionServer: InlineArray<16, UInt8> = [
        7, 0x76, 0x65, 0x72, 0x73, 0x69, 0x6F, 0x6E, 6, 0x73, 0x65, 0x72, 0x76, 0x65, 0x72, 0,
    ]
    /// id.server
    private static let idServer: InlineArray<11, UInt8> = [
        2, 0x69, 0x64, 6, 0x73, 0x65, 0x72, 0x76, 0x65, 0x72, 0,
    ]
    /// hostname.bind
    private static let hostnameBind: InlineArray<15, UInt8> = [
        8, 0x68, 0x6F, 0x73, 0x74, 0x6E, 0x61, 0x6D, 0x65, 4, 0x62, 0x69, 0x6E, 0x64, 0,
    ]
}
