import Farm

/// One machine as a plan sees it: its record, what it last said and what the policy says of it, looked up once. A plan
/// knows a machine by its place in `Planner.machines`, which is sorted by id, so that nothing is hashed or sorted while
/// it decides; it is large, so that a plan reads it where it lies (what is asked of it for each machine is inlined, or would be
/// asked of a copy). It is not what is kept between two plans; that is `SmurfRecord`.
struct Machine: Sendable {
    let id: SmurfID
    let report: Health?
    let rule: MemberPolicy
    /// Whether the policy lets it hold any role.
    let isFree: Bool
    private(set) var record: SmurfRecord
    /// Whether it is heard of, or needs not be.
    private(set) var isUp = false
    /// Whether it was there before a restart and has not yet had the time to say that it still is.
    private(set) var isAwaited = false
    /// Whether it is up and, when it serves, ready or unready only for as long as it might be silent.
    private(set) var isFit = false
    /// It came into another state in this plan, and stays as it is until the next.
    var hasMoved = false
    /// Its record is not what the plan's state says.
    var isUnsettled = false

    init(
        id: SmurfID, record: SmurfRecord, report: Health?, rule: MemberPolicy, _ watch: Watch
    ) {
        self.id = id
        self.record = record
        self.report = report
        self.rule = rule
        isFree = rule.pin == nil && rule.not.isEmpty && rule.lacking.isEmpty
        judge(watch)
    }

    /// The only way to change a record: what is concluded from it changes with it.
    mutating func update(_ watch: Watch, _ change: (inout SmurfRecord) -> Void) {
        change(&record)
        isUnsettled = true
        judge(watch)
    }

    private mutating func judge(_ watch: Watch) {
        isAwaited = rule.agent && report == nil && watch.awaits(record)
        isUp = !rule.agent || report.map { watch.isRecent($0.heard) } ?? isAwaited
        isFit = isUp && record.unreadySince.map(watch.isRecent) ?? true
    }

    /// What others than its agent hold against it while it is up.
    var doubt: Doubt? { isUp ? report?.doubt : nil }

    /// Whether there can be records for it.
    var isResolvable: Bool { !record.addresses.isEmpty }

    /// Whether neither the policy nor an operator says anything of the roles that it may hold.
    @inline(__always)
    var isUnbound: Bool { isFree && record.override == nil && record.cordon == nil }

    /// Whether the policy bars it from `role` and no operator put it there.
    @inline(__always)
    func isForbidden(_ role: Role) -> Bool {
        !isFree && record.override == nil && !rule.allows(role)
    }

    /// How long its silence, or its word that it is not ready, may last.
    struct Watch: Sendable {
        let now: Moment
        private let resumed: Moment?
        private let downAfter: Duration
        private let deadAfter: Duration

        init(_ guards: Guards, resumed: Moment?, now: Moment) {
            self.now = now
            self.resumed = resumed
            downAfter = guards.downAfter
            deadAfter = guards.deadAfter
        }

        func isRecent(_ moment: Moment) -> Bool { now.since(moment) <= downAfter }

        /// Whether a machine that has not reported since the restart may still do so.
        fileprivate func awaits(_ record: SmurfRecord) -> Bool {
            guard let resumed, record.state != .joining, record.state != .quarantined else {
                return false
            }
            return now.since(resumed) <= deadAfter
        }
    }
}

/// How many machines a role has, counted once per plan and kept right while they move.
struct RoleTally: Sendable {
    /// Serving or warming, fit or not; those that must leave the role do not count.
    private(set) var assigned = 0
    /// Of these.
    private(set) var warming = 0
    /// Serving or warming, fit, and allowed to stay.
    private(set) var fit = 0
    /// Answered and fit, whether they may stay or not.
    private(set) var healthy = 0
    /// Of these, those that may stay.
    private(set) var lasting = 0

    /// - Parameters:
    ///   - isWarming: else it serves.
    ///   - step: 1 to count the machine, -1 to take it out again.
    mutating func count(isWarming: Bool, isFit: Bool, isForbidden: Bool, _ step: Int) {
        if !isWarming, isFit { healthy += step }
        guard !isForbidden else { return }
        assigned += step
        if isWarming { warming += step }
        guard isFit else { return }
        fit += step
        if !isWarming { lasting += step }
    }
}
