/// What the world did in answer to the messages it got.
public struct ReactionReport: Codable, Hashable, Sendable {
    /// One kind of reaction. `due` = `done` + `refused` + `givenUp` + what is still to come.
    public struct Count: Codable, Hashable, Sendable {
        public var due = 0
        public var done = 0
        /// Answered for good, and not as wished (5yz; 4xx).
        public var refused = 0
        /// Not carried out; never without a reason in `failures`.
        public var givenUp = 0
        /// Tries beyond the first.
        public var retries = 0
        /// How many were taken at which address.
        public var byAddress: [String: Int] = [:]
    }

    public struct Failure: Codable, Hashable, Sendable {
        public var kind: String
        public var recipient: String
        public var reason: String
    }

    public var bounces = Count()
    public var clicks = Count()
    public var prefetches = Count()
    /// Recipients whose bounce was taken, sorted.
    public var bounced: [String] = []
    /// Recipients whose unsubscription was taken, sorted.
    public var unsubscribed: [String] = []
    /// The first thousand that were refused or given up.
    public var failures: [Failure] = []

    public init() {}

    /// What is still to come.
    public var outstanding: Int {
        [bounces, clicks, prefetches].reduce(0) {
            $0 + $1.due - $1.done - $1.refused - $1.givenUp
        }
    }
}
