import Delivery
import Dispatch
import Farm
import Synchronization

/// Finds hosts by DNS for worker threads, which block until the answer is there. Each look-up goes through
/// the resolver, which asks again as soon as the TTL is over.
final class SinkDirectory: Sendable {
    private let resolver: Resolver
    /// Turns the order of what is equally good, so that load spreads as that of many strangers does.
    private let turn = Atomic(0)

    init(_ upstream: Resolver.Upstream) throws(SinkError) {
        do throws(ResolverError) {
            resolver = try Resolver(upstream)
        } catch {
            throw SinkError(description: "\(error)")
        }
    }

    /// Addresses of a host; each call begins with another one.
    func addresses(of host: String) throws(ResolverError) -> [IPAddress] {
        if let literal = IPAddress(host) { return [literal] }
        let resolver = self.resolver
        let found = SinkDirectory.wait { () async -> Result<[IPAddress], ResolverError> in
            do throws(ResolverError) {
                return .success(try await resolver.addresses(of: host).addresses)
            } catch {
                return .failure(error)
            }
        }
        return turned(try found.get())
    }

    /// Addresses that take mail for a domain, the preferred hosts first and equal ones in turn. Hosts whose
    /// addresses cannot be found are left out.
    func mailAddresses(of domain: String) throws(ResolverError) -> [IPAddress] {
        let resolver = self.resolver
        let found = SinkDirectory.wait {
            () async -> Result<[Resolver.MailExchange], ResolverError> in
            do throws(ResolverError) {
                return .success(try await resolver.mailExchanges(of: domain).exchanges)
            } catch {
                return .failure(error)
            }
        }
        let exchanges = try found.get()
        var addresses: [IPAddress] = []
        var last: ResolverError?
        for preference in Set(exchanges.map(\.preference)).sorted() {
            for exchange in turned(exchanges.filter { $0.preference == preference }) {
                do throws(ResolverError) {
                    addresses += try self.addresses(of: exchange.host)
                } catch {
                    last = error
                }
            }
        }
        if addresses.isEmpty, let last {
            // The domain exists: it may have a mail exchanger again later.
            throw .failed(name: domain, why: last.description)
        }
        return addresses
    }

    private func turned<Element>(_ list: [Element]) -> [Element] {
        guard list.count > 1 else { return list }
        let first = turn.add(1, ordering: .relaxed).newValue % list.count
        return Array(list[first...] + list[..<first])
    }

    /// Blocks the calling thread, which must be none of the cooperative pool.
    private static func wait<Value: Sendable>(
        _ body: @escaping @Sendable () async -> Value
    ) -> Value {
        let done = DispatchSemaphore(value: 0)
        let box = Box<Value>()
        Task {
            let value = await body()
            box.result.withLock { $0 = value }
            done.signal()
        }
        while true {
            done.wait()
            if let value = box.result.withLock({ $0 }) { return value }
        }
    }

    private final class Box<Value: Sendable>: Sendable {
        let result = Mutex<Value?>(nil)
    }
}
