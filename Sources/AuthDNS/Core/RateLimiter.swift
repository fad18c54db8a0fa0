public import Farm

/// How many replies of one kind a block of UDP clients gets. Names are attacked through servers like
/// this one by queries with forged senders; whoever is asked for the same thing again and again by one
/// network is made use of. TCP clients and those with a valid cookie have proved their address and are
/// never limited.
public struct RateLimit: Sendable {
    /// Replies a second to one block for one name and kind of reply, 1…100,000.
    public var responsesPerSecond = 200
    /// Seconds of silence until a block that never stopped is served again, 1…3,600.
    public var window = 15
    /// Of the replies over the limit every so-maniest is a truncated one, by which true clients come back
    /// through TCP; 1 for all, 0 for none.
    public var slip = 2
    /// Leading bits that make a block, 0…32 and 0…64.
    public var prefixes: (v4: Int, v6: Int) = (24, 56)
    /// Who is never limited. Loopback addresses cannot be forged from outside.
    public var exempt: [Network] = [Network("127.0.0.0/8"), Network("::1")].compactMap(\.self)
    /// Accounts per thread, rounded up to a power of two, 16 octets each.
    public var accounts = 16_384

    public init() {}
}

/// The accounts of one thread: a fixed table, in which newcomers take the place of whoever owes least.
/// It allocates nothing after its start and reads no clock.
///
/// Threads: one. Cost: a hash and two neighbouring accounts per reply.
public struct RateLimiter: Sendable {
    /// What to do with a reply.
    public enum Verdict: Sendable { case send, truncate, drop }

    /// An account is kept in thousandths of a reply.
    private struct Account {
        var tag: UInt32 = 0
        var balance: Int32 = 0
        /// When `balance` was true, in milliseconds modulo 2^32.
        var time: UInt32 = 0
        var excess: UInt32 = 0
    }

    private struct Block {
        var isV4: Bool
        var high: UInt64
        var low: UInt64
        var highMask: UInt64
        var lowMask: UInt64
    }

    private var accounts: [Account]
    private let exempt: [Block]
    private let seed: UInt64
    private let rate: Int
    private let floor: Int
    private let slip: UInt32
    private let maskV4: UInt32
    private let maskV6: UInt64

    /// - Parameter seed: random, so that nobody can choose whom to share an account with.
    public init(_ limit: RateLimit, seed: UInt64) {
        var size = 16
        while size < min(limit.accounts, 1 << 24) { size *= 2 }
        accounts = Array(repeating: Account(), count: size)
        exempt = limit.exempt.map(RateLimiter.block)
        self.seed = seed | 1
        rate = min(max(limit.responsesPerSecond, 1), 100_000)
        // An Int32 holds 2,000 s at 1,000 replies a second: the floor keeps within it.
        floor = -min(min(max(limit.window, 1), 3_600) * rate * 1_000, 2_000_000_000)
        slip = UInt32(clamping: limit.slip)
        maskV4 = UInt32(
            truncatingIfNeeded: RateLimiter.mask(32 + min(max(limit.prefixes.v4, 0), 32)))
        maskV6 = RateLimiter.mask(min(max(limit.prefixes.v6, 0), 64))
    }

    /// Books one reply and says what shall become of it.
    /// - Parameters:
    ///   - outcome: of the query; replies are told apart by kind and name.
    ///   - now: milliseconds on any clock that is never set.
    public mutating func judge(
        _ outcome: Outcome, to client: IPAddress, now: UInt32
    ) -> Verdict {
        if outcome.cookie == .valid || isExempt(client) { return .send }
        let hash = key(outcome, client)
        let tag = UInt32(truncatingIfNeeded: hash >> 32) | 1
        let index = slot(Int(truncatingIfNeeded: hash) & (accounts.count - 1), tag, now)
        let elapsed = min(Int(now &- accounts[index].time), 3_600_000)
        let earned = Int(accounts[index].balance) + elapsed * rate
        let balance = max(min(earned, rate * 1_000) - 1_000, floor)
        accounts[index].balance = Int32(clamping: balance)
        accounts[index].time = now
        guard balance < 0 else {
            accounts[index].excess = 0
            return .send
        }
        accounts[index].excess &+= 1
        return slip > 0 && accounts[index].excess % slip == 0 ? .truncate : .drop
    }

    /// The account of `tag`, or the place of the one that owes less, opened anew.
    private mutating func slot(_ first: Int, _ tag: UInt32, _ now: UInt32) -> Int {
        let second = first ^ 1
        if accounts[first].tag == tag { return first }
        if accounts[second].tag == tag { return second }
        let taken = worth(first, now) >= worth(second, now) ? first : second
        accounts[taken] = Account(
            tag: tag, balance: Int32(clamping: rate * 1_000), time: now, excess: 0)
        return taken
    }

    private func worth(_ index: Int, _ now: UInt32) -> Int {
        guard accounts[index].tag != 0 else { return .max }
        return Int(accounts[index].balance)
            + min(Int(now &- accounts[index].time), 3_600_000) * rate
    }

    private func key(_ outcome: Outcome, _ client: IPAddress) -> UInt64 {
        var state = seed
        switch client {
        case .v4(let value): state ^= UInt64(value & maskV4)
        case .v6(let high, _): state ^= (high & maskV6) &+ 0x9E37_79B9_7F4A_7C15
        }
        state = RateLimiter.mixed(state &* 0xD6E8_FEB8_6659_FD93)
        state ^= UInt64(outcome.kind.rawValue) << 32 | UInt64(outcome.subject)
        return RateLimiter.mixed(state &* seed)
    }

    private static func mixed(_ value: UInt64) -> UInt64 {
        let once = (value ^ value >> 32) &* 0xD6E8_FEB8_6659_FD93
        return once ^ once >> 32
    }

    private func isExempt(_ client: IPAddress) -> Bool {
        let (isV4, high, low): (Bool, UInt64, UInt64) =
            switch client {
            case .v4(let value): (true, UInt64(value), 0)
            case .v6(let high, let low): (false, high, low)
            }
        for block in exempt
        where block.isV4 == isV4 && high & block.highMask == block.high
            && low & block.lowMask == block.low
        {
            return true
        }
        return false
    }

    private static func block(_ network: Network) -> Block {
        switch network.address {
        case .v4(let value):
            Block(
                isV4: true, high: UInt64(value), low: 0, highMask: mask(32 + network.prefix),
                lowMask: 0)
        case .v6(let high, let low):
            Block(
                isV4: false, high: high, low: low, highMask: mask(min(network.prefix, 64)),
                lowMask: mask(max(network.prefix - 64, 0)))
        }
    }

    /// The leading `bits` of 64.
    private static func mask(_ bits: Int) -> UInt64 {
        bits == 0 ? 0 : UInt64.max << UInt64(64 - bits)
    }
}
