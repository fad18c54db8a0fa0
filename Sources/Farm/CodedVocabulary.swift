/// The vocabulary in coded form, as stores keep it. Names and addresses are their text and are checked when they are
/// read, so that a damaged store gives an error and never an impossible value.
extension SmurfID: Codable, CodingKeyRepresentable {
    public init(from decoder: any Decoder) throws {
        self = try decoder.checked("a smurf id", SmurfID.init)
    }

    public func encode(to encoder: any Encoder) throws { try encoder.write(name) }

    public var codingKey: any CodingKey { NameKey(stringValue: name) }

    public init?<Key: CodingKey>(codingKey: Key) { self.init(codingKey.stringValue) }
}

extension Role: Codable, CodingKeyRepresentable {
    public init(from decoder: any Decoder) throws {
        self = try decoder.checked("a role", Role.init)
    }

    public func encode(to encoder: any Encoder) throws { try encoder.write(name) }

    public var codingKey: any CodingKey { NameKey(stringValue: name) }

    public init?<Key: CodingKey>(codingKey: Key) { self.init(codingKey.stringValue) }
}

extension IPAddress: Codable {
    public init(from decoder: any Decoder) throws {
        self = try decoder.checked("an address") { IPAddress($0) }
    }

    public func encode(to encoder: any Encoder) throws { try encoder.write(description) }
}

extension Label: Codable {
    public init(from decoder: any Decoder) throws {
        self = try decoder.checked("a label") { Label($0) }
    }

    public func encode(to encoder: any Encoder) throws { try encoder.write(text) }
}

/// A name as a key of a mapping.
private struct NameKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

extension Decoder {
    /// A value that is coded as its text.
    /// - Parameters:
    ///   - what: to say what the text is not, with its article.
    ///   - read: nil for a text that is none.
    package func checked<Value>(
        _ what: String, _ read: (String) -> Value?
    ) throws -> Value {
        let text = try singleValueContainer().decode(String.self)
        guard let value = read(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: codingPath, debugDescription: "'\(text)' is not \(what)"))
        }
        return value
    }
}

extension Encoder {
    package func write(_ text: String) throws {
        var container = singleValueContainer()
        try container.encode(text)
    }
}
