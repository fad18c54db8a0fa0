/// Work that waits, first come first served, in cohorts of one second each: fluid amounts instead of
/// items, so that its cost does not depend on how much waits.
struct WaitQueue {
    private var cohorts: [(second: Int, amount: Double)] = []
    private var head = 0
    /// All that waits.
    private(set) var total = 0.0

    /// Seconds that the oldest work has waited at `now`; 0 when nothing worth a hundredth waits.
    func age(at now: Int) -> Int {
        guard head < cohorts.count, total > 0.01 else { return 0 }
        return now - cohorts[head].second
    }

    mutating func add(_ amount: Double, at second: Int) {
        guard amount > 0 else { return }
        cohorts.append((second, amount))
        total += amount
    }

    /// Takes up to `amount` of the oldest work.
    /// - Parameter waits: told how long each part has waited.
    mutating func take(_ amount: Double, at now: Int, into waits: inout Waits) {
        var left = min(amount, total)
        while left > 0, head < cohorts.count {
            let part = min(left, cohorts[head].amount)
            waits.note(part, waited: now - cohorts[head].second)
            cohorts[head].amount -= part
            total -= part
            left -= part
            guard cohorts[head].amount <= 1e-9 else { break }
            head += 1
        }
        if head == cohorts.count {
            cohorts.removeAll(keepingCapacity: true)
            head = 0
            total = 0
        }
    }

    /// Counts what is still there as if it were taken at `now`.
    func settle(at now: Int, into waits: inout Waits) {
        for cohort in cohorts[head...] { waits.note(cohort.amount, waited: now - cohort.second) }
    }
}

/// How long work has waited, as amounts per whole second.
struct Waits {
    private var amounts: [Double] = []
    private(set) var total = 0.0

    /// The longest wait of more than a hundredth of a unit, in seconds.
    var longest: Int { amounts.lastIndex { $0 > 0.01 } ?? 0 }

    mutating func note(_ amount: Double, waited seconds: Int) {
        let index = max(seconds, 0)
        while amounts.count <= index { amounts.append(0) }
        amounts[index] += amount
        total += amount
    }

    mutating func add(_ other: Waits) {
        for (second, amount) in other.amounts.enumerated() where amount > 0 {
            note(amount, waited: second)
        }
    }

    /// Seconds within which `share` (0…1) of the work was taken; 0 when there was none.
    func percentile(_ share: Double) -> Int {
        var sum = 0.0
        for (second, amount) in amounts.enumerated() {
            sum += amount
            if sum >= share * total - 1e-9 { return second }
        }
        return longest
    }
}
