public import Farm
public import RoleSchedulerCore

/// What happens to a simulated farm: the mailing, the machines, the internet around them, and what goes
/// wrong. Policies are compared by running them through the same scenario; it says nothing of roles'
/// targets. Times are seconds from the start of the mailing.
public struct Scenario: Hashable, Sendable {
    /// Everything that is random follows from it.
    public var seed: UInt64 = 1
    /// Machines, 1…10,000.
    public var smurfs = 12
    /// Rows of the mailing.
    public var recipients = 1_000_000.0
    /// Octets of one message on the wire.
    public var messageBytes = 40_000.0
    /// Bits per second of each machine's link.
    public var linkBits = 100e6
    /// Work per second that one machine really does in a role, whatever the policy believes of it; a role
    /// that is not listed does the policy's capacity.
    public var rates: [Role: Double] = [:]
    /// Share of rows that come back as bounces.
    public var bounceShare = 0.06
    public var bounceLag = Lag.bounces
    /// Share of rows whose reader clicks on the unsubscribe link.
    public var clickShare = 0.015
    public var clickLag = Lag.clicks
    /// Share of resolvers, 0…1, that keep an answer for `overdue` whatever its TTL says.
    public var ignoringTTL = 0.05
    public var overdue = 900
    /// Receiving sites that take no more than so much; the rest of the internet takes anything.
    public var sites: [Site] = []
    public var outages: [Outage] = []
    /// Machines that take work and do none of it, while their agents say that all is well.
    public var holes: [Hole] = []
    /// Ids of the first machines; those beyond get made-up ones.
    public var names: [SmurfID] = []
    /// What the agents of some machines say of themselves.
    public var labels: [Labelled] = []
    /// Mean seconds between two failures of one machine; nil: machines fail only by `outages`.
    public var meanTimeBetweenFailures: Double?
    /// Mean seconds until such a machine is back.
    public var repair = 600.0
    public var silences: [Silence] = []
    /// Numbers of arrival are off by up to this share, either way.
    public var noise = 0.0
    /// Seconds that the farm runs before the mailing begins, so that it starts settled.
    public var lead = 600
    /// On the clock when the mailing begins.
    public var start = TimeOfDay(minute: 12 * 60)
    /// The simulation ends here at the latest.
    public var horizon = 6 * 3600
    /// Seconds between two plans; nil: one, and more for farms of more than 500 machines, so that a
    /// simulated hour stays a matter of seconds.
    public var planInterval: Int?
    /// Arrivals and failures to live through again; arrivals that it tells take the place of those that
    /// follow from the mailing.
    public var trace: Trace?

    public init() {}

    /// Messages per second that the link of one machine carries; 7 % goes to headers of TCP/IP and Ethernet.
    public var linkRate: Double { linkBits * 0.93 / 8 / max(messageBytes, 1) }

    /// Seconds between two plans, at least one.
    var planStep: Int { max(planInterval ?? (smurfs + 499) / 500, 1) }

    /// Unsubscribe clicks of the whole mailing.
    var clicksInAll: Double {
        guard let trace, trace.tellsArrivals else { return clickShare * recipients }
        var replay = Replay(trace)
        return (0...max(trace.length + Trace.lastHolds, 0)).reduce(0) { sum, second in
            replay.step(second)
            return sum + replay.clicks
        }
    }

    /// Work per second that one machine really does in the role.
    func rate(of rule: RolePolicy) -> Double {
        let own = rates[rule.role] ?? rule.capacity
        guard rule.service == .smtpOut else { return own ?? 100 }
        return min(own ?? linkRate, linkRate)
    }

    /// A receiving site (the MX set that shares a limit).
    public struct Site: Hashable, Sendable {
        /// Of all rows, 0…1; the shares of all sites add up to at most 1.
        public var share: Double
        /// Messages per second that it takes of the whole farm.
        public var limit: Double

        public init(share: Double, limit: Double) {
            self.share = share
            self.limit = limit
        }
    }

    /// Machines that go down at one moment.
    public struct Outage: Hashable, Sendable {
        public var at: Int
        public var machines: Int
        /// Seconds until they are back.
        public var lasting: Int

        public init(at: Int, machines: Int, lasting: Int) {
            self.at = at
            self.machines = machines
            self.lasting = lasting
        }
    }

    /// Machines that are black holes from one moment to another.
    public struct Hole: Hashable, Sendable {
        public var at: Int
        /// Seconds until they work again.
        public var lasting: Int
        public var machines: Machines

        public enum Machines: Hashable, Sendable {
            /// So many, drawn by the seed.
            case some(Int)
            case one(SmurfID)
        }

        public init(at: Int, lasting: Int, _ machines: Machines) {
            self.at = at
            self.lasting = lasting
            self.machines = machines
        }
    }

    /// A label and the machines that have it, by their numbers from 1.
    public struct Labelled: Hashable, Sendable {
        public var label: Label
        public var machines: ClosedRange<Int>

        public init(label: Label, machines: ClosedRange<Int>) {
            self.label = label
            self.machines = machines
        }
    }

    /// The machines' ids, by number from 1, those of `names` first.
    public var ids: [SmurfID] {
        let count = min(max(smurfs, 1), 10_000)
        var ids = Array(names.prefix(count))
        var taken = Set(ids)
        var number = 0
        while ids.count < count {
            number += 1
            let digits = String(number)
            let zeros = String(repeating: "0", count: max(5 - digits.count, 0))
            if let id = SmurfID("s" + zeros + digits), taken.insert(id).inserted { ids.append(id) }
        }
        return ids
    }

    /// Whether any machine has the label at some time.
    public func isSaid(_ label: Label) -> Bool {
        labels.contains { $0.label == label }
            || trace?.lines.contains { $0.labels?.contains(label.text) ?? false } ?? false
    }

    /// What the agents say when the mailing begins, sorted, by the machines' numbers. A trace that tells labels of a machine
    /// is right about it.
    var firstLabels: [[Label]] {
        let told = trace?.firstLabels ?? [:]
        return (1...max(smurfs, 1)).map { machine in
            told[machine]
                ?? Set(labels.filter { $0.machines.contains(machine) }.map(\.label)).sorted()
        }
    }

    /// A time in which no numbers of demand arrive.
    public struct Silence: Hashable, Sendable {
        public var from: Int
        public var to: Int

        public init(from: Int, to: Int) {
            self.from = from
            self.to = to
        }
    }
}
