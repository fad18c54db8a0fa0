public import Farm
import Synchronization

/// Why a name has no answer.
public enum ResolverError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The name does not exist (NXDOMAIN).
    case noSuchName(String)
    /// The name exists and has no record of the kind asked for.
    case noData(String)
    /// The domain says that it takes no mail (RFC 7505).
    case nullMX(String)
    /// No answer, a server's failure, or a question that cannot be asked; may be otherwise later.
    case failed(name: String, why: String)
    /// The upstream cannot be used as it is written; says what to write instead.
    case badUpstream(String)

    public var description: String {
        switch self {
        case .noSuchName(let name): "there is no name \(name)"
        case .noData(let name): "\(name) has no such record"
        case .nullMX(let name): "\(name) takes no mail (null MX)"
        case .failed(let name, let why): "cannot look up \(name): \(why)"
        case .badUpstream(let what): what
        }
    }
}

/// Asks a resolver or one name server; keeps answers as long as their TTL says and no longer. Never
/// getaddrinfo, which knows no TTL and sorts addresses. Not a validator: answers carry no proof.
///
/// Any thread may call anything. A lookup fails after `timeout` at the latest; a cancelled task gets
/// `failed` at once. What is not there (NXDOMAIN, no data) is remembered for one second only, because a
/// name that appears must be seen.
public final class Resolver: Sendable {
    /// The port and address of a name server.
    public struct Server: Hashable, Sendable {
        public var address: IPAddress
        public var port: UInt16

        public init(address: IPAddress, port: UInt16 = 53) {
            self.address = address
            self.port = port
        }
    }

    /// Who is asked.
    public enum Upstream: Hashable, Sendable {
        /// The resolvers of /etc/resolv.conf, which is read once.
        case system
        /// Servers that answer for all names: recursive resolvers, or name servers in a trial.
        case forward([Server])
        /// Name servers asked directly for the names of `zone`; other names go to the resolvers of
        /// /etc/resolv.conf.
        case stub(zone: String, servers: [Server])
    }

    /// What a name resolves to.
    public struct Addresses: Hashable, Sendable {
        /// A then AAAA, each in the order received; at least one.
        public var addresses: [IPAddress]
        /// How long they may still be used.
        public var timeToLive: Duration
    }

    /// A host that takes mail for a domain; the lowest preference goes first.
    public struct MailExchange: Hashable, Sendable {
        public var preference: UInt16
        public var host: String
    }

    /// Who takes mail for a domain.
    public struct MailExchanges: Hashable, Sendable {
        /// By preference; equal ones in the order received. At least one.
        public var exchanges: [MailExchange]
        /// How long they may still be used.
        public var timeToLive: Duration
    }

    /// The longest that a lookup takes.
    public static let timeout = Duration.seconds(5)
    private let engine: ResolverEngine
    private let cache = Mutex(ResolverCache())

    /// Starts one thread; nothing is asked yet. It ends with the last reference.
    /// - Throws: `badUpstream`, or `failed` when libunbound refuses to start.
    public init(_ upstream: Upstream = .system) throws(ResolverError) {
        engine = try ResolverEngine(settings: ResolverSettings.text(upstream))
    }

    deinit { engine.stop() }

    /// A and AAAA records of a name, aliases followed. One of the two kinds is enough.
    /// - Parameter isFresh: what is remembered does not count.
    public func addresses(
        of name: String, isFresh: Bool = false
    ) async throws(ResolverError) -> Addresses {
        async let fourth = answer(name, .a, isFresh: isFresh)
        async let sixth = answer(name, .aaaa, isFresh: isFresh)
        let answers = await [fourth, sixth]
        var found: [IPAddress] = []
        var expires: ContinuousClock.Instant?
        for case .success(let answer) in answers {
            found += answer.records.compactMap { IPAddress(octets: $0) }
            expires = min(expires ?? answer.expires, answer.expires)
        }
        if let expires, !found.isEmpty {
            return Addresses(addresses: found, timeToLive: Resolver.left(until: expires))
        }
        throw Resolver.gravest(answers, name)
    }

    /// The MX records of a domain, or the domain itself when it has none (RFC 5321 §5.1).
    public func mailExchanges(of domain: String) async throws(ResolverError) -> MailExchanges {
        let answer: ResolverCache.Answer
        switch await self.answer(domain, .mx) {
        case .success(let found): answer = found
        case .failure(.noData):
            let implicit = try await addresses(of: domain)
            return MailExchanges(
                exchanges: [MailExchange(preference: 0, host: domain)],
                timeToLive: implicit.timeToLive)
        case .failure(let error): throw error
        }
        let records = answer.records.compactMap(MailExchange.init(wire:))
        let hosts = records.filter { !$0.host.isEmpty }
        guard !hosts.isEmpty else {
            guard records.isEmpty else { throw .nullMX(domain) }
            throw .failed(name: domain, why: "its MX records cannot be read")
        }
        // `sorted` is stable: equal preferences stay in the order received.
        return MailExchanges(
            exchanges: hosts.sorted { $0.preference < $1.preference },
            timeToLive: Resolver.left(until: answer.expires))
    }

    private func answer(
        _ name: String, _ kind: ResolverKind, isFresh: Bool = false
    ) async -> Result<ResolverCache.Answer, ResolverError> {
        let key = ResolverCache.Key(name: name, kind: kind)
        // Counted from the question: an answer is never used longer than the server meant.
        let asked = ContinuousClock.now
        if !isFresh, let known = cache.withLock({ $0.answer(key, at: asked) }) { return known }
        switch await engine.ask(name, kind) {
        case .records(let records, let seconds):
            let answer = ResolverCache.Answer(
                records: records, expires: asked + .seconds(seconds))
            cache.withLock { $0.keep(.success(answer), for: key, until: answer.expires) }
            return .success(answer)
        case .absent(let exists):
            let error: ResolverError = exists ? .noData(name) : .noSuchName(name)
            cache.withLock { $0.keep(.failure(error), for: key, until: asked + .seconds(1)) }
            return .failure(error)
        case .failed(let why): return .failure(.failed(name: name, why: why))
        }
    }

    /// A failure says less than an absence: what could not be asked may be there.
    private static func gravest(
        _ answers: [Result<ResolverCache.Answer, ResolverError>], _ name: String
    ) -> ResolverError {
        var worst = ResolverError.noData(name)
        for case .failure(let error) in answers {
            if case .failed = error { return error }
            if case .noSuchName = error { worst = error }
        }
        return worst
    }

    private static func left(until end: ContinuousClock.Instant) -> Duration {
        max(.zero, ContinuousClock.now.duration(to: end))
    }
}

extension Resolver.MailExchange {
    /// Preference and name as they stand in the record (RFC 1035 §3.3.9); the root has an empty host. Nil
    /// for names that are no host names.
    init?(wire: [UInt8]) {
        guard wire.count > 2 else { return nil }
        var labels: [String] = []
        var index = 2
        while index < wire.count, wire[index] != 0 {
            let end = index + 1 + Int(wire[index])
            guard end < wire.count else { return nil }
            let label = wire[(index + 1)..<end]
            guard label.allSatisfy({ ResolverSettings.isHostByte($0) }) else { return nil }
            labels.append(String(decoding: label, as: UTF8.self))
            index = end
        }
        guard index == wire.count - 1 else { return nil }
        preference = UInt16(wire[0]) << 8 | UInt16(wire[1])
        host = labels.joined(separator: ".")
    }
}
