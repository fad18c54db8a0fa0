public import Farm

/// Where every machine of the farm stands, and what the scheduler remembers between two plans: a value
/// that `plan` takes and returns. It is not what machines said of themselves (that is `Health`) and not
/// what is published (that is `Membership`).
public struct FarmState: Hashable, Sendable, Codable {
    /// Sorted by id when walked; every machine the farm knows.
    public var smurfs: [SmurfID: SmurfRecord] = [:]
    /// Members each role shall have, as demand has it after windows and tolerance.
    public var setpoints: [Role: Int] = [:]
    /// What demand alone asked for, newest last; as long as the down window, and thinned: some hundred entries,
    /// however often plans are made.
    public var wanted: [Role: [Wanted]] = [:]
    /// What one member of each role was seen to do per second while there was backlog.
    public var measured: [Role: Measured] = [:]
    /// Roles that had backlog when their signal was last seen.
    public var soaking: Set<Role> = []
    /// What each role with a prediction has learnt.
    public var forecasts: [Role: Forecast] = [:]
    /// Phases with conditions that are on.
    public var latched: Set<String> = []
    /// Since when that has held which would turn a phase on or off.
    public var phaseTimers: [String: Moment] = [:]
    /// Since when the sizing signals of each role are missing.
    public var blindSince: [Role: Moment] = [:]
    /// The first machine of the series that now comes into each role with a canary.
    public var canaries: [Role: SmurfID] = [:]
    /// When a machine last began to move.
    public var lastMove: Moment?
    /// Texts that are to be answered for a while.
    public var texts: [WantedText] = []
    /// The last set of members that was not empty, per role.
    public var lastMembers: [Role: [SmurfID]] = [:]
    /// Since when each machine that left a sending role may still have mail under way.
    public var departedSenders: [SmurfID: Moment] = [:]
    /// When this state was taken up again from disk; nil for one that was never saved. Machines that
    /// were not heard since are awaited for `Guards.deadAfter`.
    public var resumed: Moment?

    public init() {}

    /// Ids in the order in which everything walks them.
    public var ids: [SmurfID] { smurfs.keys.sorted() }

    /// Where the records of `smurfs` lie, in the order of their ids. Ids are ASCII: numbers made of their first octets have
    /// their order, and are sooner compared.
    var sortedIndices: [Dictionary<SmurfID, SmurfRecord>.Index] {
        smurfs.indices
            .map { (index: $0, prefix: smurfs[$0].key.prefix) }
            .sorted {
                $0.prefix == $1.prefix
                    ? smurfs[$0.index].key < smurfs[$1.index].key : $0.prefix < $1.prefix
            }
            .map(\.index)
    }

    /// A rate that follows what is measured slowly.
    public struct Measured: Hashable, Sendable, Codable {
        public var rate: Double
        public var at: Moment

        public init(rate: Double, at: Moment) {
            self.rate = rate
            self.at = at
        }

        /// The same after `rate` was seen: two minutes of it are two thirds of the way.
        func following(_ seen: Double, at now: Moment) -> Measured {
            let part = Swift.min(Swift.max(now.since(at).inSeconds / 120, 0), 1)
            return Measured(rate: rate + (seen - rate) * part, at: now)
        }
    }

    /// One measurement of demand, or the last of several with the most of them.
    public struct Wanted: Hashable, Sendable, Codable {
        public var at: Moment
        public var count: Int
        /// nil when it is `count`.
        public var peak: Int?

        public init(at: Moment, count: Int) {
            self.at = at
            self.count = count
        }

        var most: Int { Swift.max(peak ?? count, count) }

        /// The later of two measurements stands for both.
        func followed(by next: Wanted) -> Wanted {
            var merged = next
            let most = Swift.max(most, next.most)
            merged.peak = most == next.count ? nil : most
            return merged
        }
    }
}

