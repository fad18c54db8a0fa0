/// What an operator, or whoever watches the parent, says about a zone's keys. It changes what is noted of them; what
/// comes of that in time is the roll's to say (`KeyRoll`).
public enum KeyOrder: Hashable, Sendable, CustomStringConvertible {
    /// A kind of key shall be replaced: the successor is published now and takes over when caches allow.
    case replace(isEntryPoint: Bool)
    /// The parent's servers all give the DS record of the key of this tag, or of the one that they were asked for.
    case delegated(tag: UInt16?)
    /// The parent shall be asked to remove its DS records; the zone stays signed meanwhile.
    case withdraw
    /// Whether the parent's servers have no DS record, on the way out of DNSSEC.
    case undelegated(Bool)
    /// Takes `withdraw` back; a zone that is no longer signed gets new keys.
    case signAgain

    /// As the history has it.
    public var description: String {
        switch self {
        case .replace(let isEntryPoint):
            isEntryPoint ? "replace the key that the parent knows" : "replace the zone's key"
        case .delegated(let tag): "the parent points at \(tag.map { "key \($0)" } ?? "the new key")"
        case .withdraw: "leave DNSSEC"
        case .undelegated(let isSo): "the parent has \(isSo ? "no DS records" : "DS records again")"
        case .signAgain: "sign again"
        }
    }
}

/// Why an order about keys was not taken; nothing was changed.
public struct KeyOrderFault: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    static let unsigned = KeyOrderFault("the zone is not signed: start serve with --dnssec")

    init(_ description: String) { self.description = description }
}

extension [TimedKey] {
    /// Notes what was said.
    /// - Parameters:
    ///   - order: what is to be noted.
    ///   - now: in seconds since 1970.
    /// - Returns: kinds of key that the next step of the roll has to replace; true for the entry point.
    /// - Throws: when it makes no sense for the zone as it is; nothing is changed then.
    public mutating func follow(_ order: KeyOrder, now: UInt64) throws(KeyOrderFault) -> Set<Bool> {
        guard !isEmpty else { throw .unsigned }
        switch order {
        case .replace(let isEntryPoint):
            try checkReplacement(isEntryPoint)
            return [isEntryPoint]
        case .delegated(let tag):
            guard let index = indexAwaiting(tag) else {
                throw KeyOrderFault("no key waits for the parent's DS record now")
            }
            self[index].delegated = now
        case .withdraw:
            guard withdrawal != .done else { throw .unsigned }
            guard withdrawal == .none else {
                throw KeyOrderFault(
                    "the parent was asked already to remove its DS records: see 'smurf zone keys'")
            }
            withdraw(now: now)
        case .undelegated(let isSo):
            switch withdrawal {
            case .asked, .undelegated: noteUndelegation(now: isSo ? now : nil)
            case .none, .done:
                throw KeyOrderFault(
                    "the parent was not asked to remove DS records: 'smurf zone unsign' does that")
            }
        case .signAgain:
            guard withdrawal != .none else { throw KeyOrderFault("the zone is signed") }
            signAgain()
        }
        return []
    }

    /// As `indexAwaiting`.
    public func awaiting(_ tag: UInt16?) -> TimedKey? { indexAwaiting(tag).map { self[$0] } }

    /// The newest key that the parent was asked to point at and is not known to. One before it may never have been told of,
    /// and no longer matters.
    /// - Parameter tag: of the key; nil for any.
    private func indexAwaiting(_ tag: UInt16?) -> Int? {
        lastIndex { $0.awaitsDelegation && (tag == nil || $0.key.tag == tag) }
    }

    private func checkReplacement(_ isEntryPoint: Bool) throws(KeyOrderFault) {
        guard withdrawal == .none else {
            throw KeyOrderFault("the zone is on its way out of DNSSEC: 'smurf zone sign' first")
        }
        let own = filter { $0.key.isEntryPoint == isEntryPoint && $0.isPublished }
        guard let newest = own.last else {
            throw KeyOrderFault(
                "the zone is signed with one key for everything (csk): replace that one")
        }
        guard own.count == 1 else {
            throw KeyOrderFault(
                "a key of this kind is being replaced already: see \(newest.key.tag) (\(newest.state))"
            )
        }
    }
}
