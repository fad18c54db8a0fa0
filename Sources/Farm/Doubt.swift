/// What others than a machine's agent hold against it: then it does not count as ready, whatever its report says. It is a
/// reason to be shown, and no judgement of how bad it is.
public enum Doubt: Hashable, Sendable, CustomStringConvertible {
    /// It is handed out and does nothing while most of its peers work.
    case blackHole
    /// It fails its role's check from outside; the trouble is in a few words, and may quote the machine.
    case check(trouble: String)

    public var description: String {
        switch self {
        case .blackHole: "a black hole: it does nothing while most of its peers work"
        case .check(let trouble):
            trouble.isEmpty ? "its check fails" : "its check fails: \(trouble)"
        }
    }
}
