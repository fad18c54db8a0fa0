import Farm

/// What other servers get that ask for more than an answer.
public enum PeerAnswer: Sendable {
    case none
    case message([UInt8])
    /// By TCP alone: one message after the other.
    case stream(TransferStream)
    /// The reply to who told of a new version, which should be fetched.
    case notified([UInt8])
}

/// What a query is answered with that `respond` leaves to others (`Outcome.isForPeer`): transfers (RFC 5936,
/// RFC 1995) and signed queries (RFC 8945). It allocates, and is for those few who are known.
public struct PeerResponder: Sendable {
    public var peers: TransferPeers
    public var image: ZoneImage
    public var history: ZoneHistory
    public var settings: AnswerSettings

    public init(
        peers: TransferPeers, image: ZoneImage, history: ZoneHistory, settings: AnswerSettings
    ) {
        self.peers = peers
        self.image = image
        self.history = history
        self.settings = settings
    }

    /// - Parameters:
    ///   - query: as received; any bytes.
    ///   - context: who asks, how; without a client nobody is known.
    ///   - unixTime: seconds since 1970.
    public func answer(
        _ query: [UInt8], _ context: QueryContext, unixTime: UInt64
    ) -> PeerAnswer {
        switch TSIGExchange.judge(query, keys: peers.keys, unixTime: unixTime) {
        case .malformed: return PeerResponder.code(.formatError, query)
        case .refused(let reply): return context.isLimited ? .none : .message(reply)
        case .unsigned: return answer(query, nil, context, unixTime)
        case .good(let bare, let exchange): return answer(bare, exchange, context, unixTime)
        }
    }

    private func answer(
        _ query: [UInt8], _ exchange: TSIGExchange?, _ context: QueryContext, _ unixTime: UInt64
    ) -> PeerAnswer {
        var facts = Query()
        let form = facts.parse(query.span)
        if facts.isNotify { return noted(query, exchange, context, unixTime) }
        guard form == .good, facts.version == 0, facts.recordClass == 1,
            facts.type == .axfr || facts.type == .ixfr
        else { return ordinary(query, exchange, context, unixTime) }
        guard let client = context.client,
            peers.mayTransfer(
                client, signedWith: exchange?.key.name, isEncrypted: context.isEncrypted)
        else { return refused(.refused, query, facts, exchange, unixTime) }
        let asked = DomainName(wire: Array(query[12..<(12 + facts.nameLength)]))
        guard asked == image.apex else {
            return refused(.notAuthoritative, query, facts, exchange, unixTime)
        }
        guard settings.isServing else {
            return refused(.serverFailure, query, facts, exchange, unixTime)
        }
        let isIncremental = facts.type == .ixfr
        if context.transport == .udp && !isIncremental {
            return refused(.formatError, query, facts, exchange, unixTime)
        }
        var records = wholeZone
        if isIncremental {
            guard let serial = PeerResponder.serial(of: query, at: image.apex) else {
                return refused(.formatError, query, facts, exchange, unixTime)
            }
            records = context.transport == .udp ? [image.soa] : changes(since: serial)
        }
        let stream = TransferStream(
            records, apex: image.apex, head: head(query, facts, .noError), hasOPT: facts.hasOPT,
            exchange: exchange)
        guard context.transport == .udp else { return .stream(stream) }
        var single = stream
        return single.message(unixTime: unixTime).map { .message($0) } ?? .none
    }

    /// Somebody tells of a new version (RFC 1996 §3.7, §4.7). Which does not matter: the primary will say.
    private func noted(
        _ query: [UInt8], _ exchange: TSIGExchange?, _ context: QueryContext, _ unixTime: UInt64
    ) -> PeerAnswer {
        var reader = MessageReader(query)
        guard let counts = reader.counts(), counts[0] == 1, let name = reader.name(),
            let fixed = reader.octets(4)
        else { return PeerResponder.code(.formatError, query) }
        var reply = Array(query[..<reader.offset])
        // The same operation, as a reply with authority.
        reply[2] = 0xA4
        for index in 6..<12 { reply[index] = 0 }
        let isKnown = context.client.map {
            peers.mayNotify($0, signedWith: exchange?.key.name)
        }
        let isOurs = name == image.apex && fixed == [0, 6, 0, 1]
        let code: ResponseCode =
            isKnown != true ? .refused : isOurs ? .noError : .notAuthoritative
        reply[3] = UInt8(code.rawValue)
        if var exchange { exchange.sign(&reply, unixTime: unixTime) }
        return code == .noError ? .notified(reply) : .message(reply)
    }

