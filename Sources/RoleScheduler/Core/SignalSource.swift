/// Where a number of demand is read that neither the delivery side nor the agents measure. What is read is a
/// signal like any other: it ages, and an old one is missing, never zero.
public struct SignalSource: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// The query API of a Prometheus server: "http://127.0.0.1:9090", an expression with one value, and one for its
        /// age in seconds; nil: the sample's own when the first is the name of one.
        case prometheus(server: String, query: String, age: String? = nil)
        /// A program with its arguments, without a shell. The last line it prints is the number, and optionally
        /// its age.
        case command([String])
    }

    public var signal: String
    public var kind: Kind
    /// Between two readings.
    public var every: Duration
    /// Of one reading.
    public var timeout: Duration

    public init(
        signal: String, kind: Kind, every: Duration = .seconds(15),
        timeout: Duration = .seconds(5)
    ) {
        self.signal = signal
        self.kind = kind
        self.every = every
        self.timeout = timeout
    }
}
