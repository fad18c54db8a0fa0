import Farm

/// What a farm saw over a time, to be lived through again by another policy: one value per line of a file
/// of JSON lines, in the order of time. Of the numbers only those that come from outside are replayed;
/// the backlog follows from what the policy sends.
public struct Trace: Hashable, Sendable {
    /// One line: a number (`signal` and `value`), a machine that went `down` or came `up`, became a black `hole` or works
    /// `well` again, or the `labels` that the agent of a `machine` says from then on.
    public struct Line: Hashable, Sendable, Codable {
        /// Seconds from the start of the mailing, not negative.
        public var at: Double
        /// "bounces.arrival" and "unsubscribes.arrival" in items per second, which hold until the next
        /// such line; others are kept and not replayed.
        public var signal: String?
        public var value: Double?
        /// The number of the machine, from 1.
        public var down: Int?
        public var up: Int?
        public var hole: Int?
        public var well: Int?
        public var machine: Int?
        public var labels: [String]?

        public init(at: Double, signal: String, value: Double) {
            self.at = at
            self.signal = signal
            self.value = value
        }

        /// - Parameter isDown: else it came up.
        public init(at: Double, machine: Int, isDown: Bool) {
            self.at = at
            if isDown { down = machine } else { up = machine }
        }

        /// - Parameter isHole: else it works again.
        public init(at: Double, machine: Int, isHole: Bool) {
            self.at = at
            if isHole { hole = machine } else { well = machine }
        }

        public init(at: Double, machine: Int, labels: [String]) {
            self.at = at
            self.machine = machine
            self.labels = labels
        }

        /// What is wrong with it, in words; nil when nothing is.
        public var fault: String? {
            guard at.isFinite, (0...1e6).contains(at) else { return "'at' is not 0 to 1000000 s" }
            let numbers = [down, up, hole, well, machine].compactMap { $0 }
            guard let number = numbers.first else {
                guard signal != nil, let value, labels == nil else {
                    return "'signal' needs a 'value', or say 'down', 'up', 'hole' or 'well'"
                }
                return value.isFinite && (0...1e12).contains(value)
                    ? nil : "'value' is not 0 to 1e12"
            }
            guard signal == nil, value == nil, numbers.count == 1 else {
                return "one of 'signal', 'down', 'up', 'hole', 'well' and 'machine' is enough"
            }
            guard (labels == nil) == (machine == nil) else {
                return "'machine' and 'labels' go together"
            }
            if let text = labels?.first(where: { Label($0) == nil }) {
                return "'\(text)' is no label; write KEY=VALUE, as in rack=b"
            }
            return (1...10_000).contains(number) ? nil : "machines are 1 to 10000"
        }

        /// As the scheduler keeps them.
        var knownLabels: [Label] { Set((labels ?? []).compactMap { Label($0) }).sorted() }
    }

    /// Seconds for which the last numbers hold.
    static let lastHolds = 60

    /// Sorted by time.
    public private(set) var lines: [Line]

    /// - Parameter lines: without faults; sorted here, lines of one moment keep their order.
    public init(_ lines: [Line]) { self.lines = lines.sorted { $0.at < $1.at } }

    /// Whether it tells what came in.
    var tellsArrivals: Bool {
        lines.contains { $0.signal == "bounces.arrival" || $0.signal == "unsubscribes.arrival" }
    }

    /// Labels of machines when the mailing begins, by number from 1.
    var firstLabels: [Int: [Label]] {
        var first: [Int: [Label]] = [:]
        for line in lines.prefix(while: { $0.at < 1 }) {
            if let machine = line.machine { first[machine] = line.knownLabels }
        }
        return first
    }

    /// The last second of it.
    var length: Int { Int(lines.last?.at ?? 0) }

    /// The trace that a simulated run would have left.
    public init(of outcome: Outcome) {
        self.init(
            outcome.minutes.flatMap { minute in
                let at = Double(max(minute.second - 60, 0))
                return [
                    Line(at: at, signal: "bounces.arrival", value: minute.bounces),
                    Line(at: at, signal: "unsubscribes.arrival", value: minute.clicks),
                ]
            } + Trace.holes(of: outcome) + Trace.labels(of: outcome))
    }
}

extension Trace {
    private static func holes(of outcome: Outcome) -> [Line] {
        outcome.holes.flatMap { hole -> [Line] in
            guard let number = outcome.machines.firstIndex(of: hole.smurf) else { return [] }
            return [Line(at: Double(hole.from), machine: number + 1, isHole: true)]
                + (hole.to.map { [Line(at: Double($0), machine: number + 1, isHole: false)] } ?? [])
        }
    }

    private static func labels(of outcome: Outcome) -> [Line] {
        outcome.machines.enumerated().compactMap { index, smurf in
            outcome.labels[smurf].map { Line(at: 0, machine: index + 1, labels: $0) }
        }
    }
}

/// A trace that is being lived through: what it says at the present second.
struct Replay {
    private let trace: Trace
    private var next = 0
    private(set) var bounces = 0.0
    private(set) var clicks = 0.0
    /// Numbers of the machines that are down.
    private(set) var down: Set<Int> = []
    /// Numbers of the machines that are black holes.
    private(set) var holes: Set<Int> = []
    /// What agents said anew in the present second.
    private(set) var newLabels: [(machine: Int, labels: [Label])] = []

    init(_ trace: Trace) { self.trace = trace }

    /// Takes up every line until the end of `second`.
    mutating func step(_ second: Int) {
        newLabels = []
        while next < trace.lines.count, trace.lines[next].at < Double(second + 1) {
            let line = trace.lines[next]
            next += 1
            if let machine = line.down { down.insert(machine) }
            if let machine = line.up { down.remove(machine) }
            if let machine = line.hole { holes.insert(machine) }
            if let machine = line.well { holes.remove(machine) }
            if let machine = line.machine { newLabels.append((machine, line.knownLabels)) }
            switch line.signal {
            case "bounces.arrival": bounces = line.value ?? bounces
            case "unsubscribes.arrival": clicks = line.value ?? clicks
            default: break
            }
        }
    }
}
