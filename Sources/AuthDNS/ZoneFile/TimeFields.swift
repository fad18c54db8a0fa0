/// Watches the fields of a zone file's text that are times ($TTL, the TTL of a record, those of an SOA),
/// for values that do not fit: libldns takes them modulo 2^32 and says nothing. It does not check what
/// a field is; that is the parser's.
struct TimeFields {
    private enum Place {
        case owner
        /// TTL, class or type.
        case header
        /// The field of an SOA's data.
        case soa(Int)
        case directive
        case rest
    }

    /// What is wrong, and what it may be at most (RFC 2181 §8, RFC 1982 §2).
    private(set) var problem: String?
    private var place = Place.owner
    /// Nothing of the record was seen yet.
    private var isFresh = true
    private var field: [UInt8] = []
    private static let longest = 64
    private static let longestTTL: UInt64 = 1 << 31 - 1

    /// - Parameter octet: outside comments, quotes and escapes, not a line's end.
    mutating func take(_ octet: UInt8) {
        switch octet {
        case 0x20, 0x09, 0x0D:
            // A line that begins with a blank has the owner of the one before.
            if isFresh { place = .header }
            endField()
        case 0x28, 0x29, 0x3B: endField()
        default: if field.count < TimeFields.longest { field.append(octet) }
        }
        isFresh = false
    }

    /// - Parameter isRecord: whether the record ends too: no parenthesis is open.
    mutating func endLine(isRecord: Bool) {
        endField()
        guard isRecord else { return }
        place = .owner
        isFresh = true
    }

    private mutating func endField() {
        guard !field.isEmpty else { return }
        defer { field = [] }
        switch place {
        case .owner:
            let isDirective = field.first == 0x24
            place = isDirective ? (spells("$TTL") ? .directive : .rest) : .header
        case .directive:
            check("$TTL", TimeFields.longestTTL)
            place = .rest
        case .header:
            if field.first.map({ (0x30...0x39).contains($0) }) ?? false {
                check("the TTL", TimeFields.longestTTL)
            } else if !["IN", "CH", "HS", "CS", "NONE", "ANY"].contains(where: spells) {
                place = spells("SOA") ? .soa(0) : .rest
            }
        case .soa(let index):
            let names = ["", "", "serial", "refresh", "retry", "expire", "negative TTL"]
            if index == 2 { check("the serial", 1 << 32 - 1) }
            if index > 2 { check("the \(names[index])", TimeFields.longestTTL) }
            place = index < 6 ? .soa(index + 1) : .rest
        case .rest: break
        }
    }

    private func spells(_ word: String) -> Bool {
        field.count == word.utf8.count
            && zip(field, word.utf8).allSatisfy { $0 == $1 || $0 ^ 0x20 == $1 && $1 > 0x40 }
    }

    private mutating func check(_ what: String, _ most: UInt64) {
        guard problem == nil, let value = TimeFields.value(field), value > most else { return }
        let text = String(decoding: field, as: UTF8.self)
        let unit = what == "the serial" ? "" : " s"
        problem =
            "\(what) '\(text)' is beyond \(most)\(unit) (RFC \(unit.isEmpty ? "1982" : "2181 section 8"))"
    }

    /// The field's value; beyond 2^63 it sticks there. nil when it is not digits with units between.
    private static func value(_ field: [UInt8]) -> UInt64? {
        var sum: UInt64 = 0
        var number: UInt64 = 0
        let cap: UInt64 = 1 << 40
        for octet in field {
            switch octet {
            case 0x30...0x39: number = min(number * 10 + UInt64(octet - 0x30), cap)
            case 0x53, 0x73: (sum, number) = (sum + number, 0)
            case 0x4D, 0x6D: (sum, number) = (sum + number * 60, 0)
            case 0x48, 0x68: (sum, number) = (sum + number * 3_600, 0)
            case 0x44, 0x64: (sum, number) = (sum + number * 86_400, 0)
            case 0x57, 0x77: (sum, number) = (sum + number * 604_800, 0)
            default: return nil
            }
            sum = min(sum, cap)
        }
        return sum + number
    }
}
