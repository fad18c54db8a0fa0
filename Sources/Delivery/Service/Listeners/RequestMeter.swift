import Synchronization

/// How many requests are under way, and how long those of the last ten seconds took.
final class RequestMeter: Sendable {
    private static let window = Duration.seconds(10)
    /// Samples kept at most; beyond, the oldest go.
    private static let limit = 4096

    private struct State {
        var underWay = 0
        var samples: [(at: ContinuousClock.Instant, milliseconds: Double)] = []
    }

    private let state = Mutex(State())

    var underWay: Int { state.withLock { $0.underWay } }

    /// 95th percentile of the request time, nearest rank; 0 when there was no request.
    var p95Milliseconds: Double {
        state.withLock { state in
            let now = ContinuousClock.now
            state.samples.removeAll { now - $0.at > Self.window }
            let times = state.samples.map(\.milliseconds).sorted()
            return times.isEmpty ? 0 : times[Self.rank(of: times.count) - 1]
        }
    }

    /// Nearest rank of the 95th percentile: the least that has 95 % at or below it; from 1.
    static func rank(of count: Int) -> Int { (count * 95 + 99) / 100 }

    /// Measures a request.
    func measure<Result>(_ work: () async throws -> Result) async rethrows -> Result {
        let start = ContinuousClock.now
        state.withLock { $0.underWay += 1 }
        defer {
            let (seconds, attoseconds) = (ContinuousClock.now - start).components
            state.withLock { state in
                state.underWay -= 1
                if state.samples.count >= Self.limit { state.samples.removeFirst(Self.limit / 2) }
                state.samples.append((.now, Double(seconds) * 1000 + Double(attoseconds) / 1e15))
            }
        }
        return try await work()
    }
}
