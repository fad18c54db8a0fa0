/// Octets taken out of a template file, each with its offset in the file, so that a fault found after
/// unfolding or decoding is reported where its author wrote it.
struct TemplateText {
    var bytes: [UInt8] = []
    var origins: [Int32] = []

    init() {}

    init(bytes: [UInt8], origin: Int) {
        self.bytes = bytes
        origins = Array(repeating: Int32(origin), count: bytes.count)
    }

    var isEmpty: Bool { bytes.isEmpty }
    var count: Int { bytes.count }

    mutating func append(_ byte: UInt8, from origin: Int32) {
        bytes.append(byte)
        origins.append(origin)
    }

    mutating func append(_ other: TemplateText) {
        bytes += other.bytes
        origins += other.origins
    }

    subscript(range: Range<Int>) -> TemplateText {
        var part = TemplateText()
        part.bytes = Array(bytes[range])
        part.origins = Array(origins[range])
        return part
    }

    func origin(_ index: Int) -> Int {
        index < origins.count ? Int(origins[index]) : Int(origins.last ?? 0)
    }

    var trimmed: TemplateText {
        guard let first = bytes.firstIndex(where: { !ASCII.isWhite($0) }),
            let last = bytes.lastIndex(where: { !ASCII.isWhite($0) })
        else { return TemplateText() }
        return self[first..<(last + 1)]
    }

    /// The file with every line ended by CRLF.
    static func normalised(_ source: [UInt8]) -> TemplateText {
        var text = TemplateText()
        text.bytes.reserveCapacity(source.count + source.count / 32)
        text.origins.reserveCapacity(source.count + source.count / 32)
        var previous: UInt8 = 0
        for (offset, byte) in source.enumerated() {
            let origin = Int32(truncatingIfNeeded: offset)
            if byte == ASCII.lineFeed {
                if previous != ASCII.carriageReturn { text.append(0x0D, from: origin) }
            } else if previous == ASCII.carriageReturn {
                text.append(0x0A, from: origin)
            }
            text.append(byte, from: origin)
            previous = byte
        }
        if previous == ASCII.carriageReturn { text.append(0x0A, from: Int32(source.count)) }
        return text
    }
}

/// Collects the faults of a template and turns offsets into lines and columns.
struct TemplateFaults {
    private(set) var errors: [TemplateError] = []
    private(set) var warnings: [TemplateError] = []
    private let source: [UInt8]

    init(source: [UInt8]) { self.source = source }

    mutating func error(at offset: Int, _ text: String) { errors.append(place(offset, text)) }

    mutating func warning(at offset: Int, _ text: String) { warnings.append(place(offset, text)) }

    private func place(_ offset: Int, _ text: String) -> TemplateError {
        var line = 1
        var column = 1
        for byte in source.prefix(max(0, offset)) {
            if byte == ASCII.lineFeed {
                line += 1
                column = 1
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
        return TemplateError(line: line, column: column, text: text)
    }
}
