/// How a role's members are looked at from outside: what is asked, how often, and how many answers in a row change
/// the verdict. It says nothing about what agents report of themselves.
public struct CheckRule: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// A connection is enough.
        case tcp
        /// 220 and an answer to EHLO.
        case smtp
        /// As `smtp`, and STARTTLS is offered and taken up; the handshake is not made.
        case startTLS
        /// A status below 400 to GET.
        case http(path: String)
        /// Any answer to a query for the root's NS, by TCP.
        case dns
    }

    public var kind: Kind
    public var port: UInt16
    public var every: Duration
    /// For the whole dialogue.
    public var timeout: Duration
    /// Good answers in a row that make a failed machine good again.
    public var rise: Int
    /// Bad answers in a row that make a good machine fail.
    public var fall: Int

    public init(
        _ kind: Kind, port: UInt16, every: Duration = .seconds(5),
        timeout: Duration = .seconds(3), rise: Int = 2, fall: Int = 3
    ) {
        self.kind = kind
        self.port = port
        self.every = every
        self.timeout = timeout
        self.rise = rise
        self.fall = fall
    }

    /// "smtp 25", as people are told.
    public var name: String {
        switch kind {
        case .tcp: "tcp \(port)"
        case .smtp: "smtp \(port)"
        case .startTLS: "starttls \(port)"
        case .http(let path): "http \(port)\(path)"
        case .dns: "dns \(port)"
        }
    }
}

/// What the checks of one machine have come to: it takes `fall` bad answers to fail and `rise` good ones to be good
/// again; the first answer of all decides alone when it is good.
public struct CheckState: Hashable, Sendable {
    /// nil: nothing is known yet.
    public private(set) var isGood: Bool?
    /// What was wrong last; empty when nothing was.
    public private(set) var trouble = ""
    /// Answers in a row that speak against the verdict.
    private var against = 0

    public init() {}

    /// - Parameter trouble: nil for a good answer.
    public mutating func note(_ trouble: String?, by rule: CheckRule) {
        self.trouble = trouble ?? ""
        let isOne = trouble == nil
        guard let verdict = isGood else {
            if isOne {
                isGood = true
            } else {
                against += 1
                if against >= rule.fall { (isGood, against) = (false, 0) }
            }
            return
        }
        against = isOne == verdict ? 0 : against + 1
        if against >= (verdict ? rule.fall : rule.rise) { (isGood, against) = (isOne, 0) }
    }
}
