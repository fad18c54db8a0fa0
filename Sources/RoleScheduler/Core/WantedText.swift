public import Farm

/// A TXT record that somebody outside wants to see in the zone for a while, above all a certificate authority (ACME,
/// RFC 8555 §8.4). It is part of the farm's state, so that every name server of the farm answers it and a restart does
/// not lose it, and ends by itself.
public struct WantedText: Hashable, Sendable, Codable {
    public var text: Membership.Text
    /// When it ends.
    public var until: Moment

    public init(_ text: Membership.Text, until: Moment) {
        self.text = text
        self.until = until
    }
}

extension FarmState {
    /// Adds a text, or gives the one that is there already another end.
    public mutating func want(_ text: Membership.Text, until: Moment) {
        texts.removeAll { $0.text == text }
        texts.append(WantedText(text, until: until))
    }

    /// Takes texts away before their end.
    /// - Parameter value: nil for every one at the owner.
    /// - Returns: how many there were.
    public mutating func drop(textsAt owner: String, value: String?) -> Int {
        let before = texts.count
        texts.removeAll { $0.text.owner == owner && (value == nil || $0.text.value == value) }
        return before - texts.count
    }

    /// What is to be answered now, in one order for all; nil for nothing.
    public func answeredTexts(at now: Moment) -> [Membership.Text]? {
        let wanted = texts.filter { $0.until > now }.map(\.text).sorted()
        return wanted.isEmpty ? nil : wanted
    }
}
