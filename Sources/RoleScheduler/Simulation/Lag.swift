/// How long after its cause an effect comes: parts of equal density, each from one second to another with
/// a share of the whole. The parts are few, so that the arrivals of any second are a handful of
/// differences of a running sum instead of a convolution.
public struct Lag: Hashable, Sendable, Codable {
    public struct Part: Hashable, Sendable, Codable {
        /// Seconds after the cause, `from` < `to`, neither negative.
        public var from: Int
        public var to: Int
        /// Share of all effects, 0…1.
        public var share: Double

        public init(from: Int, to: Int, share: Double) {
            self.from = from
            self.to = to
            self.share = share
        }
    }

    /// Shares add up to 1.
    public var parts: [Part]

    public init(_ parts: [Part]) { self.parts = parts }

    /// Refusals that come by mail: some at once, most while the receiving sites work their queues off.
    public static let bounces = Lag([
        Part(from: 60, to: 300, share: 0.25), Part(from: 300, to: 1800, share: 0.45),
        Part(from: 1800, to: 3900, share: 0.3),
    ])

    /// Clicks: people read their mail in the minutes and hours after it came.
    public static let clicks = Lag([
        Part(from: 60, to: 600, share: 0.4), Part(from: 600, to: 2400, share: 0.45),
        Part(from: 2400, to: 7200, share: 0.15),
    ])

    /// The latest effect, in seconds after its cause.
    public var longest: Int { parts.map(\.to).max() ?? 0 }

    /// Effects that arrive in the second that begins at `second`, per unit of share.
    /// - Parameter causes: running sum of causes, one entry per second; beyond its ends it stays level.
    func arrivals(at second: Int, causes: [Double]) -> Double {
        func sum(_ index: Int) -> Double {
            guard index >= 0, let last = causes.last else { return 0 }
            return index < causes.count ? causes[index] : last
        }
        return parts.reduce(0) { total, part in
            let caused = sum(second - part.from) - sum(second - part.to)
            return total + part.share / Double(max(part.to - part.from, 1)) * caused
        }
    }
}