    private var wholeZone: [ResourceRecord] { image.records + [image.soa] }

    /// What an asker with that version gets: one SOA record when there is nothing newer, what has changed when
    /// that is known and less than the whole, else the whole (RFC 1995 §4).
    private func changes(since serial: UInt32) -> [ResourceRecord] {
        let newest = image.soa
        guard Serial.isNewer(image.serial, than: serial) else { return [newest] }
        guard history.leads(to: image.serial), let step = history.difference(from: serial),
            step.removed.count + step.added.count < image.recordCount
        else { return wholeZone }
        return [newest, step.from] + step.removed + [newest] + step.added + [newest]
    }

    /// The serial that an incremental query says its sender has (RFC 1995 §3).
    private static func serial(of query: [UInt8], at apex: DomainName) -> UInt32? {
        var reader = MessageReader(query)
        guard let counts = reader.counts(), counts[2] == 1, reader.skipQuestions(counts[0]) else {
            return nil
        }
        for _ in 0..<counts[1] { guard reader.record() != nil else { return nil } }
        guard let soa = reader.record(), soa.type == RecordType.soa.rawValue, soa.owner == apex
        else { return nil }
        // The names may be compressed; what follows them has a fixed length.
        var fixed = MessageReader(query)
        guard soa.data.count >= 22, fixed.octets(soa.data.upperBound - 20) != nil else {
            return nil
        }
        return fixed.number(4).map { UInt32(truncatingIfNeeded: $0) }
    }

    /// A query like any other, but signed.
    private func ordinary(
        _ query: [UInt8], _ exchange: TSIGExchange?, _ context: QueryContext, _ unixTime: UInt64
    ) -> PeerAnswer {
        let room = (context.transport == .udp ? 1_232 : 65_535) - (exchange?.overhead ?? 0)
        var reply = [UInt8](repeating: 0, count: max(room, 512))
        var context = context
        context.leavesPeers = false
        // Who holds a key of ours is not limited.
        context.isLimited = context.isLimited && exchange == nil
        var space = reply.mutableSpan
        let outcome = respond(
            to: query.span, context: context, settings: settings, from: image, into: &space)
        guard outcome.length > 0 else { return .none }
        return signed(Array(reply[..<outcome.length]), exchange, unixTime)
    }

    private func signed(
        _ reply: [UInt8], _ exchange: TSIGExchange?, _ unixTime: UInt64
    ) -> PeerAnswer {
        guard var exchange else { return .message(reply) }
        var message = reply
        exchange.sign(&message, unixTime: unixTime)
        return .message(message)
    }

    /// A reply that says no. It has an OPT record when the query had one (RFC 6891 §6.1.1).
    private func refused(
        _ code: ResponseCode, _ query: [UInt8], _ facts: Query, _ exchange: TSIGExchange?,
        _ unixTime: UInt64
    ) -> PeerAnswer {
        var reply = head(query, facts, code)
        if facts.hasOPT {
            reply += OptRecord.plain
            if facts.wantsDNSSEC { reply[reply.count - 4] = 0x80 }
            reply[11] = 1
        }
        return signed(reply, exchange, unixTime)
    }

    /// Header and question of a reply without records.
    private func head(_ query: [UInt8], _ facts: Query, _ code: ResponseCode) -> [UInt8] {
        var reply = Array(query[..<facts.questionEnd])
        reply[2] = 0x80 | (query[2] & 0x01) | (code == .noError ? 0x04 : 0)
        reply[3] = UInt8(code.rawValue)
        for index in 6..<12 { reply[index] = 0 }
        return reply
    }

    private static func code(_ code: ResponseCode, _ query: [UInt8]) -> PeerAnswer {
        guard query.count >= 12 else { return .none }
        var reply = Array(query[..<12])
        reply[2] = 0x80 | (query[2] & 0x79)
        reply[3] = UInt8(code.rawValue)
        for index in 4..<12 { reply[index] = 0 }
        return .message(reply)
    }
}

extension ZoneImage {
    /// Whether the first question of a message, of whatever operation, is about this zone.
    /// - Parameter message: any bytes.
    public func isAsked(in message: [UInt8]) -> Bool {
        var reader = MessageReader(message)
        guard let counts = reader.counts(), counts[0] > 0, let name = reader.name() else {
            return false
        }
        return name.isWithin(apex)
    }
}
