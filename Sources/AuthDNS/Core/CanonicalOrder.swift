/// The order of names that proofs of absence rest on (RFC 4034 §6.1): by labels from the right, upper case as
/// lower case. A name's key sorts as the name does, octet by octet; keys are never sent.
enum CanonicalOrder {
    /// Most octets of a key: each of a name's 255 may take two.
    static let longestKey = 512

    static func key(_ name: DomainName) -> [UInt8] {
        var space = InlineArray<512, UInt8>(repeating: 0)
        let length = key(name.wire.span, &space)
        return (0..<length).map { space[$0] }
    }

    /// Writes the key of a name in wire form.
    /// - Parameter name: well-formed and uncompressed, at most 255 octets.
    /// - Returns: its length. Labels are ended by 0, so 0 and 1 within labels are written as two octets.
    static func key(_ name: Span<UInt8>, _ space: inout InlineArray<512, UInt8>) -> Int {
        var starts = InlineArray<128, UInt8>(repeating: 0)
        var labels = 0
        var offset = 0
        while name[offset] != 0 {
            starts[labels] = UInt8(truncatingIfNeeded: offset)
            labels += 1
            offset += Int(name[offset]) + 1
        }
        var end = 0
        while labels > 0 {
            labels -= 1
            let start = Int(starts[labels])
            for index in (start + 1)..<(start + 1 + Int(name[start])) {
                let octet = ZoneImage.lowered(name[index])
                if octet < 2 {
                    space[end] = 1
                    end += 1
                }
                space[end] = octet < 2 ? octet + 1 : octet
                end += 1
            }
            space[end] = 0
            end += 1
        }
        return end
    }
}
