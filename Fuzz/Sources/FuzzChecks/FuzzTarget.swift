/// What is fuzzed: a name, which is that of its corpus, and a check that traps when octets break an invariant. The
/// fuzzer and the tests of the product run the same checks.
public enum FuzzTarget: String, CaseIterable, Sendable {
    case query, zone, signature, framing, transfer, incoming

    /// What the name server replies to an input of `query`; nil for nothing.
    public static func reply(to bytes: [UInt8]) -> [UInt8]? { QueryCheck.answered(bytes)?.reply }

    /// Returns when `bytes` do no harm, and traps otherwise.
    public func check(_ bytes: [UInt8]) {
        switch self {
        case .query: QueryCheck.run(bytes)
        case .zone: ZoneCheck.run(bytes)
        case .signature: SignatureCheck.run(bytes)
        case .framing: FramingCheck.run(bytes)
        case .transfer: TransferCheck.run(bytes)
        case .incoming: IncomingCheck.run(bytes)
        }
    }
}

/// Octets taken from the front of an input, zeros behind its end: choices of a check.
struct Choices {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isEmpty: Bool { rest.isEmpty }

    mutating func next() -> Int { Int(rest.popFirst() ?? 0) }

    /// All that is left.
    var remainder: [UInt8] { Array(rest) }
}
