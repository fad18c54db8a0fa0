/// Pearson's test of whether counts are those of a uniform draw.
public enum ChiSquare {
    /// Whether the statistic lies below the 0.01 quantile (by Wilson and Hilferty): a fair draw fails once in a hundred
    /// times, so that a test may take it again, once.
    public static func isUniform(_ counts: [Int]) -> Bool {
        let expected = Double(counts.reduce(0, +)) / Double(counts.count)
        let statistic = counts.reduce(0.0) {
            $0 + (Double($1) - expected) * (Double($1) - expected) / expected
        }
        let freedom = Double(counts.count - 1)
        let base = 1 - 2 / (9 * freedom) + 2.326 * (2 / (9 * freedom)).squareRoot()
        return statistic < freedom * base * base * base
    }
}
