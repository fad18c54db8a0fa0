/// Why an operator did something, as it goes into the history: one line that a terminal can show.
public struct OperatorReason: Hashable, Sendable {
    /// Not empty, without control characters, at most 500 characters.
    public let text: String

    /// - Throws: what is wrong with it, in words for the operator.
    public init(_ text: String) throws(OverrideError) {
        let isLine = text.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator, .surrogate: false
            default: true
            }
        }
        guard isLine else {
            throw OverrideError(
                "the reason has a line end or another control character: write one line of text")
        }
        guard text.contains(where: { !$0.isWhitespace }) else {
            throw OverrideError("the reason is empty: say why, for whoever reads the history")
        }
        guard text.count <= 500 else {
            throw OverrideError("the reason has \(text.count) characters: write at most 500")
        }
        self.text = text
    }
}
