/// How much work a farm has had so far, in numbers that only grow: what the delivery side counted since its ledger was
/// made. Two looks at them miss nothing that lay between, however short it was; what is to do now is `Demand`.
public struct WorkCounts: Hashable, Sendable, Codable {
    /// Rows of mailings that were there to be sent when the mailing began.
    public var rows: Int
    /// Of those, the ones nothing is to be done for any more, whatever became of them.
    public var settled: Int
    /// Bounces and complaints that came back.
    public var bounces: Int
    /// Unsubscribe requests that were taken.
    public var unsubscribes: Int

    public init(rows: Int = 0, settled: Int = 0, bounces: Int = 0, unsubscribes: Int = 0) {
        self.rows = rows
        self.settled = settled
        self.bounces = bounces
        self.unsubscribes = unsubscribes
    }

    /// What came since; 0 where this is less, because it was counted in another ledger.
    public func since(_ earlier: WorkCounts) -> WorkCounts {
        func growth(_ now: Int, _ then: Int) -> Int {
            // Numbers of a damaged file may be any.
            let (difference, isTooMuch) = now.subtractingReportingOverflow(then)
            return isTooMuch ? 0 : max(difference, 0)
        }
        return WorkCounts(
            rows: growth(rows, earlier.rows), settled: growth(settled, earlier.settled),
            bounces: growth(bounces, earlier.bounces),
            unsubscribes: growth(unsubscribes, earlier.unsubscribes))
    }
}
