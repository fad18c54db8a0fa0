/// A zone's way out of DNSSEC: the parent is asked to point at no key (RFC 8078 §4), does so, and once no cache can
/// hold a DS record any more the signatures may go. How far it has come is in the keys, and so outlives a restart.
public enum Withdrawal: Hashable, Sendable {
    /// The zone is signed, or shall be.
    case none
    /// The parent is asked to remove its DS records, and is not known to have.
    case asked
    /// The parent's servers have had none since then.
    case undelegated(since: UInt64)
    /// The zone is not signed, and stays so until somebody wants it signed again.
    case done
}

extension [TimedKey] {
    /// How far the zone is on its way out of DNSSEC.
    public var withdrawal: Withdrawal {
        let published = filter(\.isPublished)
        guard !published.isEmpty else {
            return contains { $0.withdrawn != nil } ? .done : .none
        }
        let entries = published.filter { $0.key.isEntryPoint }
        guard entries.contains(where: { $0.withdrawn != nil }) else { return .none }
        let moments = entries.compactMap(\.undelegated)
        guard let last = moments.max(), moments.count == entries.count else { return .asked }
        return .undelegated(since: last)
    }

    /// Begins: the parent is asked to point at none of them.
    public mutating func withdraw(now: UInt64) {
        for index in indices where self[index].key.isEntryPoint && self[index].isPublished {
            self[index].withdrawn = self[index].withdrawn ?? now
        }
    }

    /// Takes notice of what the parent points at.
    /// - Parameter now: the moment at which it was seen to point at none of them; nil when it points at one again.
    public mutating func noteUndelegation(now: UInt64?) {
        for index in indices where self[index].withdrawn != nil && self[index].isPublished {
            self[index].undelegated = now.map { self[index].undelegated ?? $0 }
        }
    }

    /// The zone shall be signed: by the keys it has, which the parent is asked for again, or by new ones.
    public mutating func signAgain() {
        for index in indices where self[index].withdrawn != nil {
            self[index].withdrawn = nil
            // The parent may have forgotten it, so that its taking over is to be waited for.
            if self[index].undelegated != nil, self[index].isPublished {
                self[index].delegated = nil
            }
            self[index].undelegated = nil
        }
    }
}
