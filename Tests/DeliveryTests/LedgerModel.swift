import Delivery

/// What docs/LEDGER.md says, once more and in the plainest way: an array of rows in memory, no SQL, no
/// counters, no indices. It is what the ledger is compared with, and shares no code with it.
struct LedgerModel {
    struct Row: Equatable {
        var state = RecipientState.pending
        var marks: RecipientMarks = []
        var tries = 0
        var notBefore: Int64 = 0
        var firstTry: Int64?
        var holder: Lease?
        var leasedAt: Int64 = 0
    }

    struct Lease: Equatable {
        var smurf: String
        var epoch: UInt64
    }

    enum Brake { case sending, paused, cancelled, finished }

    var rows: [Row]
    var brake = Brake.sending
    var suppressed: Set<Int> = []
    let deadline: Int64
    private var receipts: [String: UInt64] = [:]
    private var lastRun: [String: UInt64] = [:]
    private let policy = SQLiteLedger.Policy()

    init(rows: Int, deadline: Int64) {
        self.rows = Array(repeating: Row(), count: rows)
        self.deadline = deadline
    }

    /// - Returns: the rows handed out, in order.
    mutating func claim(_ lease: Lease, limit: Int, now: Int64) -> [Int] {
        guard brake == .sending else { return [] }
        if deadline != 0 && deadline <= now {
            for index in rows.indices where rows[index].state == .pending {
                rows[index].state = .failed
            }
            rest()
            return []
        }
        var taken: [Int] = []
        let due = rows.indices.filter { rows[$0].state == .pending && rows[$0].notBefore <= now }
            .sorted { (rows[$0].notBefore, $0) < (rows[$1].notBefore, $1) }
        for index in due where taken.count < limit {
            if suppressed.contains(index) {
                rows[index].state = .suppressed
            } else {
                rows[index].state = .leased
                rows[index].holder = lease
                rows[index].leasedAt = now
                rows[index].firstTry = rows[index].firstTry ?? now
                taken.append(index)
            }
        }
        rest()
        return taken
    }

    mutating func hear(
        _ lease: Lease, run: UInt64, number: UInt64, _ items: [RowOutcome], now: Int64
    ) {
        let key = "\(lease.smurf) \(run)"
        if receipts[key, default: 0] >= number { return }
        receipts[key] = number
        for item in items where rows.indices.contains(Int(item.recipient)) {
            hear(lease, item.verdict, &rows[Int(item.recipient)], now)
        }
        rest()
    }

    private func hear(
        _ lease: Lease, _ verdict: RowOutcome.Verdict, _ row: inout Row, _ now: Int64
    ) {
        let isOwn = row.holder == lease
        switch verdict {
        case .accepted, .bogged:
            let isOut = [.accepted, .bogged, .delivered].contains(row.state)
            if isOut || row.marks.contains(.bounced) {
                if !isOwn { row.marks.insert(.doubtful) }
                return
            }
            if row.state == .leased && !isOwn { row.marks.insert(.doubtful) }
            row.state = verdict == .bogged ? .bogged : .accepted
            row.holder = lease
        case .refused, .unrenderable: if row.state == .leased && isOwn { row.state = .failed }
        case .returned: if row.state == .leased && isOwn { comeBack(&row, notBefore: 0) }
        case .deferred, .doubtful:
            guard row.state == .leased && isOwn else { return }
            if verdict == .doubtful { row.marks.insert(.doubtful) }
            row.tries += 1
            var wait: Int64 = 300
            for _ in 1..<row.tries where wait < 14_400 { wait *= 2 }
            comeBack(&row, notBefore: now + min(wait, 14_400))
            let isLate = deadline != 0 && deadline <= now
            if isLate || now - (row.firstTry ?? now) >= 5 * 86_400 { row.state = .failed }
        }
    }

    private func comeBack(_ row: inout Row, notBefore: Int64) {
        row.state = brake == .cancelled ? .cancelled : .pending
        row.notBefore = notBefore
    }

    mutating func lose(_ smurf: String, keeping: Set<Int>, before: Int64, wereHandedOver: Bool) {
        for index in rows.indices where rows[index].state == .leased && !keeping.contains(index) {
            guard rows[index].holder?.smurf == smurf, rows[index].leasedAt < before else {
                continue
            }
            if wereHandedOver { rows[index].marks.insert(.doubtful) }
            comeBack(&rows[index], notBefore: 0)
        }
        rest()
    }

    mutating func welcome(_ smurf: String, run: UInt64, holding: Set<Int>) {
        lose(smurf, keeping: holding, before: .max, wereHandedOver: lastRun[smurf] != run)
        lastRun[smurf] = run
    }

    mutating func take(_ kind: RecipientFeedback.Kind, of index: Int) {
        switch kind {
        case .bounce:
            rows[index].marks.insert(.bounced)
            if rows[index].state != .delivered { rows[index].state = .failed }
        case .delivered: rows[index].state = .delivered
        case .unsubscribe, .complaint:
            rows[index].marks.insert(.unsubscribed)
            suppressed.insert(index)
        }
        rest()
    }

    mutating func steer(to next: Brake) {
        guard brake == .sending || brake == .paused || brake == next else { return }
        guard brake != .finished else { return }
        brake = next
        if next == .cancelled {
            for index in rows.indices where rows[index].state == .pending {
                rows[index].state = .cancelled
            }
        }
        rest()
    }

    /// A mailing that is being sent and has nothing left to do is finished.
    private mutating func rest() {
        let isOpen = rows.contains { $0.state == .pending || $0.state == .leased }
        if brake == .sending && !isOpen { brake = .finished }
    }
}