/// One machine's place in its life: joining → idle → warming → serving → draining → idle.
public struct SmurfRecord: Hashable, Sendable, Codable {
    public var addresses: [IPAddress]
    /// As its agent said last, sorted.
    public var labels: [Label] = []
    public var state: State
    /// When it came into this state.
    public var since: Moment
    /// When it was last seen down (silent, or not ready) after being fit; nil while it is fit.
    public var downSince: Moment?
    /// Since when it has said in every report that it is not ready for the role it serves; silence in
    /// between changes nothing.
    public var unreadySince: Moment?
    /// An operator's word; it ends by itself.
    public var override: Override?
    /// Another one beside it, so that the end of one leaves the other as it is.
    public var cordon: Cordon?
    /// Times it fell from serving because it was dead, or never got ready to serve.
    public var falls: Int
    /// Why it is where it is.
    public var reason: String

    public init(addresses: [IPAddress], since: Moment) {
        self.addresses = addresses
        state = .joining
        self.since = since
        downSince = nil
        unreadySince = nil
        override = nil
        cordon = nil
        falls = 0
        reason = "joined"
    }

    public enum State: Hashable, Sendable {
        /// Known, not yet healthy for long enough.
        case joining
        case idle
        /// Its listeners come up; not yet answered.
        case warming(Role)
        case serving(Role)
        /// No longer answered; works off what caches and connections still bring.
        case draining(Role)
        /// Taken out for falling too often; an operator releases it.
        case quarantined
    }

    /// The role it holds, warms up for or drains from.
    public var role: Role? {
        switch state {
        case .warming(let role), .serving(let role), .draining(let role): role
        case .joining, .idle, .quarantined: nil
        }
    }

    /// The role it has or will have soon: what counts against a target.
    public var assigned: Role? {
        switch state {
        case .warming(let role), .serving(let role): role
        case .joining, .idle, .draining, .quarantined: nil
        }
    }

    /// Whether it is between two roles.
    public var isMoving: Bool {
        switch state {
        case .warming, .draining: true
        case .joining, .idle, .serving, .quarantined: false
        }
    }
}

extension SmurfRecord.State: CustomStringConvertible {
    /// "serving smtp-out", "idle", …: as history and board spell it.
    public var description: String {
        switch self {
        case .joining: "joining"
        case .idle: "idle"
        case .warming(let role): "warming \(role)"
        case .serving(let role): "serving \(role)"
        case .draining(let role): "draining \(role)"
        case .quarantined: "quarantined"
        }
    }

    /// Reads what `description` wrote; nil for anything else.
    public init?(_ text: String) {
        let words = text.split(separator: " ").map(String.init)
        switch (words.first, words.count == 2 ? Role(words[1]) : nil) {
        case ("joining", nil) where words.count == 1: self = .joining
        case ("idle", nil) where words.count == 1: self = .idle
        case ("quarantined", nil) where words.count == 1: self = .quarantined
        case ("warming", let role?): self = .warming(role)
        case ("serving", let role?): self = .serving(role)
        case ("draining", let role?): self = .draining(role)
        default: return nil
        }
    }
}

/// Coded as its text.
extension SmurfRecord.State: Codable {
    public init(from decoder: any Decoder) throws {
        self = try decoder.checked("a state") { Self($0) }
    }

    public func encode(to encoder: any Encoder) throws { try encoder.write(description) }
}

/// What an operator ordered, against or beside the scheduler's own mind.
public struct Override: Hashable, Sendable, Codable {
    public enum Kind: Hashable, Sendable, Codable {
        /// Holds this role and no other.
        case move(Role)
        /// Holds no role.
        case hold
    }

    public var kind: Kind
    public var until: Moment
    public var reason: String
    /// Who said so.
    public var by: String

    public init(kind: Kind, until: Moment, reason: String, by: String) {
        self.kind = kind
        self.until = until
        self.reason = reason
        self.by = by
    }
}

/// An operator's word that a machine stays where it is: it keeps its role if it has one, and takes no other.
/// A machine that dies, or that the policy or a `hold` takes out of its role, gets none back before the end.
public struct Cordon: Hashable, Sendable, Codable {
    public var until: Moment
    public var reason: String
    /// Who said so.
    public var by: String

    public init(until: Moment, reason: String, by: String) {
        self.until = until
        self.reason = reason
        self.by = by
    }
}

extension SmurfID {
    /// The first eight octets of the name.
    fileprivate var prefix: UInt64 {
        var prefix: UInt64 = 0
        var octets = name.utf8.makeIterator()
        for _ in 0..<8 { prefix = prefix << 8 | UInt64(octets.next() ?? 0) }
        return prefix
    }
}
