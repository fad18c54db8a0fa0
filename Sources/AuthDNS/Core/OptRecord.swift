/// The OPT record of a reply: which options it will hold, decided before the first record is written, so
/// that room is kept for them. It is there when the query had one (RFC 6891 §6.1.1).
struct OptRecord {
    var isPresent: Bool
    private let wantsDNSSEC: Bool
    private let identityLength: Int
    private let givesZoneVersion: Bool
    private let givesKeepalive: Bool
    private let isPadded: Bool
    /// A padded reply is a multiple of this (RFC 8467 §4.1).
    fileprivate static let paddedBlock = 468
    private(set) var cookie: ServerCookies.Cookie?
    /// The question is for the image's zone, whose version may be told (RFC 9660 §3.2).
    var isOfZone = false

    /// One without options, as a whole record.
    static let plain: [UInt8] = [0, 0, 41, 0x04, 0xD0, 0, 0, 0, 0, 0, 0]

    /// - Parameter identityLength: octets of what NSID says. The settings themselves are not taken: initialisers take
    ///   copies, and a copy costs reference counts for each query.
    init(_ facts: Query, _ context: QueryContext, identityLength octets: Int) {
        isPresent = facts.hasOPT
        wantsDNSSEC = facts.wantsDNSSEC
        let known = facts.version == 0
        identityLength =
            known && facts.options.asksForIdentity ? octets : 0
        givesZoneVersion = known && facts.options.asksForZoneVersion
        givesKeepalive = known && facts.options.asksForKeepalive && context.transport == .tcp
        isPadded = known && facts.options.asksForPadding && context.isEncrypted
    }

    mutating func take(_ cookie: ServerCookies.Cookie) { self.cookie = cookie }

    /// Octets of the record with everything but an extended error and padding, which must do with what is left.
    var length: Int {
        guard isPresent else { return 0 }
        return 11 + (identityLength > 0 ? 4 + identityLength : 0) + (cookie == nil ? 0 : 28)
            + (givesZoneVersion ? 10 : 0) + (givesKeepalive ? 6 : 0)
    }

    fileprivate var flags: Int { wantsDNSSEC ? 0x8000 : 0 }
    fileprivate var tellsIdentity: Bool { identityLength > 0 }
    fileprivate var tellsZoneVersion: Bool { givesZoneVersion && isOfZone }
    fileprivate var tellsKeepalive: Bool { givesKeepalive }
    fileprivate var padsReply: Bool { isPadded }
}

extension Reply {
    /// Writes the OPT record behind everything else.
    mutating func putOpt(
        _ settings: AnswerSettings, _ image: ZoneImage, _ response: inout MutableSpan<UInt8>
    ) {
        let fitsError = fits(6)
        put(0, &response)
        put16(RecordType.opt.number, &response)
        put16(1_232, &response)
        put(UInt8(truncatingIfNeeded: code.rawValue >> 4), &response)
        put(0, &response)
        put16(opt.flags, &response)
        let start = end
        put16(0, &response)
        if opt.tellsIdentity {
            putOption(OptionCode.identity, settings.identity.count, &response)
            put(settings.identity, 0..<settings.identity.count, &response)
        }
        if let cookie = opt.cookie { put(cookie, &response) }
        if opt.tellsZoneVersion { putZoneVersion(image, &response) }
        if opt.tellsKeepalive {
            putOption(OptionCode.keepalive, 2, &response)
            put16(Int(settings.keepalive), &response)
        }
        if let extendedError, fitsError {
            putOption(OptionCode.extendedError, 2, &response)
            put16(extendedError.rawValue, &response)
        }
        if opt.padsReply { putPadding(&response) }
        let length = end - start - 2
        response[start] = UInt8(length >> 8)
        response[start + 1] = UInt8(length & 255)
    }

    /// Zeros up to the next whole block, or up to the most that a message may have, so that its length says little about
    /// what is in it (RFC 7830 §3, RFC 8467 §4.1).
    private mutating func putPadding(_ response: inout MutableSpan<UInt8>) {
        let bare = end + 4
        guard bare <= limit else { return }
        let blocks = (bare + OptRecord.paddedBlock - 1) / OptRecord.paddedBlock
        let count = min(blocks * OptRecord.paddedBlock, limit) - bare
        putOption(OptionCode.padding, count, &response)
        for _ in 0..<count { put(0, &response) }
    }

    private mutating func putOption(
        _ code: Int, _ length: Int, _ response: inout MutableSpan<UInt8>
    ) {
        put16(code, &response)
        put16(length, &response)
    }

    private mutating func put(
        _ cookie: ServerCookies.Cookie, _ response: inout MutableSpan<UInt8>
    ) {
        putOption(OptionCode.cookie, 24, &response)
        putWord(cookie.client.byteSwapped, &response)
        putWord(cookie.head, &response)
        putWord(cookie.hash.byteSwapped, &response)
    }

    private mutating func putWord(_ word: UInt64, _ response: inout MutableSpan<UInt8>) {
        for shift in stride(from: 56, through: 0, by: -8) {
            put(UInt8(truncatingIfNeeded: word >> UInt64(shift)), &response)
        }
    }

    /// Labels of the zone's name, type 0 (SOA-SERIAL), serial (RFC 9660 §3.3).
    private mutating func putZoneVersion(
        _ image: ZoneImage, _ response: inout MutableSpan<UInt8>
    ) {
        putOption(OptionCode.zoneVersion, 6, &response)
        put(image.apexLabels, &response)
        put(0, &response)
        put16(Int(image.serial >> 16), &response)
        put16(Int(image.serial & 0xFFFF), &response)
    }
}
