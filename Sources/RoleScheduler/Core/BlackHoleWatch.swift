public import Farm

/// Finds members that are answered like their peers, say that all is well, and do nothing: clients go to them and find
/// a hole. It goes by the counters of work alone, asks nobody, and is slow to judge: most of a role's members must have
/// worked well for the whole time in which one has done nothing at all, so that it can never empty a role.
public struct BlackHoleWatch: Sendable {
    /// One machine in one stay in a role.
    fileprivate struct Stay {
        var role: Role
        /// Counters at moments, oldest first; the first is as old as the time that is judged.
        var marks: [(at: Moment, work: UInt64)] = []
        /// When the counter was last seen to have grown.
        var lastWorked: Moment?
        var isSuspect = false
    }

    private var stays: [SmurfID: Stay] = [:]

    public init() {}

    /// Members that must have worked beside one that has not.
    private static let fewestPeers = 2
    /// Work of a peer within the time, on average, that is no chance.
    private static let enough = 20.0
    fileprivate static let marksKept: Int64 = 8

    /// Takes a machine's counter up.
    /// - Parameters:
    ///   - role: that it serves and is answered for; nil when it is not.
    ///   - work: over the present run of its agent.
    ///   - lasting: the time that is judged.
    public mutating func note(
        _ id: SmurfID, serving role: Role?, work: UInt64, over lasting: Duration, at now: Moment
    ) {
        guard let role else {
            stays[id] = nil
            return
        }
        // In its place, so that its marks are not copied at every report.
        stays[id, default: Stay(role: role)].note(work, serving: role, over: lasting, at: now)
    }

    /// Since when, at least, the machine has done nothing in its present stay; nil when it is not watched.
    public func idleSince(_ id: SmurfID) -> Moment? {
        stays[id].flatMap { $0.lastWorked ?? $0.marks.first?.at }
    }

    /// Looks who is a hole now. Who was found one stays it until its counter moves or it leaves the role.
    /// - Parameter lasting: the time that is judged. Peers count when they have worked in its second half too: when work
    ///   ends for all of them, whoever is out of it first is no hole.
    /// - Returns: the machines and their roles.
    public mutating func judge(over lasting: Duration, at now: Moment) -> [SmurfID: Role] {
        for role in Set(stays.values.map(\.role)) {
            let members = stays.filter { $0.value.role == role }
            let judged = members.compactMapValues { $0.done(within: lasting) }
            let working = judged.compactMap { id, done -> Double? in
                guard done > 0, let last = members[id]?.lastWorked,
                    now.since(last) <= lasting / 2
                else { return nil }
                return done
            }
            let mean = working.reduce(0, +) / Double(max(working.count, 1))
            guard working.count >= BlackHoleWatch.fewestPeers,
                working.count * 2 > members.count, mean >= BlackHoleWatch.enough
            else { continue }
            for (id, done) in judged where done == 0 { stays[id]?.isSuspect = true }
        }
        return stays.filter(\.value.isSuspect).mapValues(\.role)
    }
}

extension BlackHoleWatch.Stay {
    fileprivate mutating func note(
        _ work: UInt64, serving role: Role, over lasting: Duration, at now: Moment
    ) {
        // Another stay, or another run: the counter began anew.
        if self.role != role || work < marks.last?.work ?? 0 {
            self = BlackHoleWatch.Stay(role: role)
        }
        if let last = marks.last, work > last.work { (isSuspect, lastWorked) = (false, now) }
        let gap = lasting.clampedNanoseconds / BlackHoleWatch.marksKept
        if marks.count < 2 || now.since(marks[marks.count - 2].at) >= .nanoseconds(gap) {
            marks.append((now, work))
        } else {
            marks[marks.count - 1] = (now, work)
        }
        while marks.count > 1, now.since(marks[1].at) >= lasting { marks.removeFirst() }
    }

    /// Work since the beginning of the time that is judged; nil when it was not watched for so long.
    fileprivate func done(within lasting: Duration) -> Double? {
        guard let first = marks.first, let last = marks.last, last.at.since(first.at) >= lasting
        else { return nil }
        return Double(last.work - first.work)
    }
}
