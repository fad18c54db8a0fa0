/// Numbers in network order, most significant octet first (RFC 1700): how messages and saved files hold them alike.
extension [UInt8] {
    /// The number whose first octet is at `offset`.
    /// - Parameter octets: 1…8, all of them there.
    func number(at offset: Int, octets: Int) -> UInt64 {
        self[offset..<(offset + octets)].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// - Parameter octets: how many of the lowest octets of `value`, 1…8.
    mutating func append(_ value: UInt64, octets: Int) {
        for index in (0..<octets).reversed() {
            append(UInt8(truncatingIfNeeded: value >> UInt64(index * 8)))
        }
    }
}
