/// Merge rows, packed: the wire form of a chunk and, one row at a time, the stored form of a recipient in
/// the ledger. A batch is nothing but rows one after the other, so stored rows can be concatenated.
///
///     row  = recipient (4 octets, network order) body
///     body = length (varint) 1*OCTET             ; length of what follows
///            address-length (varint) address
///            *( value-length (varint) value )    ; as many as the mailing has fields
///
/// `body` is what a ledger stores: the recipient's number is put in front when the row is fed. Varints are
/// LEB128 of at most 5 octets. It says nothing of field names; they are the mailing's.
public struct RowBatch: Hashable, Sendable {
    /// Rows in the batch.
    public private(set) var count = 0
    /// The packed rows.
    public private(set) var bytes: [UInt8] = []

    public init() {}

    /// - Parameters:
    ///   - recipient: the number of the recipient within its mailing.
    ///   - address: a serialised `Mailbox`.
    ///   - values: in the order of the mailing's fields, UTF-8.
    public mutating func append(recipient: UInt32, address: String, values: [[UInt8]]) {
        append(recipient: recipient, body: RowBatch.body(address: address, values: values))
    }

    /// Appends a stored row.
    /// - Parameter body: what `body(address:values:)` returned; not checked again here.
    public mutating func append(recipient: UInt32, body: some Collection<UInt8>) {
        for shift in [24, 16, 8, 0] {
            bytes.append(UInt8(truncatingIfNeeded: recipient >> UInt32(shift)))
        }
        bytes.append(contentsOf: body)
        count += 1
    }

    public mutating func removeAll(keepingCapacity: Bool = true) {
        bytes.removeAll(keepingCapacity: keepingCapacity)
        count = 0
    }

    /// The batch in parts of at least one row and, beyond the first row, at most `octets` octets each.
    public func split(octets: Int) -> [RowBatch] {
        if bytes.count <= octets { return count == 0 ? [] : [self] }
        var parts: [RowBatch] = []
        var part = RowBatch()
        var reader = Reader(bytes)
        var start = 0
        while let row = try? reader.next() {
            if part.count > 0, part.bytes.count + reader.offset - start > octets {
                parts.append(part)
                part = RowBatch()
            }
            part.append(recipient: row.recipient, body: bytes[(start + 4)..<reader.offset])
            start = reader.offset
        }
        return part.count == 0 ? parts : parts + [part]
    }

    /// The stored form of a row: everything but the recipient's number.
    public static func body(address: String, values: [[UInt8]]) -> [UInt8] {
        let length =
            values.reduce(varintSize(address.utf8.count) + address.utf8.count) {
                $0 + varintSize($1.count) + $1.count
            }
        var out: [UInt8] = []
        out.reserveCapacity(length + 5)
        appendVarint(length, to: &out)
        appendVarint(address.utf8.count, to: &out)
        out.append(contentsOf: address.utf8)
        for value in values {
            appendVarint(value.count, to: &out)
            out.append(contentsOf: value)
        }
        return out
    }

    /// All rows of a batch that came from elsewhere.
    /// - Parameter bytes: hostile; anything but a whole number of well-formed rows is an error.
    public static func rows(in bytes: [UInt8]) throws(RowBatchError) -> [Row] {
        var reader = Reader(bytes)
        var rows: [Row] = []
        while let row = try reader.next() { rows.append(row) }
        return rows
    }

    /// One stored row.
    public static func row(recipient: UInt32, body: [UInt8]) throws(RowBatchError) -> Row {
        var reader = Reader(body)
        let row = try reader.body(of: recipient)
        guard reader.isAtEnd else { throw RowBatchError(offset: reader.offset) }
        return row
    }

    private static func varintSize(_ value: Int) -> Int {
        var size = 1
        var rest = value >> 7
        while rest > 0 {
            size += 1
            rest >>= 7
        }
        return size
    }

    private static func appendVarint(_ value: Int, to out: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        out.append(UInt8(truncatingIfNeeded: rest))
    }

    /// One row as slices of the batch it came from.
    public struct Row: Hashable, Sendable {
        public var recipient: UInt32
        /// The recipient's mailbox, as packed; not parsed again.
        public var address: ArraySlice<UInt8>
        /// In the order of the mailing's fields.
        public var values: [ArraySlice<UInt8>]

        public init(recipient: UInt32, address: ArraySlice<UInt8>, values: [ArraySlice<UInt8>]) {
            self.recipient = recipient
            self.address = address
            self.values = values
        }

        /// The stored form of this row.
        public var body: [UInt8] {
            RowBatch.body(address: ASCII.text(address), values: values.map(Array.init))
        }
    }

    /// Goes through a batch row by row, with every read checked.
    public struct Reader: Sendable {
        private let bytes: [UInt8]
        /// Octets read so far.
        public private(set) var offset = 0

        public init(_ bytes: [UInt8]) { self.bytes = bytes }

        public var isAtEnd: Bool { offset == bytes.count }

        /// The next row, or nil at the end of the batch.
        public mutating func next() throws(RowBatchError) -> Row? {
            if isAtEnd { return nil }
            guard bytes.count - offset >= 4 else { throw RowBatchError(offset: offset) }
            let number = bytes[offset..<(offset + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            offset += 4
            return try body(of: number)
        }

        fileprivate mutating func body(of recipient: UInt32) throws(RowBatchError) -> Row {
            let length = try varint(limit: bytes.count)
            let end = offset + length
            let address = try piece(before: end)
            guard !address.isEmpty else { throw RowBatchError(offset: offset) }
            var values: [ArraySlice<UInt8>] = []
            while offset < end { values.append(try piece(before: end)) }
            return Row(recipient: recipient, address: address, values: values)
        }

        private mutating func piece(before end: Int) throws(RowBatchError) -> ArraySlice<UInt8> {
            let length = try varint(limit: end)
            let start = offset
            offset += length
            return bytes[start..<offset]
        }

        /// A length that fits between here and `limit`.
        private mutating func varint(limit: Int) throws(RowBatchError) -> Int {
            let start = offset
            var value = 0
            var shift = 0
            while offset < limit, shift < 35 {
                let byte = bytes[offset]
                offset += 1
                value |= Int(byte & 0x7F) << shift
                if byte < 0x80 {
                    guard value <= limit - offset else { break }
                    return value
                }
                shift += 7
            }
            throw RowBatchError(offset: start)
        }
    }
}

/// A packed batch that is not a whole number of well-formed rows.
public struct RowBatchError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Octet of the batch where the fault begins.
    public let offset: Int

    public var description: String { "malformed row at octet \(offset) of the batch" }
}
